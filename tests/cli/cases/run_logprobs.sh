# A line for each token: its own log probability before sampling, then the best ones.
. "$SINQ_CLI/helpers.sh"
take_model
sinq run model -p "She opened the door and saw" --temp 0 --exact -n 5 --logprobs 3 -q
sinq run model -p "She opened the door and saw" --temp 0 --exact -n 2 --logprobs 2 --json -q | grep '"best"'
