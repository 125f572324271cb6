# A prompt from the command line, a file, a compressed one, a pipe: the same. One line feed at the end of a file is dropped.
. "$SINQ_CLI/helpers.sh"
take_model
prompt='It was a dark night, and the wind'
printf '%s\n' "$prompt" >prompt.txt
gzip -c prompt.txt >prompt.gz
write() { sinq run model --temp 0 -n 12 -q "$@"; }
write -p "$prompt" >one
write -f prompt.txt >two
write -f prompt.gz >three
write <prompt.txt >four
cat prompt.txt | write -f - >five
for file in two three four five; do cmp one $file; done
# Where there are no words at all, a text begins.
write -p '' >six
[ -s six ] && echo "a text out of nothing"
