# A GGUF file as the model of every command; one whose weights are quantized is quantized again only where that is asked for.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q --format gguf --type f16 model
sinq quantize -q --format gguf --type q4_0 model
sinq inspect model-q4_0.gguf --verify
sinq inspect model-q4_0.gguf --tensors | tail -n 6
# f16 is not bf16, but of these weights it loses next to nothing.
for model in model model-f16.gguf model-q4_0.gguf; do
    sinq run $model -q -p 'It was a dark night, and the wind' -n 8 --temp 0
    echo
    printf '5 6 7\n' | sinq run $model -q --token-ids -n 8 --temp 0
    echo
done
sinq eval model-f16.gguf --reference model --weights --top 1
sinq eval model-q4_0.gguf --reference model --text "$SINQ_EXAMPLE/../copper-beeches.txt" --max-windows 2 --window 256 --max-ppl-increase 25% -q
# Quantizing: f16 is as good as any original, codes are not.
sinq quantize -q -m sinq model-f16.gguf
expect 2 sinq quantize model-q4_0.gguf
expect 2 sinq quantize --absorb model-q4_0.gguf
expect 2 sinq quantize --format gguf --type q5_0 model-q4_0.gguf -o q5.gguf
expect 2 sinq quantize --format gguf --type f16 model-f16.gguf -o model-f16.gguf --force
sinq quantize -q -m sinq --allow-requantize model-q4_0.gguf
sinq quantize -q -m sinq --allow-requantize --absorb model-q4_0.gguf -o absorbed
sinq inspect absorbed --verify | tail -n 1
sinq quantize -q --format gguf --type q4_0 model-f16.gguf
sinq eval model-f16-q4_0.gguf --reference model-q4_0.gguf --weights --top 1 | tail -n 3
ls
