# What cannot go together, or needs something else, says what it needs.
. "$SINQ_CLI/helpers.sh"
take_model
write_text text
expect 2 sinq eval model --text text --weights
expect 2 sinq eval model --text text --reference model --as bits:4
expect 2 sinq eval model --text text --max-kl 1
expect 2 sinq eval model --text text --max-ppl-increase 2%
expect 2 sinq eval model --text text --min-same-top 90%
expect 2 sinq eval model --text text --max-error 90%
expect 2 sinq eval model --weights --reference model --max-ppl 9
expect 2 sinq eval model --weights --reference model --window 9
expect 2 sinq eval model --weights --reference model --exact
expect 2 sinq eval model --text text --top 3
expect 2 sinq eval model --text text --score most
expect 2 sinq eval model --text text --kv f64
expect 2 sinq eval model --text text --window 1
expect 2 sinq eval model --text text --min-same-top 101%
