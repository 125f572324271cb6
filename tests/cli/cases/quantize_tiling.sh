# The layout holds one column scale; what cannot be written is refused.
. "$SINQ_CLI/helpers.sh"
take_model
sinq quantize model --tiling 2d
