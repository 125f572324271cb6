# One line each, a total, and the first failure's exit code.
. "$SINQ_CLI/helpers.sh"
take_model a && take_model b && mkdir out
expect 2 sinq quantize -m sinq a b -o nosuch
expect 1 sinq quantize -m sinq a missing b -o out
ls out
sinq quantize -m sinq a b -o out -q --force
