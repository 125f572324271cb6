# Every key of the schema (docs/eval-json.md), weights and text in one object.
. "$SINQ_CLI/helpers.sh"
take_model
write_text text
sinq eval model --as bits:3,method:sinq --text text --window 40 --weights --top 1 --max-ppl 1e9 --max-kl 100 --json --exact
sinq eval model --text text --window 40 --max-windows 1 --json | grep -e reference -e '"as"' -e comparison
