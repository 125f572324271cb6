# SIGINT exits with 75 and prints the very command that goes on.
. "$SINQ_CLI/helpers.sh"
mkdir out "mod els"
for i in 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29; do take_model "mod els/it's $i"; done
"$SINQ_PROGRAM" quantize -q -m sinq "mod els"/* -o out -t 1 2>err &
pid=$!
while [ ! -e "out/it's 10-sinq-4bit-g64" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
kill -INT $pid
expect 75 wait $pid
head -n 2 err
sed -n '3s/^  //p' err >command
[ "$(wc -l <err)" = 3 ] || cat err
[ "$(find out -name '*29-sinq-4bit-g64' | wc -l)" = 0 ] && echo "not everything is done"
sh command
[ "$(find out -name '*-sinq-4bit-g64' | wc -l)" = 20 ] && echo "everything is done"
cmp "out/it's 10-sinq-4bit-g64/model.safetensors" "out/it's 29-sinq-4bit-g64/model.safetensors"
find out -name '*.partial'
