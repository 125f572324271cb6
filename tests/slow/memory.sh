#!/bin/sh
# Quantizing 4.4 GB stays under three times the largest matrix in f32 (one expert) plus 256 MB, for up to 8 threads.
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/sinq-memory.XXXXXX")
trap 'rm -rf "$folder"' EXIT
free_kb=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
if [ "$free_kb" -lt 7000000 ]; then
    echo "SKIPPED: memory: $folder has less than 7 GB free"
    exit 0
fi
# A GGUF file as the source: quantizing it holds a small part of it, and running it at most 1.35 times the file and what any model takes.
"$SINQ_TOOLS/make_checkpoint" "$folder/model" medium
limit_kb=$(((3 * 2 * 768 * 512 * 4 + 32 * 1024 * 1024) / 1024))
for type in q8_0 q2_k; do
    "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/model.gguf" --format gguf --type $type --force --quiet
    file_kb=$(($(wc -c <"$folder/model.gguf") / 1024))
    "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" quantize "$folder/model.gguf" -o "$folder/out" -t 8 --force --quiet \
        --allow-requantize 3>"$folder/peak"
    read -r peak_kb seconds <"$folder/peak"
    echo "memory: from $type: peak $((peak_kb / 1024)) MB of $((limit_kb / 1024)) MB allowed, $seconds s for $((file_kb / 1024)) MB"
    [ "$peak_kb" -le "$limit_kb" ]
    "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" run "$folder/model.gguf" --token-ids -p "1 2 3" -n 2 -c 512 --temp 0 -t 2 \
        --ignore-eos -q >"$folder/ids" 3>"$folder/peak"
    read -r peak_kb seconds <"$folder/peak"
    run_kb=$((file_kb * 135 / 100 + 16 * 1024))
    echo "memory: run from $type: peak $((peak_kb / 1024)) MB of $((run_kb / 1024)) MB allowed, $seconds s"
    [ "$peak_kb" -le "$run_kb" ]
done
rm -rf "$folder/model" "$folder/model.gguf" "$folder/out"

"$SINQ_TOOLS/make_checkpoint" "$folder/model" large
largest=$((2 * 768 * 2048))
limit_kb=$(((3 * largest * 4 + 256 * 1024 * 1024) / 1024))
for threads in 8 1; do
    "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" -t $threads --force --quiet \
        3>"$folder/peak"
    read -r peak_kb seconds <"$folder/peak"
    echo "memory: -t $threads: peak $((peak_kb / 1024)) MB of $((limit_kb / 1024)) MB allowed, $seconds s for 4.4 GB"
    [ "$peak_kb" -le "$limit_kb" ]
done
# The embedding alone, quantized: now it is the largest matrix.
limit_kb=$(((3 * 151936 * 2048 * 4 + 256 * 1024 * 1024) / 1024))
"$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/out" -t 8 --force --quiet \
    --embed-bits 4 3>"$folder/peak"
read -r peak_kb seconds <"$folder/peak"
echo "memory: with embeddings: peak $((peak_kb / 1024)) MB of $((limit_kb / 1024)) MB allowed, $seconds s"
[ "$peak_kb" -le "$limit_kb" ]

# Running: weights stay in the mapped file. With 250 MB of memory that can be written to, 4.4 GB of weights give two tokens.
(
    ulimit -d 256000
    "$SINQ_PROGRAM" run "$folder/model" --token-ids -p "1 2 3 4 5 6 7 8" -n 2 -c 512 --temp 0 -t 2 --ignore-eos -q
) >"$folder/ids"
echo "memory: 4.4 GB run within 250 MB of its own: $(cat "$folder/ids")"
[ "$(wc -w <"$folder/ids")" -eq 2 ]
