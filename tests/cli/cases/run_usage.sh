# Each names what is wrong and exits with 2, before any model is loaded.
. "$SINQ_CLI/helpers.sh"
take_model
expect 2 sinq run
expect 2 sinq run model model -p x
expect 2 sinq run model
expect 2 sinq run model -f /dev/null --temp=-1
expect 2 sinq run model -p x -f y
expect 2 sinq run model -p x --raw --chat
expect 2 sinq run model -p x --token-ids --system y
expect 2 sinq run model -p x --token-ids --stop y
expect 2 sinq run model -p x --stop ''
expect 2 sinq run model -p x --memory 1G
expect 2 sinq run model -p x --kv f64
expect 2 sinq run model -p x -n 0
expect 2 sinq run model -p x --top-p 2
expect 2 sinq run model -p x --template nosuch
expect 2 sinq run model -p x -c 3000
