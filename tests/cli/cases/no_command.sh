. "$SINQ_CLI/helpers.sh"
sinq
