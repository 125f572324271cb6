# The reference implementation's layout: written, read by every command, and native again with the same codes.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -n --format sinq-reference model | tail -n 7
sinq quantize -q --format sinq-reference model
ls model-sinq-reference-4bit-g64
grep -c '"sinq": true' model-sinq-reference-4bit-g64/config.json
head -c 330 model-sinq-reference-4bit-g64/model.safetensors.index.json.meta.json
echo
sinq inspect --verify model-sinq-reference-4bit-g64
sinq eval model-sinq-reference-4bit-g64 --reference model --text "$SINQ_EXAMPLE/../copper-beeches.txt" --max-windows 2 --window 256 --max-ppl-increase 25% -q
sinq run model-sinq-reference-4bit-g64 -q -p 'It was a dark night, and the wind' -n 8 --temp 0
echo
# Codes, and f16 scales and zeros, survive both ways.
sinq quantize -q -m sinq --scale-type f16 model -o native
sinq quantize -q --format sinq-reference native -o there
sinq quantize -q there -o back
cmp native/model.safetensors back/model.safetensors
grep -c '"sinq": true' back/config.json || true
sinq quantize -q model-sinq-reference-4bit-g64 -o native8
sinq eval native8 --reference model-sinq-reference-4bit-g64 --weights --top 1 | tail -n 3
sinq quantize -m sinq model -o u8 -q
sinq quantize --format sinq-reference --scale-type u8 u8 -o u8-there | grep -E 'coding|bits/weight'
# A run that stops goes on.
(ulimit -f 2000 && expect 1 sinq quantize --format sinq-reference native -o stopped 2>/dev/null)
sinq quantize -q --format sinq-reference native -o stopped --resume
cmp there/model-00001-of-00001.safetensors stopped/model-00001-of-00001.safetensors
cmp there/model.safetensors.index.json.meta.json stopped/model.safetensors.index.json.meta.json
# Without zero points.
sinq quantize -q -m sinq-noz --scale-type f16 model -o noz
sinq quantize -q --format sinq-reference noz -o noz-there
sinq inspect noz-there | grep stored
sinq eval noz-there --reference noz --weights --top 1 | tail -n 1
sinq quantize -q noz-there -o noz-back
cmp noz/model.safetensors noz-back/model.safetensors
expect 1 sinq quantize -q -m sinq-noz --format sinq-reference model -o noz8
grep -c '"method": "sinq_noz"' noz-there/model.safetensors.index.json.meta.json
sinq run noz-there -q -p 'It was a dark night, and the wind' -n 8 --temp 0
echo
expect 2 sinq quantize -b 2 -m sinq-noz model
expect 1 sinq quantize -q -m sinq-levels --format sinq-reference model
expect 1 sinq quantize -q -m sinq-search --scale-type u6 --format sinq-reference model
expect 2 sinq quantize -q --format sinq-reference --scale-type u6 u8 -o no
expect 2 sinq quantize -b 5 -m sinq-levels model
expect 2 sinq quantize -m sinq --scale-type u6 model
# What cannot be said there.
expect 1 sinq quantize --format sinq-reference --embed-bits 4 model -o no
sinq quantize -n --format sinq-reference -g 128 --tensor 'q_proj=bits:3,method:nf3' --exclude 'v_proj' model | grep -E 'q_proj|v_proj|down'
expect 2 sinq quantize there -b 3
expect 2 sinq quantize --format sinq-reference there -o no
expect 2 sinq quantize --format sinq-reference --type q4_0 model
sinq quantize -q --format sinq-reference --tiling 2d -b 3 model -o tiled
sinq inspect tiled | grep stored
expect 1 sinq quantize tiled -o no
sinq quantize -q -g 128 model -o wide
expect 1 sinq quantize --format sinq-reference wide -o no
# Sidecars that are missing or lie.
cp -R there lost
rm lost/model.safetensors.index.json.meta.json
expect 1 sinq inspect lost
sed 's/"nbits": 4/"nbits": 3/' there/model.safetensors.index.json.meta.json >lost/model.safetensors.index.json.meta.json
expect 1 sinq inspect lost
ls
