# A failed model is an object too.
. "$SINQ_CLI/helpers.sh"
take_model a && mkdir out
sinq quantize -m sinq --json missing a -o out
