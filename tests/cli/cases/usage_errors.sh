# Each names the offending argument, says where to look, and exits with 2.
. "$SINQ_CLI/helpers.sh"
take_model
expect 2 sinq quantize
expect 2 sinq quantize --bitz 4 model
expect 2 sinq quantize --bits 7 model
expect 2 sinq quantize --bits
expect 2 sinq quantize -t 4x model
expect 2 sinq quantize --kurtosis-gate=nan model
expect 2 sinq quantize --tensor q_proj model
expect 2 sinq quantize --json=yes model
expect 2 sinq quantize --out= model
expect 2 sinq quantize --levels nf --method rtn model
expect 2 sinq quantize --cpu c,warp model
expect 2 sinq inspect
expect 2 sinq inspect --plot x model
expect 2 sinq inspect --plot-kind values model
expect 2 sinq inspect --reference model model
expect 2 sinq inspect --plot a a.png --plot-kind error model
expect 2 sinq inspect --plot a a.png model model
expect 2 sinq inspect --match '(' model
expect 2 sinq eval
expect 2 sinq eval model
expect 2 sinq eval model --weights
expect 2 sinq eval model model --weights --reference model
expect 2 sinq eval model --weights --reference model --max-error -1
ls
