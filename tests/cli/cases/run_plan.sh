# What running takes, and whether it fits: from headers alone.
. "$SINQ_CLI/helpers.sh"
take_model
sinq run model --plan
sinq run model --plan --json -c 100 --kv f32
expect 0 sinq run model --plan --memory 1G -q
expect 3 sinq run model --plan --memory 1M -q
expect 3 sinq run model --plan --memory 1M --json | grep fits
expect 2 sinq run model --plan -c 3000
# What of it a device would hold, without one; a cap that leaves no room.
sinq run model --plan --gpu-memory 24G -c 512
sinq run model --plan --gpu-memory 24G -c 512 --json | grep 'budget\|cpu'
expect 1 sinq run model --plan --gpu-memory 700M
