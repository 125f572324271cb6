# A reader that went away ends it, as a failure without a message.
. "$SINQ_CLI/helpers.sh"
take_model
{
    sinq run model -p "Once upon a time" --ignore-eos -t 1
    echo $? >code
} | head -c 5 >text
while [ ! -s code ]; do sleep 0.01; done
wc -c <text
cat code
[ -w /dev/full ] || exit 0
expect 1 sinq run model -p "Once upon a time" -n 5 -q >/dev/full
