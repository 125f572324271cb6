# Where the time goes: a table for each phase, or with --json part of its object.
. "$SINQ_CLI/helpers.sh"
sinq bench --shape tiny --no-limits -p 0 -n 1 -d 2 -r 2 -t 1 --profile | sed -n '/^Decode/,$p' | sort
sinq bench --shape tiny --no-limits -p 4 -n 0 -r 2 -t 1 --profile --json | grep seconds_per_token | grep head
