# None in a pipe; --color=always has it; NO_COLOR does not take back what was asked for.
. "$SINQ_CLI/helpers.sh"
take_model
escape=$(printf '\033')
sinq inspect model --tensors | grep -c "$escape"
sinq inspect model --tensors --color=always | grep -c "$escape"
NO_COLOR=1 sinq inspect model --color always | grep -c "$escape"
sinq inspect model --color=never | grep -c "$escape"
sinq inspect nosuch --color=always 2>&1 | cat -v
