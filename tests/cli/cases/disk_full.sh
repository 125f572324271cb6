# A file size limit stands in for a full disk: nothing under the final name, and --resume goes on from what is finished.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q model -o expected
(ulimit -f 2000 && expect 1 sinq quantize model -o out)
[ ! -e out ] && echo "nothing under the final name"
sinq quantize model -o out --resume | grep resumed
cmp expected/model.safetensors out/model.safetensors && ls
