# Ids in, ids out: no tokenizer is needed, and the same tokens come as with one.
. "$SINQ_CLI/helpers.sh"
alter_model model ''
sinq run model -p "She opened the door and saw" --temp 0 -n 10 --json -q >json
ids() { sed -n "s/.*\"$1\": \[\(.*\)\],/\1/p" json; }
rm model/tokenizer.json
sinq run model --token-ids -p "$(ids prompt_ids)" --temp 0 -n 10 -q >out
[ "$(cat out)" = "$(ids ids | tr -d ,)" ] && echo "the same ids"
tr ' ' '\n' <out | wc -l
sinq run model --token-ids -p "1 2 3" --temp 0 -n 3 --json -q | grep -e '"text"' -e prompt_ids
expect 1 sinq run model --token-ids -p "1 2 4096"
expect 1 sinq run model --token-ids -p "1 two"
expect 1 sinq run model --token-ids -p ""
expect 1 sinq run model -p "1 2"
