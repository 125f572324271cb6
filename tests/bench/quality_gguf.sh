#!/bin/sh
# quality_gguf.sh PROGRAM MODEL TWIN TEXT=WINDOWS...: the part of docs/quality.md on GGUF's types with and without --absorb. TWIN is a
# checkpoint that computes the same as MODEL and is harder to quantize. Everything goes through the program's own commands and files.
set -eu
if [ $# -lt 4 ]; then
    echo "make quality-gguf MODEL=path/to/classics-45m TWIN=path/to/its/twin TEXTS='books.txt=16 wiki.txt=8 c4.txt=8'" >&2
    exit 2
fi
program=$1 model=$2 twin=$3
shift 3
types=${TYPES:-q4_0 q4_k q3_k}
names=$(for text in "$@"; do basename "$text" | sed s/.txt//; done | xargs)
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-quality.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

# number KEY: its value in the JSON on stdin.
number() { sed -n "s/.*\"$1\": \([-+.e0-9]*\),*$/\1/p" | head -n 1; }

# measure NAME MODEL ABSORB TYPE TEXT=WINDOWS...: a line "NAME ABSORB TYPE TEXT KL ERROR" for each text.
measure() {
    name=$1 source=$2 absorb=$3 type=$4
    shift 4
    # shellcheck disable=SC2086 # none or one word
    "$program" quantize -q -f --format gguf --type "$type" --tensor 'embed_tokens=keep' $absorb \
        -o "$folder/m.gguf" "$source"
    for text in "$@"; do
        "$program" eval --json --exact --window 512 --score second-half --max-windows "${text#*=}" \
            --reference "$source" --text "${text%=*}" "$folder/m.gguf" >"$folder/m.json"
        echo "$name ${absorb:-plain} $type $(basename "${text%=*}" .txt) $(number kl <"$folder/m.json")" \
            "$(number kl_error <"$folder/m.json")"
    done
}

# The lines as a table.
print_section() {
    cat <<MARKDOWN
## GGUF's types, with and without --absorb

Made by \`make quality-gguf\`: files that \`sinq quantize --format gguf --type T --tensor 'embed_tokens=keep' [--absorb]\` writes, then
\`sinq eval FILE --reference MODEL --exact --window 512 --score second-half --max-windows N --text TEXT\`, where TEXT=N was $names.
The twin is the model with column scales spread by exp(0.35 n), n normal, in everything that a norm or a layer before can carry, which
changes nothing of what it computes: large models have such spreads. KL in nats with its standard error; *ratio* is that of the two.

| checkpoint | type | text | KL | KL with --absorb | ratio |
|---|---|---|---|---|---|
MARKDOWN
    awk '{ kl[$1, $3, $4, $2] = $5; error[$1, $3, $4, $2] = $6; key = $1 SUBSEP $3 SUBSEP $4; if (!(key in seen)) order[count++] = key; seen[key] = 1 }
    END {
        for (pass = 0; pass < 2; pass++)
            for (i = 0; i < count; i++) {
                split(order[i], part, SUBSEP)
                if ((part[1] == "twin") != pass) continue
                a = kl[order[i], "plain"]; b = kl[order[i], "--absorb"]
                printf "| %s | %s | %s | %.5f ± %.5f | %.5f ± %.5f | %.3f |\n", part[1], part[2], part[3],
                    a, error[order[i], "plain"], b, error[order[i], "--absorb"], b / a
            }
    }' "$folder/lines"
}

for type in $types; do
    for absorb in "" --absorb; do
        measure model "$model" "$absorb" "$type" "$@"
        measure twin "$twin" "$absorb" "$type" "$@"
    done
done >"$folder/lines"

new=docs/quality.md.new
trap 'rm -rf "$folder" "$new"' EXIT
sed "/^## GGUF's types/,\$d" docs/quality.md >"$new"
print_section >>"$new"
mv "$new" docs/quality.md
echo "docs/quality.md: the part on GGUF's types is written"
