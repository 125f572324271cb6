# Names from a file cannot drive the terminal, and JSON stays JSON.
. "$SINQ_CLI/helpers.sh"
write_safetensors x.safetensors '{"a\u001b[31mred\u0007\"q\"":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}' 2
sinq inspect x.safetensors --tensors
sinq inspect x.safetensors --tensors --json | grep '"name"'
