# An output is never replaced without --force, and only by something complete; what is no model is not replaced at all.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -o out
expect 1 sinq quantize -m sinq model -o out
expect 2 sinq quantize -m sinq model -o out --force --tensor 'lm_head|x=bits:9'
sinq inspect out | grep linear
sinq quantize -q -m sinq model -o out --force --bits 3
sinq inspect out | grep linear
mkdir other && echo precious >other/file
expect 1 sinq quantize -m sinq model -o other --force
cat other/file
