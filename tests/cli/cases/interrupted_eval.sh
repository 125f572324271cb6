# 143 by SIGTERM, 130 by SIGINT, in the middle of the work and while waiting for standard input; nothing is printed.
. "$SINQ_CLI/helpers.sh"
take_model
for i in 1 2 3 4 5; do seq 3 4000; done >ids
mkfifo pipe
for signal in TERM INT; do
    [ $signal = TERM ] && code=143 || code=130
    : >events
    "$SINQ_PROGRAM" eval model --token-ids --text ids --progress json 2>events &
    pid=$!
    while ! grep -q evaluating events; do sleep 0.01; done
    kill -$signal $pid
    expect $code wait $pid
    tail -n 1 events
    "$SINQ_PROGRAM" eval model --token-ids --text - <pipe 2>waiting &
    pid=$!
    exec 9>pipe
    echo 1 2 3 >&9
    sleep 0.2
    kill -$signal $pid
    expect $code wait $pid
    exec 9>&-
done
