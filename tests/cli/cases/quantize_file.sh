# A file for a file, its name made from the input's; into a directory if OUT is one.
. "$SINQ_CLI/helpers.sh"
cp "$SINQ_EXAMPLE/model.safetensors" x.safetensors
mkdir folder
sinq quantize -q -m sinq x.safetensors --bits 3 --group-size row
sinq quantize -q -m sinq x.safetensors -o folder
sinq quantize -q -m sinq x.safetensors -o y
find . -type f | sort
sinq inspect y
