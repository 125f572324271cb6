# A picture is a PNG, whole, and replaces nothing without --force.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize -q model -o out
name=model.layers.0.mlp.up_proj.weight
sinq inspect -q model --plot $name values.png
sinq inspect -q out --plot $name scales.png --plot-kind scales
sinq inspect -q out --plot $name error.png --reference model
sinq inspect -q model --plot model.norm.weight vector.png
for file in *.png; do echo "$file $(head -c 8 "$file" | od -An -tx1)"; done
cmp -s values.png error.png || echo "pictures differ"
cp values.png before.png
expect 1 sinq inspect -q out --plot $name values.png
cmp before.png values.png && sinq inspect -qf out --plot $name values.png
expect 1 sinq inspect -q model --plot nosuch x.png
expect 1 sinq inspect -q model --plot $name x.png --plot-kind scales
expect 1 sinq inspect -q model --plot $name nosuch/x.png
expect 1 sinq inspect -q out --plot $name x.png --reference nosuch
(ulimit -f 20 && expect 1 sinq inspect -q model --plot $name x.png)
ls
