# helpers.sh: what cases share. Sourced.
# shellcheck shell=sh

sinq() { "$SINQ_PROGRAM" "$@"; }

# The example model as ./model (or another name).
take_model() { ln -s "$SINQ_EXAMPLE" "${1:-model}"; }

# write_safetensors FILE HEADER BYTES: a file of that header, and so many bytes of data: zeros.
write_safetensors() {
    length=${#2}
    {
        # shellcheck disable=SC2059 # octal escapes
        printf "$(printf '\\%03o\\%03o' $((length % 256)) $((length / 256)))\\0\\0\\0\\0\\0\\0"
        printf '%s' "$2"
        head -c "$3" /dev/zero
    } >"$1"
}

# expect CODE COMMAND...: runs it; says so if it exits otherwise.
expect() {
    wanted=$1
    shift
    found=0
    "$@" || found=$?
    [ $found = "$wanted" ] || echo "exit code $found, expected $wanted: $*"
}

# write_text FILE: a few sentences, the beginning of Jane Austen's Emma, in the public domain.
write_text() {
    cat >"$1" <<'TEXT'
Emma Woodhouse, handsome, clever, and rich, with a comfortable home and happy disposition, seemed to unite some of the
best blessings of existence; and had lived nearly twenty-one years in the world with very little to distress or vex her.
She was the youngest of the two daughters of a most affectionate, indulgent father; and had, in consequence of her
sister's marriage, been mistress of his house from a very early period.
TEXT
}

# alter_model NAME SED: a model NAME like the example, its config.json edited; its other files may be replaced.
alter_model() {
    mkdir "$1"
    for file in "$SINQ_EXAMPLE"/*; do ln -s "$file" "$1/"; done
    rm "$1/config.json"
    sed "$2" "$SINQ_EXAMPLE/config.json" >"$1/config.json"
}

# alter_weights NAME SED: the same with model.safetensors edited, which must keep its length.
alter_weights() {
    alter_model "$1" ''
    rm "$1/model.safetensors"
    sed "$2" "$SINQ_EXAMPLE/model.safetensors" >"$1/model.safetensors"
    [ "$(wc -c <"$1/model.safetensors")" = "$(wc -c <"$SINQ_EXAMPLE/model.safetensors")" ] || echo "$1: another length"
}

# make_bad_models: models that contradict themselves, their names in $bad_models.
make_bad_models() {
    local_layers='s/"num_hidden_layers": 6/"num_hidden_layers": N/; /layer_types/,/],/d'
    alter_model layers7 "$(echo "$local_layers" | sed s/N/7/)"
    alter_model layers5 "$(echo "$local_layers" | sed s/N/5/)"
    alter_model layers_huge "$(echo "$local_layers" | sed s/N/4000000000/)"
    alter_model types 's/"num_hidden_layers": 6/"num_hidden_layers": 5/'
    alter_model hidden 's/"hidden_size": 192/"hidden_size": 128/'
    alter_model vocabulary 's/"vocab_size": 4096/"vocab_size": 5000/'
    alter_model heads 's/"num_attention_heads": 6/"num_attention_heads": 7/'
    alter_model untied 's/"tie_word_embeddings": true/"tie_word_embeddings": false/'
    alter_model lacking '/intermediate_size/d'
    alter_model text 's/"hidden_size": 192/"hidden_size": "192"/'
    alter_model family 's/"model_type": "qwen3"/"model_type": "rwkv"/'
    alter_model broken 's/{/[/'
    alter_weights missing 's/model\.norm\.weight/model.nrom.weight/'
    make_nan_model nan
    cp "$SINQ_EXAMPLE/model.safetensors" bare.safetensors
    alter_model tokenless ''
    rm tokenless/tokenizer.json
    alter_model unreadable ''
    rm unreadable/tokenizer.json
    echo '{' >unreadable/tokenizer.json
    alter_model another ''
    rm another/tokenizer.json
    sed 's/"added_tokens":[ ]*\[/&{"id":9000,"content":"<far>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},/' \
        "$SINQ_EXAMPLE/tokenizer.json" >another/tokenizer.json
    bad_models="layers7 layers5 layers_huge types hidden vocabulary heads untied lacking text family broken missing nan"
    bad_models="$bad_models bare.safetensors tokenless unreadable another"
}

# make_nan_model NAME: every weight of the last norm is a NaN. make_large_model NAME: they are 3.39e38, beyond f16.
make_nan_model() { fill_norm "$1" '\377'; }
make_large_model() { fill_norm "$1" '\177'; }
fill_norm() {
    alter_model "$1" ''
    rm "$1/model.safetensors"
    cp "$SINQ_EXAMPLE/model.safetensors" "$1/"
    chmod u+w "$1/model.safetensors"
    header=$(head -c 2 "$1/model.safetensors" | od -An -tu2 | tr -d ' ')
    first=$(head -c $((header + 8)) "$1/model.safetensors" | grep -ao '"model.norm.weight":{[^}]*' |
        grep -o '\[[0-9]*,[0-9]*\]$' | tr -d '[' | cut -d, -f1)
    head -c 384 /dev/zero | tr '\0' "$2" |
        dd of="$1/model.safetensors" bs=1 seek=$((header + 8 + first)) conv=notrunc 2>/dev/null
}
