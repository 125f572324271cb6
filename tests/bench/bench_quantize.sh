#!/bin/sh
# The whole job, file to file: 16 matrices of 4096 x 4096, source in the page cache, output on tmpfs where there is one.
set -eu
base=/dev/shm
[ -d $base ] && [ -w $base ] || base=${TMPDIR:-/tmp}
folder=$(mktemp -d "$base/sinq-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$SINQ_TOOLS/make_checkpoint" "$folder/model" bench
weights=268435456
for recipe in "--recipe paper" "--bits 4" "--bits 3" "--bits 4 --method rtn" "--bits 4 --method sinq-nf4"; do
    for threads in 1 2; do
        for run in 1 2 3 4 5; do
            # shellcheck disable=SC2086
            "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" --force --quiet \
                -t $threads $recipe 3>>"$folder/times"
        done
        sort -n -k 2 "$folder/times" | awk -v w=$weights -v r="$recipe" -v t=$threads '{ s[NR] = $2; m = $1 }
            END { printf "%-32s -t %d  %6.3f s (%.3f .. %.3f)  %.3f billion weights/s, peak %d MB\n", r, t, s[3], s[1], s[5], w / s[3] / 1e9, m / 1024 }'
        rm -f "$folder/times"
    done
done
