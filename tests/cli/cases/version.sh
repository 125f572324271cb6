. "$SINQ_CLI/helpers.sh"
sinq --version
sinq -V | head -n 1
