# Plain, compressed, in several members, from a pipe: the same tokens and the same figures. CR LF is kept, and said.
. "$SINQ_CLI/helpers.sh"
take_model
write_text text
gzip -c text >text.gz
head -c 100 text | gzip >members.gz
tail -c +101 text | gzip >>members.gz
measure() { sinq eval model --window 32 --max-windows 1 --json --text "$1" | grep -v -e '"file"' -e seconds; }
measure text >plain
measure text.gz | cmp - plain
measure members.gz | cmp - plain
measure - <text | cmp - plain
cat text.gz | measure - | cmp - plain
sed 's/$/\r/' text >crlf
measure crlf | cmp -s - plain || echo "CR LF counts"
sinq eval model --window 32 --max-windows 1 --text crlf -q
