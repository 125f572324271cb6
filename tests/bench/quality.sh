#!/bin/sh
# quality.sh PROGRAM MODEL WINDOWS TEXT...: writes docs/quality.md, all but the part that quality_gguf.sh writes.
set -eu
program=$1
shift
if [ $# -lt 3 ] || [ -z "$1" ]; then
    echo "make quality MODEL=path/to/classics-45m [TEXTS='books.txt wiki.txt c4.txt'] [WINDOWS=16]" >&2
    exit 2
fi
new=docs/quality.md.new
trap 'rm -f "$new" "$new.end"' EXIT
"$program" "$@" >"$new"
sed -n "/^## GGUF's types/,\$p" docs/quality.md >"$new.end"
if [ -s "$new.end" ]; then echo; cat "$new.end"; fi >>"$new"
mv "$new" docs/quality.md
echo "docs/quality.md written"
