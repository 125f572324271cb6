# GGUF: the plan, the file, its default name, several files, and what cannot go together.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n --format gguf --type q4_0 --tensor 'layers\.0\..*down=type:q6_k' --fallback q8_0 model
sinq quantize --format gguf --type q5_0 -q model
ls
head -c 4 model-q5_0.gguf
echo
expect 1 sinq quantize --format gguf --type q5_0 model
sinq quantize --format gguf --type q5_0 --split-max-size 1MB -q -o parts model
ls parts
sinq quantize --format gguf --type bf16 -q --json -o b.gguf model | grep -E '"type"|"bytes_after"|"relative_error"'
expect 2 sinq quantize --format gguf --type q4_k -o no.gguf model
expect 2 sinq quantize --format gguf model
expect 2 sinq quantize --type q4_0 model
expect 2 sinq quantize --format gguf --type q4_0 --bits 3 model
expect 2 sinq quantize --fallback q4_0 model
expect 2 sinq quantize --tensor 'q_proj=type:q4_0' model
alter_model unknown 's/"model_type": "qwen3"/"model_type": "rwkv"/'
expect 1 sinq quantize --format gguf --type f16 unknown
ls
