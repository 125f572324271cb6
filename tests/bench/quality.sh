#!/bin/sh
# quality.sh PROGRAM MEASURE DRAW CACHE: what quantizing costs, by method, bits, model and text: fills docs/quality.md between its two marks,
# and writes docs/quality.tsv and docs/quality.png. `make quality` calls it; what it is told comes by the environment:
#
#   MODEL, TWIN       checkpoints: classics-45m, and one that computes the same and is harder to quantize (or empty)
#   TEXTS, WINDOWS    files, of which the first WINDOWS windows are read, or all with 0
#   SHARED_DATA       for {shared} in quality_methods.txt
#   QUALITY_METHODS   names of rows of quality_methods.txt to measure, QUALITY_BITS bits: all where empty
#   QUALITY_BATCH     models measured side by side (6)
#   QUALITY_TRUST     if not empty: what was measured with the same arguments is not quantized again to see whether it is still the same
#
# What was measured stays in CACHE, and is measured again only where the quantized bytes, the text or the model are others. So a
# method that is added costs that method alone, and a run that was stopped goes on. The tables show all that is in CACHE.
set -eu
here=$(dirname "$0")
program=$1 measure=$2 draw=$3 cache=$4
if [ -z "${MODEL-}" ] || [ -z "${TEXTS-}" ]; then
    echo "make quality MODEL=path/to/classics-45m [TWIN=path/to/its/twin] [TEXTS='books.txt wiki.txt c4.txt'] [WINDOWS=0]" >&2
    exit 2
