# A result that cannot be written is a failure.
. "$SINQ_CLI/helpers.sh"
take_model
[ -w /dev/full ] || { echo "no /dev/full here"; exit 77; }
expect 1 sinq help >/dev/full
expect 1 sinq --version >/dev/full
expect 1 sinq inspect model --tensors >/dev/full
expect 1 sinq quantize model -n --json >/dev/full
expect 1 sinq help >&-
