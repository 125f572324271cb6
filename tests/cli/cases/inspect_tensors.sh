. "$SINQ_CLI/helpers.sh"
take_model
sinq inspect model --tensors --match 'layers\.[05]\.self_attn'
