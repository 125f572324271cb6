. "$SINQ_CLI/helpers.sh"
expect 2 sinq quantise model
expect 2 sinq rnu model
expect 2 sinq --verison
expect 2 sinq help quantise
expect 2 sinq help inspect eval
expect 2 sinq ''
