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
alter_model layers7 's/"num_hidden_layers": 6/"num_hidden_layers": 7/; /layer_types/,/],/d'
expect 1 sinq quantize --format gguf --type f16 layers7
alter_weights missing 's/model\.norm\.weight/model.nrom.weight/'
expect 1 sinq quantize --format gguf --type f16 missing
make_nan_model nan
expect 1 sinq quantize --format gguf --type q4_0 nan -o nan.gguf
sinq quantize -q --force --format gguf --type q4_0 --nonfinite zero nan -o nan.gguf
# A run that stops goes on with the same options alone; what is absorbed is not what is not.
(ulimit -f 3000 && expect 1 sinq quantize --format gguf --type q4_0 --absorb model -o a.gguf 2>/dev/null)
expect 1 sinq quantize --format gguf --type q4_0 model -o a.gguf --resume
expect 1 sinq quantize --format gguf --type q4_0 --absorb model -o a.gguf --resume --split-max-size 1MB
expect 1 sinq quantize --format gguf --type q4_0 --absorb model -o a.gguf
sinq quantize -q --format gguf --type q4_0 --absorb model -o a.gguf --resume
sinq quantize -q --format gguf --type q4_0 --absorb model -o c.gguf -t 1
cmp a.gguf c.gguf
# Columns that count by SINQ's scales: other codes in the same room.
sinq quantize -q --format gguf --type q4_0 model -o plain.gguf
sinq quantize -q --format gguf --type q4_0 --importance sinq model -o weighted.gguf -t 1
sinq quantize -q --format gguf --type q4_0 --importance sinq model -o again.gguf -t 3
cmp weighted.gguf again.gguf
cmp -s weighted.gguf plain.gguf && echo 'weighted.gguf is as if all columns counted alike'
[ "$(wc -c <weighted.gguf)" = "$(wc -c <plain.gguf)" ] || echo 'weighted.gguf has another size'
expect 2 sinq quantize --importance sinq model
expect 2 sinq quantize --format safetensors --type f16 --importance sinq model
rm plain.gguf weighted.gguf again.gguf
expect 1 sinq quantize --format gguf --type q4_0 model -o nosuch/a.gguf
ls -d ./*.gguf*
