. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize --json model -q
