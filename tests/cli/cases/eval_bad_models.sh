# Models that contradict themselves, on either side, and texts that are too short: one line each, exit code 1.
. "$SINQ_CLI/helpers.sh"
write_text emma.txt
make_bad_models
take_model
for model in $bad_models; do expect 1 sinq eval $model --text emma.txt --window 32 -q; done
for model in layers7 nan vocabulary; do expect 1 sinq eval model --reference $model --text emma.txt --window 32 -q; done
: >empty
expect 1 sinq eval model --text empty -q
expect 1 sinq eval model --text - -q </dev/null
# Weights can be compared all the same.
expect 0 sinq eval family --reference model --weights --max-error 0 -q
