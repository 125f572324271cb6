# Without a model: what the machine can do.
. "$SINQ_CLI/helpers.sh"
sinq bench --buffer 64K -t 1 --cpu c
