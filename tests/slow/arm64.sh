#!/bin/sh
# The kernels' tests on arm64 under qemu: with the dot product of ARMv8.2 and without. And a small model is quantized to the same
# bytes as here.
set -eu
build=$1
shift
export CK_FORK=no OMP_NUM_THREADS=2
# Loader and C library must be of one package, libc6:arm64's: the cross compiler's loader with that library hangs where a thread begins.
unset QEMU_LD_PREFIX
for processor in max cortex-a53; do
    for program in "$@"; do
        echo "arm64, $processor: ${program##*/}"
        qemu-aarch64 -cpu "$processor" "$program"
    done
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-arm64.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$SINQ_TOOLS/make_checkpoint" "$folder/model" small
"$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/here" --bits 3 --method sinq-hqq --quiet
qemu-aarch64 -cpu max "$build/sinq" quantize "$folder/model" -o "$folder/there" --bits 3 --method sinq-hqq --quiet
for file in "$folder"/here/*; do
    cmp "$file" "$folder/there/${file##*/}" || { echo "arm64: other bytes than here: ${file##*/}"; exit 1; }
done
echo "arm64: the same bytes as here"
