# Calibration: statistics of a text, kept and used again, give the same bytes; what cannot be calibrated is refused.
. "$SINQ_CLI/helpers.sh"
take_model
head -c 5000 "$SINQ_EXAMPLE/../copper-beeches.txt" >text
head -c 600 text >short
sinq quantize model -m sinq-search -b 3 --calib text --calib-tokens 1030 --save-stats kept -o a | grep -E 'calibrated|weights'
sinq quantize -q model -m sinq-search -b 3 --stats kept -o b -t 1
sinq quantize -q model -m sinq-search -b 3 --calib text --calib-tokens 1030 -o c
sinq quantize -q model -m sinq-search -b 3 -o plain
cmp a/model.safetensors b/model.safetensors
cmp a/model.safetensors c/model.safetensors
cmp -s a/model.safetensors plain/model.safetensors && echo 'calibration changed nothing'
[ "$(wc -c <a/model.safetensors)" = "$(wc -c <plain/model.safetensors)" ] || echo 'calibrated weights have another size'
sinq quantize --json model -m search -b 4 --stats kept -o d | grep calibrated
# Sensitivities are measured with them, and change what the default recipe chooses.
sinq quantize -n --json model --stats kept | grep measured
sinq quantize -n model --stats kept | grep -o 'by measured sensitivities'
sinq quantize -n --json model | sed 1,30d >constants
sinq quantize -n --json model --stats kept | sed 1,30d | cmp -s - constants && echo 'sensitivities changed nothing'
# A text that the model writes itself is the same each time.
sinq quantize -q model -m sinq-levels -b 2 --calib self --calib-tokens 1024 -o own -t 1
sinq quantize -q model -m sinq-levels -b 2 --calib self --calib-tokens 1100 -o own2
sinq quantize -q model -m sinq-levels -b 2 -o own3
cmp own/model.safetensors own2/model.safetensors
cmp -s own/model.safetensors own3/model.safetensors && echo 'its own text changed nothing'
sinq quantize -n model -m sinq-levels --calib self | grep memory
# Statistics choose column scales.
sinq quantize model -m asinq -b 3 --stats kept -o scaled | grep -E 'coding|calibrated'
sinq quantize -q model -m sinq -b 3 -o unscaled
cmp -s scaled/model.safetensors unscaled/model.safetensors && echo 'column scales changed nothing'
# A plan counts what calibrating takes.
sinq quantize -n model -m sinq-search --calib text --calib-tokens 1024 | grep memory
# Statistics that were kept are not overwritten, but a run that is resumed uses them.
expect 1 sinq quantize model -m sinq-search -b 3 --calib text --calib-tokens 1030 --save-stats kept -o e
(ulimit -f 2000 && expect 1 sinq quantize model -m sinq-search -b 8 --calib text --calib-tokens 1030 -o f 2>/dev/null)
sinq quantize -q model -m sinq-search -b 3 --calib text --calib-tokens 1030 --save-stats kept -o e --resume
cmp a/model.safetensors e/model.safetensors
expect 2 sinq quantize model -m asinq -o no
expect 2 sinq quantize --format sinq-reference model -m asinq --stats kept -o no
# Too little text, no text, other methods and layouts, and options that do not go together.
expect 1 sinq quantize model -m sinq-search --calib short -o no
expect 1 sinq quantize model -m sinq-search --calib nosuch -o no
expect 2 sinq quantize model -m rtn --calib text -o no
expect 2 sinq quantize model -m sinq-search --calib text --absorb -o no
expect 2 sinq quantize --format gguf --type q4_0 model --calib text -o no
expect 2 sinq quantize model -m sinq-search --calib text --stats kept -o no
expect 2 sinq quantize model -m sinq-search --save-stats other -o no
expect 2 sinq quantize model -m sinq-search --calib text --calib-tokens 511 -o no
expect 1 sinq quantize model -m sinq-search --stats text -o no
expect 1 sinq quantize model -m sinq-search --stats model/model.safetensors -o no
ls
