# 143 by SIGTERM, 130 by SIGINT, in the middle of measuring; nothing is printed.
. "$SINQ_CLI/helpers.sh"
for signal in TERM INT; do
    [ $signal = TERM ] && code=143 || code=130
    : >events
    "$SINQ_PROGRAM" bench --shape tiny --no-limits -r 10000 -p 512 -t 1 --progress json 2>events &
    pid=$!
    while ! grep -q '"measuring"' events; do sleep 0.01; done
    kill -$signal $pid
    expect $code wait $pid
    tail -n 1 events
done
