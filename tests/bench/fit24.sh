#!/bin/sh
# A model whose bf16 weights take 60 GB and more on a card with 24 GB: a made-up checkpoint of that shape is quantized and run under
# a cap on the card's memory. `make CUDA=1 fit24` does it for both shapes; what it takes besides a card: 90 GB of memory or disk.
#   SHAPES   qwen3-32b qwen3-30b-a3b, or qwen3-small qwen3-small-experts for a rehearsal; SHAPE/LAYERS leaves layers out
#   MEMORY   24G     CONTEXT  8192     PROMPT  4096 tokens    PREDICT  128 tokens    BITS  4
#   DEVICE   cuda, or cpu for a rehearsal                     FOLDER   /dev/shm      QUANTIZE, RUN  further options
set -eu
shapes=${SHAPES:-qwen3-32b qwen3-30b-a3b}
memory=${MEMORY:-24G} context=${CONTEXT:-8192} prompt=${PROMPT:-4096} predict=${PREDICT:-128} device=${DEVICE:-cuda}
base=${FOLDER:-/dev/shm}
folder=$(mktemp -d "$base/sinq-fit24.XXXXXX")
watcher=
stop_watching() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    watcher=
}
trap 'stop_watching; rm -rf "$folder"' EXIT

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
# The first number that member $2 has in a JSON file.
member() { awk -v key="\"$2\":" '$1 == key { gsub(/[,"]/, "", $2); print $2; exit }' "$1"; }
short() { printf '%.4g' "$(member "$1" "$2")"; }
bytes_of() { du -sLb "$1" | cut -f 1; }

# What nvidia-smi sees of the card meanwhile, by whomever it is used: a witness besides the program itself.
start_watching() {
    : >"$folder/seen"
    command -v nvidia-smi >/dev/null 2>&1 || return 0
    nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 200 >"$folder/seen" 2>/dev/null &
    watcher=$!
}
most_seen() { sort -n "$folder/seen" | awk '{ most = $1 } END { if (NR) printf ", nvidia-smi saw %d MiB", most }'; }

# Token ids need no tokenizer.
make_prompt() { awk -v n="$1" -v most="$2" 'BEGIN { x = 7; for (i = 0; i < n; i++) { x = (x * 1103 + 12345) % 1000003; print x % most } }'; }

# run_model NAME PROMPT-TOKENS
run_model() {
    make_prompt "$2" 4096 >"$folder/ids"
    start_watching
    # shellcheck disable=SC2086
    "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" run "$folder/quantized" --token-ids -f "$folder/ids" -n "$predict" \
        --ignore-eos --temp 0 -c "$context" --device "$device" --gpu-memory "$memory" --json -v ${RUN:-} \
        >"$folder/answer" 2>"$folder/log" 3>"$folder/peak" || { cat "$folder/log"; exit 1; }
    stop_watching
    grep '^runs on\|^weights .* to the device' "$folder/log" || true
    read -r host_kb seconds <"$folder/peak"
    peak=$(member "$folder/answer" peak_bytes)
    limit=0
    if [ "$device" != cpu ]; then
        sed -n '/"device": {/,$p' "$folder/answer" >"$folder/device"
        peak=$(member "$folder/device" peak_bytes) limit=$(member "$folder/device" limit_bytes)
    fi
    echo "$1: prompt of $2 tokens in $(short "$folder/answer" prompt_seconds) s ($(short "$folder/answer" prompt_tokens_per_second)/s)," \
        "then $(short "$folder/answer" tokens_per_second) tokens/s, $(short "$folder/answer" weight_bytes_per_second) bytes of weights/s;" \
        "peak $peak bytes of $limit on the device$(most_seen); host $host_kb kB; $seconds s in all"
    [ "$(member "$folder/answer" generated_tokens)" -eq "$predict" ]
    [ "$device" = cpu ] || [ "$peak" -le "$limit" ]
}

for shape in $shapes; do
    layers=$(echo "$shape/" | cut -d / -f 2)
    start=$(now)
    # shellcheck disable=SC2086
    "$SINQ_TOOLS/make_checkpoint" "$folder/model" "${shape%%/*}" $layers
    echo "$shape: made $(bytes_of "$folder/model") bytes in $(since "$start") s"
    # shellcheck disable=SC2086
    "$SINQ_TOOLS/measure_peak" "$SINQ_PROGRAM" quantize "$folder/model" -o "$folder/quantized" --bits "${BITS:-4}" --quiet \
        ${QUANTIZE:-} 3>"$folder/peak"
    read -r host_kb seconds <"$folder/peak"
    echo "$shape: quantized to $(bytes_of "$folder/quantized") bytes in $seconds s, peak $host_kb kB of host memory"
    # shellcheck disable=SC2086
    "$SINQ_PROGRAM" run "$folder/quantized" --plan -c "$context" --gpu-memory "$memory" ${RUN:-}
    run_model "$shape" 16
    run_model "$shape" "$prompt"
    rm -rf "$folder/model" "$folder/quantized"
done
