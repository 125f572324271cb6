# The same seed, the same text, whatever the number of threads; another seed, another text. Without a seed, another each time.
. "$SINQ_CLI/helpers.sh"
take_model
write() { sinq run model -p "In the beginning" -n 40 -q "$@"; }
write --seed 7 >one
write --seed 7 -t 1 >two
write --seed 8 >three
write --seed 7 --temp 1.5 --top-k 0 --top-p 1 --min-p 0 --repeat-penalty 1.3 --repeat-last 20 >four
write >five
write >six
cmp one two && echo "the same"
cmp -s one three || echo "another"
cmp -s one four || echo "another"
cmp -s five six || echo "another"
# Where only the best token is left, whatever is drawn is the same.
write --seed 1 --top-k 1 >best
write --seed 2 --top-p 0 >sure
write --seed 3 --min-p 1 >certain
write --temp 0 >greedy
cmp best greedy && cmp sure greedy && cmp certain greedy && echo "the best"
