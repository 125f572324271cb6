# A plain checkpoint: its plan, a cast, from GGUF and from our own layout, folded, in several files, resumed, and what is refused.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n --format safetensors --type f16 --tensor 'q_norm=type:f32' model | tail -n 9
sinq quantize --format safetensors --type f16 model | sed 's/time .*//'
ls model-f16
grep dtype model-f16/config.json
sinq eval model-f16 --reference model --weights --top 1 | tail -n 3
sinq quantize -q --format gguf --type q4_0 model
expect 2 sinq quantize --format safetensors --type f32 model-q4_0.gguf
sinq quantize -q --format safetensors --type f32 --allow-requantize model-q4_0.gguf -o back
ls back
sinq eval back --reference model-q4_0.gguf --weights --top 1 | tail -n 3
sinq run back -q -p 'It was a dark night, and the wind' -n 4 --temp 0
echo
sinq quantize -q model -o native
sinq quantize -q --format safetensors --type f32 --allow-requantize native -o back --force
sinq eval back --reference native --weights --top 1 | tail -n 3
grep -c quantization_config native/config.json back/config.json
# What is folded computes the same, and other quantizers start from it.
sinq quantize -q --absorb --format safetensors --type f32 model -o folded
sinq eval folded --reference model --text "$SINQ_EXAMPLE/../copper-beeches.txt" --max-windows 1 --window 128 --exact --kv f32 --max-kl 1e-9 -q
expect 3 sinq eval folded --reference model --weights --max-error 1e-3 -q
sinq quantize -q --absorb --format safetensors --type bf16 model --max-shard-size 3MB -o folded-bf16 -t 1
ls folded-bf16
sinq inspect folded-bf16 --verify | tail -n 1
(ulimit -f 5000 && expect 1 sinq quantize --absorb --format safetensors --type bf16 model -o again --max-shard-size 3MB 2>/dev/null)
expect 1 sinq quantize --format safetensors --type bf16 model -o again --max-shard-size 3MB --resume
sinq quantize -q --absorb --format safetensors --type bf16 model -o again --max-shard-size 3MB --resume -t 3
for file in folded-bf16/*; do cmp "$file" "again/${file#*/}"; done
# A lone file, FP8 with its scales, and a family that nobody knows.
cp model/model.safetensors bare.safetensors
sinq quantize -q --format safetensors --type f32 bare.safetensors
expect 1 sinq quantize --absorb --format safetensors --type f32 bare.safetensors -o no.safetensors
write_safetensors fp8.safetensors '{"q.weight":{"dtype":"F8_E4M3","shape":[128,128],"data_offsets":[0,16384]},"q.weight_scale_inv":{"dtype":"F32","shape":[1,1],"data_offsets":[16384,16388]}}' 16388
sinq quantize -q --format safetensors --type bf16 fp8.safetensors
sinq inspect fp8-bf16.safetensors --tensors | grep weight
alter_model unknown 's/"model_type": "qwen3"/"model_type": "rwkv"/'
sinq quantize -q --format safetensors --type f32 unknown
# Values that a type does not hold.
make_large_model large
expect 1 sinq quantize --format safetensors --type f16 large
sinq quantize -q --format safetensors --type bf16 large
make_nan_model nan
expect 1 sinq quantize --format safetensors --type bf16 nan
expect 2 sinq quantize --format safetensors model
expect 2 sinq quantize --format safetensors --type q4_0 model
expect 2 sinq quantize --format safetensors --type f16 --bits 3 model
ls -d ./*
