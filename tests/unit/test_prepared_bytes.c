/* test_prepared_bytes.c: prepared inputs of several tokens never take more than twice the room of as many single ones. */
#include "kernels/matmul.h"
#include "unit.h"

static void check_weight(const struct sinq_weight *weight, const char *what) {
    for (int exact = 0; exact < 2; exact++) {
        const size_t one = sinq_prepared_bytes(weight, 1, exact != 0);
        for (uint32_t tokens = 1; tokens < 400; tokens++) {
            const size_t bytes = sinq_prepared_bytes(weight, tokens, exact != 0);
            ck_assert_msg(bytes <= 2 * tokens * one, "%s, %u columns, %u tokens: %zu bytes, one token %zu", what,
                          (unsigned)weight->cols, (unsigned)tokens, bytes, one);
        }
    }
}

START_TEST(room_is_bounded_by_tokens) {
    static const char *const levels[] = {"c", "sse2", "avx2", "avx512-vnni", "neon"};
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
        struct sinq_error error;
        if (sinq_select_cpu(levels[level], &error) != SINQ_OK) continue; /* not this machine's */
        for (uint64_t cols = 1; cols < 200; cols += 13) {
            struct sinq_weight weight = {.dtype = SINQ_BF16, .rows = 16, .cols = cols};
            check_weight(&weight, levels[level]);
            weight.dtype = SINQ_DUAL_SCALE;
            weight.matrix = (struct sinq_dual_scale){.rows = 16, .cols = cols, .group_size = 64, .bits = 4};
            check_weight(&weight, levels[level]);
            weight.matrix.group_size = 0;
            weight.matrix.levels = SINQ_LEVELS_F32;
            check_weight(&weight, levels[level]);
        }
    }
}
END_TEST

UNIT_MAIN("prepared_bytes", room_is_bounded_by_tokens)
