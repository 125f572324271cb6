# A reader that went away is a failure without a message.
. "$SINQ_CLI/helpers.sh"
take_model
{
    while [ ! -e closed ]; do sleep 0.01; done
    sinq inspect model --tensors
    echo $? >code
} | {
    exec <&-
    : >closed
}
while [ ! -s code ]; do sleep 0.01; done
cat code
