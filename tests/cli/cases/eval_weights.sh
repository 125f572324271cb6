. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -o out
sinq eval out --reference model --weights --top 5
sinq eval model --reference model --weights
sinq eval out --reference model --weights --top 2 --json
