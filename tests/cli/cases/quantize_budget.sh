. "$SINQ_CLI/helpers.sh"
take_model
# The name says what it came to; codes of several widths run.
sinq quantize --bpw 4.5 model | sed '/time/d; /weight error/d'
sinq quantize -n --size 2MB --tensor 'v_proj=bits:8,method:rtn' model | sed -n '/v_proj/p; /bits.weight/p; /size/p'
sinq quantize -n --fit 900MiB --ctx-size 512 --kv i8 model | sed -n '/bits.weight/p'
sinq quantize -n --bpw 3 -m sinq-search -g 64 model | sed -n '/embed/p; /mlp/p; /bits.weight/p'
sinq run -q --seed 1 -n 4 -p 'Once upon' model-sinq-4.50bpw >answer && test -s answer && echo runs
# What cannot be
for how in '--bpw 1.5' '--size 1MB --fit 2GB' '--ctx-size 100' '--fit 100MB' '--bpw 4 --bits 4' '--bpw 4 --format gguf --type q4_0' \
           '--bpw 4 --size 3MB'; do
    # shellcheck disable=SC2086 # options are words
    sinq quantize -n $how model || echo "$?"
done
ls
