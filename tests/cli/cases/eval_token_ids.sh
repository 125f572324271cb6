# Ids in place of text: no tokenizer is needed, not even there.
. "$SINQ_CLI/helpers.sh"
mkdir model
ln -s "$SINQ_EXAMPLE/config.json" "$SINQ_EXAMPLE/model.safetensors" model
echo 11, 12, 13 14 >ids
seq 15 50 >>ids
measure() { sinq eval model --token-ids --window 20 --json "$@" | grep -v -e '"file"' -e seconds; }
measure --text ids >plain
tr ',' ' ' <ids | measure --text - | cmp - plain
grep -e tokens -e windows plain
expect 1 sinq eval model --text ids
echo 1 2 4096 >ids
expect 1 sinq eval model --token-ids --text ids
echo 1 2 -3 >ids
expect 1 sinq eval model --token-ids --text ids
echo 1 2 3.5 >ids
expect 1 sinq eval model --token-ids --text ids
