# A greedy continuation: bytes as they come, nothing before and nothing behind. Ends of the text and of the context are said.
. "$SINQ_CLI/helpers.sh"
take_model
sinq run model -p "She opened the door and saw" --temp 0 -n 24 --exact
echo .
sinq run model -p "She opened the door and saw" --temp 0 -n 24 --exact -q >quiet
wc -c <quiet
sinq run model -p "Once upon a time" --temp 0 --exact -c 16 2>&1 >text | sed 's/.*; //'
