# Exit code 3 when it is exceeded, with the result printed all the same.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -o out
expect 0 sinq eval out --reference model --weights --max-error 20% -q
expect 3 sinq eval out --reference model --weights --max-error 0.01 -q
expect 3 sinq eval out --reference model --weights --max-error 0 --json --top 1 | grep -e status -e allowed
expect 0 sinq eval model --reference model --weights --max-error 0 -q
