# A list of which the machine has nothing is refused, whoever asks.
. "$SINQ_CLI/helpers.sh"
SINQ_CPU=warp sinq --version
