. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize model
ls model-sinq-4bit-g32
cmp model/tokenizer.json model-sinq-4bit-g32/tokenizer.json && echo "tokenizer carried over"
sinq inspect model-sinq-4bit-g32
