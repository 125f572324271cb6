# -v has a line for each tensor.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -nv model | grep -c '^model\.'
sinq quantize -nv model | grep 'layers\.1\.'
