# One line each, exit code 1.
. "$SINQ_CLI/helpers.sh"
mkdir empty
expect 1 sinq inspect empty
expect 1 sinq inspect nosuch
: >nothing
expect 1 sinq inspect nothing
printf 'GGUF\003\0\0\0' >model.gguf
expect 1 sinq inspect model.gguf
write_safetensors short '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}' 15
expect 1 sinq inspect short
write_safetensors wrong '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,16]}}' 16
expect 1 sinq inspect wrong
expect 1 sinq quantize wrong
write_safetensors unknown '{"a":{"dtype":"Q9","shape":[4],"data_offsets":[0,16]}}' 16
expect 1 sinq inspect unknown
expect 1 sinq eval wrong --reference short --weights
ls
