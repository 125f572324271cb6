# A trial measures what quantizing would write, to the last digit; 2-D tiling is measured, though no file of ours holds it.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q -m sinq model -b 3 -g 32 -o out
sinq eval out --reference model --weights --json | grep -v -e '"model"' -e '"as"' -e bits_per >written
sinq eval model --weights --as group:32,bits:3,method:sinq --json | grep -v -e '"model"' -e '"as"' -e bits_per >tried
cmp written tried
sinq eval model --weights --as bits:4,method:sinq,tiling:2d --top 2
expect 2 sinq eval model --weights --as bits:4,tiling:3d
expect 2 sinq eval model --reference model --weights --as bits:4
expect 2 sinq quantize model --tiling 2d -o other
