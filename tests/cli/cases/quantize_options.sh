# What options ask for is what inspect finds.
. "$SINQ_CLI/helpers.sh"
take_model
for options in "-b 2 -g 16 -m rtn --scale-type f16" "-b 8 --recipe paper" "-m sinq-nf3 -b 3" "-b 5 -g 128 -m sinq-hqq" \
    "-b 4 -g 32 -m sinq-levels --scale-type u6" "-b 2 -g 16 -m levels" "-b 5 -m sinq-search --scale-type u6" \
    "--levels uniform -b 3" "--levels nf" "--levels nf -b 3" "--levels fitted -b 2 -g 16"; do
    # shellcheck disable=SC2086 # several words
    sinq quantize -qf model -o out $options
    sinq inspect out --tensors --match 'layers\.3\.mlp\.up' | tail -n 1
done
sinq quantize -qf -m sinq model -o out --tensor 'mlp=bits:3,group:32' --tensor 'down=keep' --exclude 'up|down' --embed-bits 8
sinq inspect out --tensors --match 'layers\.3\.mlp|embed'
