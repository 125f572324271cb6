. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n --json model
