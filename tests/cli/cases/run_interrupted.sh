# SIGINT stops the answer: what was written stays, the exit code is 130. By SIGTERM 143.
. "$SINQ_CLI/helpers.sh"
take_model
for signal in INT TERM; do
    [ $signal = TERM ] && code=143 || code=130
    rm -f out
    "$SINQ_PROGRAM" run model -p "Once upon a time" --ignore-eos -t 1 >out 2>err &
    pid=$!
    while [ ! -s out ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -$signal $pid
    expect $code wait $pid
    [ -s out ] && sed 's/.*; //' err
done
