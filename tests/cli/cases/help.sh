# All commands, and no more than there are.
. "$SINQ_CLI/helpers.sh"
sinq help >one
sinq --help >two
sinq -h >three
cmp one two && cmp one three && cat one
