# What was begun with other options is not gone on with.
. "$SINQ_CLI/helpers.sh"
take_model
(ulimit -f 2000 && sinq quantize model -o out 2>/dev/null)
expect 1 sinq quantize model -o out
expect 1 sinq quantize model -o out --resume --bits 3
sinq quantize -q model -o out --resume && ls
