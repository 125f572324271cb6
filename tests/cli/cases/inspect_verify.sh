# Source and result are good; one flipped byte in either kind of tensor is found and named.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -o out
sinq inspect --verify model | tail -n 1
sinq inspect --verify out | tail -n 1
size=$(wc -c <out/model.safetensors)
cp -r out bad && printf '\125' | dd of=bad/model.safetensors bs=1 seek=100000 conv=notrunc 2>/dev/null
expect 3 sinq inspect --verify bad
rm -r bad
cp -r out bad && printf '\125' | dd of=bad/model.safetensors bs=1 seek=$((size - 1)) conv=notrunc 2>/dev/null
expect 3 sinq inspect --verify bad -q
expect 3 sinq inspect --verify bad --json >json
grep -e '"good"' -e '"bad_checksums"' -e '"status"' json
