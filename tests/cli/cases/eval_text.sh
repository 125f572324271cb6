# A model on a text; alone, against itself (nothing differs), and against what it was quantized from.
. "$SINQ_CLI/helpers.sh"
take_model
write_text text
sinq quantize -q -m sinq model -o small
sinq eval model --text text --exact --kv f32
echo
sinq eval model --reference model --text text --window 32 --score second-half --exact
echo
sinq eval small --reference model --text text --window 48 --stride 24 --max-windows 2
