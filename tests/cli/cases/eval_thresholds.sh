# Each threshold on its own: met, and not met, with the result printed all the same.
. "$SINQ_CLI/helpers.sh"
take_model
seq 3 60 >ids
compare() { sinq eval model --as bits:2,method:sinq --token-ids --text ids -q --exact "$@"; }
expect 0 compare --max-ppl 1e9 --max-ppl-increase 100000% --max-kl 100 --min-same-top 0%
expect 3 compare --max-ppl 1
expect 3 compare --max-kl 0
expect 3 compare --min-same-top 100%
expect 3 sinq eval model --reference model --token-ids --text ids -q --max-ppl 1 --max-ppl-increase 0 --max-kl 0 --min-same-top 100%
expect 3 compare --max-ppl 1 --max-kl 0 --min-same-top 100% --max-error 1e9 --weights --json | grep -e status -e '"option"'
