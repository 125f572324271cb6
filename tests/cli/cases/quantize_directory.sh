. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize model
ls model-sinq-4bit-g64
cmp model/tokenizer.json model-sinq-4bit-g64/tokenizer.json && echo "tokenizer carried over"
sinq inspect model-sinq-4bit-g64
