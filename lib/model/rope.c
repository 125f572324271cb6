#include "model/rope.h"

#include <math.h>
#include <stdlib.h>

/* Dynamic NTK: beyond the context the base grows with the length. modeling_rope_utils: _compute_dynamic_ntk_parameters. */
static double grow_base(const struct sinq_rope *rope, uint64_t length) {
    const double dims = rope->dims, share = (double)length / (double)rope->context;
    return rope->theta * pow(rope->factor * share - (rope->factor - 1.0), dims / (dims - 2.0));
}

void sinq_rope_frequencies(const struct sinq_rope *rope, uint64_t length, double *frequencies) {
    const bool is_long = rope->type == SINQ_ROPE_LONGROPE && length > rope->original_context;
    const bool is_grown = rope->type == SINQ_ROPE_DYNAMIC && length > rope->context;
    const double *const stored = is_long ? rope->long_frequencies : rope->frequencies;
    const double base = is_grown ? grow_base(rope, length) : 0.0;
    for (uint32_t i = 0; i < rope->dims / 2; i++) {
        frequencies[i] = is_grown ? pow(base, -2.0 * i / rope->dims) : stored[i];
    }
}

void sinq_rope_rotation(const struct sinq_rope *rope, uint64_t position, uint64_t length, float *cosines,
                        float *sines) {
    double frequencies[SINQ_MAX_ROPE_PAIRS];
    sinq_rope_frequencies(rope, length, frequencies);
    for (uint32_t i = 0; i < rope->dims / 2; i++) {
        const double angle = (double)position * frequencies[i];
        cosines[i] = (float)(cos(angle) * rope->attention_factor);
        sines[i] = (float)(sin(angle) * rope->attention_factor);
    }
}

bool sinq_rope_switches(const struct sinq_rope *rope, uint64_t before, uint64_t after) {
    return rope->type == SINQ_ROPE_LONGROPE && before > 0 &&
           (before <= rope->original_context) != (after <= rope->original_context);
}

void sinq_rope_free(struct sinq_rope *rope) {
    if (rope == NULL) return;
    free(rope->frequencies);
    free(rope->long_frequencies);
    *rope = (struct sinq_rope){0};
}
