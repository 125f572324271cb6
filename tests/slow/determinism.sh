#!/bin/sh
# The same bytes for any number of threads and every instruction set (SINQ_CPU_LEVELS=native: this machine's best alone).
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-determinism.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$SINQ_TOOLS/make_checkpoint" "$folder/model" small
levels="c sse2 avx2 avx2-vnni avx512-vnni neon"
[ "${SINQ_CPU_LEVELS-}" != native ] || levels=$(env -u SINQ_CPU "$SINQ_PROGRAM" --version | sed -n 's/^cpu: //p')
expected=
runs=0
compare() {
    "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" --force --quiet "$@"
    sum=$(cd "$folder/out" && sha256sum ./* | sha256sum)
    runs=$((runs + 1))
    [ -n "$expected" ] || expected=$sum
    [ "$sum" = "$expected" ] || { echo "determinism: SINQ_CPU=${SINQ_CPU-} $* gives other bytes"; exit 1; }
}
for recipe in "--bits 4 --embed-bits 8" "--bits 3 --group-size 32 --method sinq-hqq --head-bits 3" "--recipe paper --bits 2" \
    "--method sinq-nf4 --group-size 16" "--method rtn --group-size row --bits 5" "--method sinq-search --bits 3 --effort best"; do
    expected=
    for cpu in $levels; do
        export SINQ_CPU=$cpu
        "$SINQ_PROGRAM" --version >/dev/null 2>&1 || continue
        # shellcheck disable=SC2086 # a recipe is several words
        for threads in 1 2 3 7; do compare $recipe -t $threads; done
    done
done
echo "determinism: $runs runs, the same bytes for each recipe"
[ $runs -ge 20 ]
