# Models and texts that contradict themselves: one line each, exit code 1.
. "$SINQ_CLI/helpers.sh"
refuse() { expect 1 sinq run "$@" -n 2 -q --temp 0; }
make_bad_models
for model in $bad_models; do refuse $model -p x; done
alter_model roomy 's/"max_position_embeddings": 2048/"max_position_embeddings": 2000000000/'
refuse roomy -p x -c 2000000000
take_model
refuse model -p "one two three four five six seven eight" -c 4
refuse model -f nosuch
printf '\037\213\010\0' >short.gz
refuse model -f short.gz
refuse model --chat -p x
expect 2 sinq run model </dev/null
