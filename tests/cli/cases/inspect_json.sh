. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -o out
sinq inspect --json out --tensors --match 'layers\.0\.self_attn\.[qk]'
