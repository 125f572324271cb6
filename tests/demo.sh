#!/bin/sh
# The main job on the built-in model: quantize, inspect, compare weights, measure both models on a text, let them write.
set -eu
data=$(dirname "$SINQ_EXAMPLE")
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-demo.XXXXXX")
trap 'rm -rf "$folder"' EXIT
show() {
    echo
    printf '$ sinq'
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9./_:=-]*) printf " '%s'" "$word" ;;
        *) printf ' %s' "$word" ;;
        esac
    done
    echo
    "$SINQ_PROGRAM" "$@"
}
cp -r "$SINQ_EXAMPLE" "$folder/classics-3m"
cp "$data/copper-beeches.txt" "$folder"
cd "$folder"
show quantize classics-3m --bits 4
small=$(echo classics-3m-sinq-*) # as the program named it
show inspect "$small" --verify
show eval "$small" --reference classics-3m --weights --top 8
show quantize classics-3m --bits 3 --group-size 32 --embed-bits 8 -o tiny
show inspect tiny
show eval classics-3m --text copper-beeches.txt --window 512
show eval "$small" --reference classics-3m --text copper-beeches.txt --window 512
show eval tiny --reference classics-3m --text copper-beeches.txt --window 512
for model in classics-3m "$small" tiny; do
    show run $model -p 'It was a dark night, and the wind' -n 48 --seed 6
    echo
done
