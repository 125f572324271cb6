. "$SINQ_CLI/helpers.sh"
cp -r "$SINQ_EXAMPLE" model && chmod u+w model
ln -s model other
expect 2 sinq quantize model -o model --force
expect 2 sinq quantize model -o other --force
expect 2 sinq quantize other -o model/ --force
cp model/model.safetensors x.safetensors && ln x.safetensors y.safetensors
expect 2 sinq quantize x.safetensors -o y.safetensors --force
cmp model/model.safetensors "$SINQ_EXAMPLE/model.safetensors" && cmp x.safetensors "$SINQ_EXAMPLE/model.safetensors" && ls
