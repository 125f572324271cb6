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
