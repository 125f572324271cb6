# One object, with a schema.
. "$SINQ_CLI/helpers.sh"
sinq bench --shape tiny --buffer 64K -p 3 -n 2 -d 1 -r 2 -t 1 --json
sinq bench --buffer 64K -t 1 --json --cpu c
