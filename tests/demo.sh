#!/bin/sh
# The main job on the built-in model: quantize, inspect, check.
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-demo.XXXXXX")
trap 'rm -rf "$folder"' EXIT
show() {
    echo
    echo "\$ sinq $*"
    "$SINQ_PROGRAM" "$@"
}
cp -r "$SINQ_EXAMPLE" "$folder/classics-3m"
cd "$folder"
show quantize classics-3m --bits 4
show inspect classics-3m-sinq-4bit-g64 --verify
show eval classics-3m-sinq-4bit-g64 --reference classics-3m --weights --top 8
show quantize classics-3m --bits 3 --group-size 32 --embed-bits 8 -o tiny
show inspect tiny
