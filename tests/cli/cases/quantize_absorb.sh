# --absorb: the plan, the result, a run that stops and goes on, and what cannot be absorbed.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n -m sinq --absorb model | tail -n 9
sinq quantize -q -m sinq --absorb model -o out
sinq inspect out --verify
grep -o '"absorbed": *true' out/config.json
sinq eval out --reference model --text "$SINQ_EXAMPLE/../copper-beeches.txt" --max-windows 2 --window 256 --max-ppl-increase 25% -q
# Only a run of the same options goes on, and with other threads to the same bytes.
(ulimit -f 2000 && expect 1 sinq quantize -m sinq --absorb -t 1 model -o again 2>/dev/null)
expect 1 sinq quantize -m sinq model -o again --resume
expect 1 sinq quantize -m sinq --absorb --tensor 'o_proj=keep' model -o again --resume
sinq quantize -q -m sinq --absorb -t 3 model -o again --resume
cmp out/model.safetensors again/model.safetensors
expect 2 sinq quantize -m sinq --absorb model -o model --force
# What it cannot be without.
cp model/model.safetensors bare.safetensors
expect 1 sinq quantize -m sinq --absorb bare.safetensors
alter_model unknown 's/"model_type": "qwen3"/"model_type": "rwkv"/'
expect 1 sinq quantize -m sinq --absorb unknown
alter_model layers7 's/"num_hidden_layers": 6/"num_hidden_layers": 7/; /layer_types/,/],/d'
expect 1 sinq quantize -m sinq --absorb layers7
make_nan_model nan
expect 1 sinq quantize -m sinq --absorb nan
# What is quantized already.
expect 2 sinq quantize -m sinq --absorb out -o twice
sinq quantize -q -m sinq --absorb --allow-requantize out -o twice
# Empty tensors of any shape take nothing.
mkdir many
ln -s "$SINQ_EXAMPLE/config.json" many/
ln -s "$SINQ_EXAMPLE/model.safetensors" many/a.safetensors
write_safetensors many/more.safetensors '{"extra":{"dtype":"BF16","shape":[1125899906842624,0,4],"data_offsets":[0,0]}}' 0
sinq quantize -q -m sinq --absorb many -o few
sinq inspect few --tensors | grep extra
ls
