# '_' is '-', values with '=' or behind, shortened names, options behind operands, '--'.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize --group_size=32 model --dry_run --bits 3 | tail -n 6 >one
sinq quantize -g32 -nb3 -- model | tail -n 6 >two
sinq quantize model -n --group 32 --bits=3 | tail -n 6 >three
cmp one two && cmp one three && head -n 1 one
mkdir ./--json && cp model/* ./--json
sinq quantize -q -o out -- --json && ls out
