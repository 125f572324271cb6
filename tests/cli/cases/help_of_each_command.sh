# 'sinq help X', 'sinq X --help' and 'sinq X -h' are the same, on stdout, and go before everything else.
. "$SINQ_CLI/helpers.sh"
for command in quantize inspect eval run bench help; do
    sinq help $command >one
    sinq $command --help >two
    sinq $command nosuchfile -h >three
    cmp one two && cmp one three && head -n 1 one
done
