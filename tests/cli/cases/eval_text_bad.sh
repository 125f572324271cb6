# One clear line each, and the right exit code.
. "$SINQ_CLI/helpers.sh"
take_model
seq 3 60 >ids
: >empty
echo 7 >one
gzip -c ids | head -c 60 >cut.gz
sed 's/"vocab_size": *[0-9]*/"vocab_size": 4000/' model/config.json >config
eval_ids() { sinq eval model --token-ids "$@"; }
expect 1 eval_ids --text empty
expect 1 eval_ids --text one
expect 1 eval_ids --text missing
expect 1 eval_ids --text cut.gz
expect 1 eval_ids --text .
expect 1 eval_ids --text ids --window 59
expect 2 eval_ids --text ids --window 100000
expect 2 eval_ids --text ids --window 20 --stride 21
expect 2 eval_ids --text ids --window 2 --score second-half
expect 1 eval_ids --text ids --reference missing
