# A model from a file; one whose context is too small for what is asked for says so.
. "$SINQ_CLI/helpers.sh"
take_model
sinq bench model --no-limits -p 6 -n 2 -d 2 -r 1 -t 1
sinq bench model --no-limits -p 3,0,4 -n 1 -d 2 -r 1 -t 1,2 -q -v
expect 2 sinq bench model --no-limits -p 0 -d 1000000
