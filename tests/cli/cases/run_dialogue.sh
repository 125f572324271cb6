# On a terminal: messages and answers, commands, Ctrl-C for the answer and, where nothing is typed, for the program.
. "$SINQ_CLI/helpers.sh"
take_model
talk() { "$SINQ_TOOLS/talk" "$SINQ_PROGRAM" run model --temp 0 --ignore-eos "$@"; }
: >empty
"$SINQ_TOOLS/talk" true <empty || { echo "no pseudo-terminals here"; exit 77; }

echo "a chat"
talk --template chatml -n 8 <<'END'
expect /help explains.
expect > 
send /help\n
expect The model answers
expect > 
send /nosuch\n
expect There is /reset
expect > 
send Tell me of the sea\n
expect Tell me of the sea
expect > 
send more \\\n
expect . 
send of it\n
expect > 
send /reset\n
expect > 
send /quit\n
expect in all
END

echo "a text that two write; Ctrl-C stops the answer, then drops a line, then leaves"
talk --raw <<'END'
expect is continued
expect > 
send The old man\n
expect The old man
wait 0.3
send \3
expect > 
send half a line
expect half a line
wait 0.3
send \3
absent in all
expect > 
wait 0.3
send \3
expect in all
END

echo "the context is full"
talk --template chatml -c 20 -n 2 <<'END'
expect > 
send one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen\n
expect and the context has 20
expect > 
send short\n
expect short
expect > 
wait 0.3
send \4
expect in all
END

echo "an answer that fills the context, and what helps"
talk --template chatml -c 30 <<'END'
expect > 
send Hello\n
expect The context is full
expect > 
send Go on\n
expect and the context has 30
expect > 
send /reset\n
expect reset
expect > 
send Hello\n
expect The context is full
expect > 
send /quit\n
expect in all
END

echo "what was fed is not fed again"
talk --template chatml -n 4 -v <<'END'
expect > 
send Tell me of the sea and of the ships that sail upon it, and of the men who sail them\n
expect prompt 
expect > 
send Go on\n
expect prompt 17 tokens
expect > 
send /quit\n
END

echo "options that need a prompt"
expect 2 talk --json <<'END'
expect need a prompt
END
