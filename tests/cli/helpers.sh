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
