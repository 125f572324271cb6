# Every option of every command is known to man page and completions, which the shells accept.
. "$SINQ_CLI/helpers.sh"
for shell in bash zsh fish; do sinq help --completion $shell >$shell; done
sinq help --man >man
for command in quantize inspect eval run bench help; do
    for option in $(sinq help $command | grep -o '^ \{2,6\}\(-., \)\{0,1\}--[a-z0-9-]*' | grep -o -e '--.*'); do
        for file in bash zsh; do grep -q -e "${option}[^a-z0-9-]" $file || echo "$file lacks $option of $command"; done
        grep -q -e "seen_subcommand_from $command' -l ${option#--} " fish || echo "fish lacks $option of $command"
        grep -q -e "Fl Fl ${option#--}\$" -e "Fl Fl ${option#--} " man || echo "man page lacks $option of $command"
    done
done
for shell in bash zsh fish; do
    if command -v $shell >/dev/null; then $shell -n $shell || echo "$shell refuses its completions"; fi
done
if command -v mandoc >/dev/null; then mandoc -Tlint man; fi
command -v bash >/dev/null || exit 0
bash -c '
source ./bash
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _sinq 2>/dev/null; echo "$* -> ${COMPREPLY[*]}"; }
try sinq ins
try sinq quantize --gr
try sinq quantize -g ""
try sinq quantize --method sinq-
try sinq inspect --plot-kind s
try sinq help ev'
