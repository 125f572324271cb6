. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n -m sinq --json model
