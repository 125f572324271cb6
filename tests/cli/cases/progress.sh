# JSON events, or lines with -v, on stderr; stdout is the same with and without.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize model -o a --json --progress=json >one 2>events
sinq quantize model -o b --json -v >two 2>lines
grep -vc '^{"schema": "sinq.progress/1", "model": "model", "activity": "[a-z]*", "tensor": .*}$' events
[ "$(wc -l <events)" -ge 1 ] && echo "events"
grep -c '^quantizing .*/68 model\.' lines
grep '^quantizing 1/68 ' lines
grep -v -e seconds -e output one >one.same
grep -v -e seconds -e output two >two.same
cmp one.same two.same && echo "the same on stdout"
