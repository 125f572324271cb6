. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -m sinq --json model -q
