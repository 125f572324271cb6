# What cannot go together, and lists that are none.
. "$SINQ_CLI/helpers.sh"
take_model
expect 2 sinq bench model --shape tiny
expect 2 sinq bench model --bits 4
expect 2 sinq bench --no-limits
expect 2 sinq bench --shape tiny --no-limits --buffer 1M
expect 2 sinq bench --shape huge
expect 2 sinq bench --shape tiny -t 1,,2
expect 2 sinq bench --shape tiny -t 0
expect 2 sinq bench --shape tiny -p 12x
expect 2 sinq bench --shape tiny -d ''
expect 2 sinq bench --shape tiny --method nf4 --bits 3
expect 2 sinq bench model other
expect 1 sinq bench missing --no-limits
