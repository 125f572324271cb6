# A closed standard stream is an error where it is used, and never a file of the model's.
. "$SINQ_CLI/helpers.sh"
take_model
expect 1 sinq run model -n 1 <&-
expect 1 sinq eval model --text - <&-
expect 1 sinq run model -p x -n 1 -q >&-
sinq quantize -q model -o expected
expect 1 sinq quantize model -o out >&-
cmp expected/model.safetensors out/model.safetensors && echo "nothing was written into the weights"
expect 0 sinq quantize model -o other 2>&- | head -n 1
cmp expected/model.safetensors other/model.safetensors && echo "nor here"
