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
# With one of its own, --chat needs no name, a dialogue takes it by itself, and a person is told where it is left unused.
alter_model own ''
cat >own/tokenizer_config.json <<'END'
{"chat_template": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"}
END
sinq run own --chat -p "What is the sea?" --temp 0 -n 5 -q | cmp - one && echo "its own template"
: >empty
"$SINQ_TOOLS/talk" true <empty || exit 0
"$SINQ_TOOLS/talk" "$SINQ_PROGRAM" run own <<'END'
expect A chat by template chatml.
expect > 
send /quit\n
END
echo 'expect --chat uses it' | "$SINQ_TOOLS/talk" "$SINQ_PROGRAM" run own -p x -n 1
echo 'absent --chat uses it' | "$SINQ_TOOLS/talk" "$SINQ_PROGRAM" run own -p x -n 1 --raw
