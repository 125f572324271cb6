. "$SINQ_CLI/helpers.sh"
take_model
expect 1 sinq inspect model nosuch model
