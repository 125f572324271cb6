#!/bin/sh
# Killed at 20 moments spread over the run, by SIGKILL, SIGINT and SIGTERM in turn, and resumed: the same bytes in the end.
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-kill.XXXXXX")
trap 'rm -rf "$folder"' EXIT
"$SINQ_TOOLS/make_checkpoint" "$folder/model" medium
quantize() { "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" -t 2 --max-shard-size 20M --quiet "$@"; }

start=$(date +%s%N)
quantize
total=$((($(date +%s%N) - start) / 1000000))
mv "$folder/out" "$folder/expected"
interrupted=0
for i in $(seq 1 20); do
    case $((i % 3)) in 0) signal=KILL ;; 1) signal=INT ;; *) signal=TERM ;; esac
    # Without a shell in between, so that the signal meets the program.
    "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" -t 2 --max-shard-size 20M --quiet 2>"$folder/err" &
    pid=$!
    sleep "$(awk -v i="$i" -v total="$total" 'BEGIN { srand(i); printf "%.3f", total / 1000 * (i - rand()) / 20 }')"
    kill -s $signal $pid 2>/dev/null || true
    status=0
    wait $pid 2>/dev/null || status=$?
    # SIGKILL may come between the output's appearing, which the comparison below then holds to be whole, and the end.
    if [ $status != 0 ] && ! { [ $signal = KILL ] && [ -e "$folder/out" ]; }; then
        interrupted=$((interrupted + 1))
        [ ! -e "$folder/out" ] || { echo "kill: moment $i: something stands under the final name"; exit 1; }
        # Before main() has begun a signal kills as any program; then there is nothing to keep.
        if [ $status -gt 128 ] && [ ! -e "$folder/out.partial" ]; then
            quantize
        elif [ $signal != KILL ] && [ $status != 75 ]; then
            echo "kill: moment $i: $signal gave exit code $status, expected 75"
            cat "$folder/err"
            exit 1
        else
            quantize --resume
        fi
    fi
    diff -r "$folder/out" "$folder/expected" || { echo "kill: moment $i: another result after resuming"; exit 1; }
    [ ! -e "$folder/out.partial" ]
    rm -rf "$folder/out"
done
echo "kill: $interrupted of 20 runs interrupted, all resumed to the same bytes"
[ $interrupted -ge 10 ]
