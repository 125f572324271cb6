# Text before the stop text and no more, also where it lies across tokens; the first of several counts.
. "$SINQ_CLI/helpers.sh"
take_model
write() { sinq run model -p "She opened the door and saw" --temp 0 --exact -n 24 "$@"; }
write -q >whole
word=$(tr -s ' ' '\n' <whole | sed -n 4p)
# The middle of one word to the middle of the next.
middle="${word#?}$(tr -s ' ' '\n' <whole | sed -n 's/.$//; 5s/^/ /p')"
write -q --stop "$middle" >stopped
awk -v stop="$middle" -v RS='' 'NR == FNR { whole = $0; next } { exit whole != "" && index(whole, stop) != length($0) + 1 }' \
    whole stopped && echo "up to the stop text"
write --stop "$middle" 2>&1 >/dev/null | sed 's/.*; //'
write -q --stop nosuchtext --stop "$middle" --stop "${middle}x" | cmp - stopped
write -q --stop nosuchtext | cmp - whole
write --json --stop "$middle" -q | grep '"stop"'