fi
windows=${WINDOWS:-0} batch=${QUALITY_BATCH:-6} failed=0
mkdir -p "$cache"
scratch=$(mktemp -d "$cache/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# rows METHODS BITS: "NAME BITS ARGUMENTS" of each row wanted.
rows() {
    awk -v names=" $1 " -v widths=" $2 " -v shared="${SHARED_DATA-}" '
        /^#/ || NF < 3 || (names !~ /^ *$/ && !index(names, " " $1 " ")) { next }
        {
            count = split($2, bits, ",")
            words = $0
            sub(/^[^ ]+ +[^ ]+ +/, "", words)
            for (i = 1; i <= count; i++) {
                if (widths !~ /^ *$/ && !index(widths, " " bits[i] " ")) continue
                line = words
                gsub(/\{bits\}/, bits[i], line)
                gsub(/\{shared\}/, shared, line)
                print $1, bits[i], line
            }
        }' "$here/quality_methods.txt"
}

checksum() { cat "$@" | cksum | cut -d ' ' -f 1; }

# The name that a text's sums have.
name_sums() { echo "$(basename "$1" .txt)-$(checksum "$1")-$windows.sums"; }

# is_whole FOLDER: whether all texts are measured.
is_whole() {
    for text in $TEXTS; do [ -f "$1/$(name_sums "$text")" ] || return 1; done
}

# quantize FOLDER SOURCE ARGUMENTS: FOLDER/output and what is known of it in FOLDER/facts; old sums go if it is another.
# {calib} in them are statistics of the texts to calibrate with, {self} of a text that the model writes, made by the first method that
# asks for them.
quantize() {
    output=$1/output kept=$(dirname "$1")/statistics calib= self="--calib self --calib-tokens 49152 --save-stats $kept-self"
    for text in c4 wiki; do calib="$calib --calib ${SHARED_DATA-}/text/calib-$text.txt"; done
    calib="$calib --calib-tokens 24576 --save-stats $kept"
    if [ -f "$kept" ]; then calib="--stats $kept"; fi
    if [ -f "$kept-self" ]; then self="--stats $kept-self"; fi
    options=$(echo "$3" | sed "s|{calib}|$calib|; s|{self}|$self|")
    case $3 in *gguf*) output=$1/output.gguf ;; esac
    # shellcheck disable=SC2086 # arguments are words
    "$program" quantize -q -f --json $options -o "$output" "$2" >"$scratch/report" || return 1
    bits_per_weight=$(sed -n 's/.*"linear_bits_per_weight": \([.0-9]*\),*$/\1/p' "$scratch/report")
    if [ -d "$output" ]; then sum=$(checksum "$output"/*.safetensors); else sum=$(checksum "$output"); fi
    printf '%s\n' "$bits_per_weight" "$sum" "$3" >"$scratch/facts"
    [ "$(sed -n 2p "$1/facts" 2>/dev/null)" = "$sum" ] || rm -f "$1"/*.sums
    mv "$scratch/facts" "$1/facts"
}

# measure_pending SOURCE: the outputs of all folders in the list of those pending.
measure_pending() {
    for text in $TEXTS; do
        sums=$(name_sums "$text")
        set -- "$1"
        while read -r folder; do
            output=$folder/output
            [ -e "$output" ] || output=$folder/output.gguf
            [ -f "$folder/$sums" ] || set -- "$@" "$output" "$folder/$sums"
        done <"$scratch/pending"
        source=$1
        shift
        [ $# = 0 ] || "$measure" "$source" "$text" "$windows" "$@"
        set -- "$source"
    done
    while read -r folder; do rm -rf "$folder"/output*; done <"$scratch/pending"
    : >"$scratch/pending"
}

# measure_model FOLDER SOURCE
measure_model() {
    sum=$(checksum "$2"/*.safetensors)
    [ "$(cat "$1/source" 2>/dev/null)" = "$sum" ] || rm -rf "$1"
    mkdir -p "$1"
    echo "$sum" >"$1/source"
    : >"$scratch/pending"
    rows "${QUALITY_METHODS-}" "${QUALITY_BITS-}" >"$scratch/rows"
    while read -r name bits arguments <&3; do
        folder=$1/$name-$bits
        mkdir -p "$folder"
        if [ -n "${QUALITY_TRUST-}" ] && [ "$(sed -n 3p "$folder/facts" 2>/dev/null)" = "$arguments" ] && is_whole "$folder"; then
            continue
        fi
        if ! quantize "$folder" "$2" "$arguments"; then
            echo "quality: $name at $bits bits is left out" >&2
            failed=1
            continue
        fi
        if is_whole "$folder"; then rm -rf "$folder"/output*; else echo "$folder" >>"$scratch/pending"; fi
        [ "$(wc -l <"$scratch/pending")" -lt "$batch" ] || measure_pending "$2"
    done 3<"$scratch/rows"
    measure_pending "$2"
}

# "MODEL NAME BITS BITS-PER-WEIGHT TEXT SUMS" of everything in the cache that the methods' table still has.
list_measured() {
    rows "" "" >"$scratch/rows"
    for model in model twin; do
        while read -r name bits arguments; do
            folder=$cache/$model/$name-$bits
            [ "$(sed -n 3p "$folder/facts" 2>/dev/null)" = "$arguments" ] || continue
            for text in $TEXTS; do
                sums=$folder/$(name_sums "$text")
                [ ! -f "$sums" ] || echo "$model $name $bits $(sed -n 1p "$folder/facts") $(basename "$text" .txt) $sums"
            done
        done <"$scratch/rows"
    done
}

measure_model "$cache/model" "$MODEL"
[ -z "${TWIN-}" ] || measure_model "$cache/twin" "$TWIN"
list_measured >"$scratch/list"
awk -v name="$(basename "$MODEL")" -v data="$scratch/data" -v plot="$scratch/plot" -f "$here/quality_tables.awk" "$here/quality_peers.txt" "$scratch/list" >"$scratch/tables"
"$draw" "$scratch/picture.png" "$(basename "$MODEL"): KL on books, first 16 windows, second halves" <"$scratch/plot"
awk -v tables="$scratch/tables" '
    /<!-- make quality: from here -->/ { print; while ((getline line < tables) > 0) print line; is_old = 1 }
    /<!-- make quality: to here -->/ { is_old = 0 }
    !is_old || /<!-- make quality: to here -->/ { if (!/from here -->/) print }' docs/quality.md >"$scratch/document"
cp "$scratch/data" docs/quality.tsv
cp "$scratch/picture.png" docs/quality.png
cp "$scratch/document" docs/quality.md
echo "docs/quality.md, docs/quality.tsv and docs/quality.png written"
exit $failed
