. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q model -o out
expect 2 sinq quantize out -o again
sinq quantize -q out -o again --allow-requantize -b 3
ls -d out again
