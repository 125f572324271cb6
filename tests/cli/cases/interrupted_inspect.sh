# 143 by SIGTERM, 130 by SIGINT: there is nothing to go on with.
. "$SINQ_CLI/helpers.sh"
take_model
set --
while [ $# -lt 3000 ]; do set -- "$@" model model model model model model model model model model; done
for signal in TERM INT; do
    [ $signal = TERM ] && code=143 || code=130
    rm -f out
    "$SINQ_PROGRAM" inspect --stats "$@" >out &
    pid=$!
    while [ ! -s out ]; do sleep 0.01; done
    kill -$signal $pid
    expect $code wait $pid
done
