# Made-up weights run, with several numbers of threads, depths and prompts; shares of limits are told unless they are not measured.
. "$SINQ_CLI/helpers.sh"
sinq bench --shape tiny --buffer 1M -p 5 -n 2 -d 3 -r 2 -t 1 | sed 's/  *$//'
sinq bench --shape tiny --no-limits -p 0,5,9 -n 2 -d 0,3 -r 2 -t 1,2 --bits 3 --head-bits 6 --small-pages | sed 's/  *$//'
sinq bench --shape tiny-experts --no-limits -p 4 -n 0 -r 1 -t 1 --method sinq-nf4 --kv i8 --exact | sed 's/  *$//'
sinq bench --shape tiny --no-limits -p 4 -n 1 -d 1 -r 1 -q
sinq bench --shape tiny --no-limits -p 4 -n 0 -r 1 -t 1 --recipe default | sed 's/  *$//'
