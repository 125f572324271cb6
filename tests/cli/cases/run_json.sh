# One object; text and ids say the same as without --json.
. "$SINQ_CLI/helpers.sh"
take_model
sinq run model -p "She opened the door and saw" --temp 0 --exact -n 6 --json --seed 5 -q
