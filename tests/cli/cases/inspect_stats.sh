. "$SINQ_CLI/helpers.sh"
take_model
sinq inspect model --stats --match 'layers\.0\.'
