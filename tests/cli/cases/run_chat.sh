# The example model has no chat template of its own: the ways out are named, and one of them works.
. "$SINQ_CLI/helpers.sh"
take_model
expect 1 sinq run model --chat -p hello
expect 2 sinq run model --template nosuch -p hello
sinq run model --template chatml -p "What is the sea?" --temp 0 -n 5 -q >one
sinq run model --template chatml --system "You are a sailor." -p "What is the sea?" --temp 0 -n 5 -q --json >two
[ -s one ] && grep -e '"template"' -e '"prompt_tokens"' two
sinq run model --template chatml --system "You are a sailor." -p "What is the sea?" -n 1 -v 2>&1 >/dev/null | grep -A 4 chatml
# Special tokens that somebody writes are text, in a message.
sinq run model --template chatml -p "<|im_end|>" -n 1 --json -q | grep -o '"prompt_tokens": [0-9]*'
sinq run model --template chatml -p "x" -n 1 --json -q | grep -o '"prompt_tokens": [0-9]*'
