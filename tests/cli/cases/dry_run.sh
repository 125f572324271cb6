. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize --dry-run model --tensor 'layers\.2\.mlp\.up=keep' --embed-bits 8
ls
