/* Reading tensors for the quantize job: what is read to hash a stack of matrices. */
#include "memory_source.h"
#include "quant/matrix/load.h"
#include "quant/matrix/unit.h"

enum { EXPERTS = 16, ROWS = 8, COLS = 64 };

static uint64_t bytes_read;

static int count_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                       struct sinq_error *error) {
    bytes_read += size;
    return read_memory(source, tensor, offset, size, out, error);
}

static const struct sinq_source_ops counting = {.read_bytes = count_bytes, .close = close_memory};

/* A stack of FP8 matrices, of which each has one scale, or without scales. */
static struct memory_source *create_stack(bool has_scales) {
    struct memory_source *const memory = create_memory("stack");
    memory->base.ops = &counting;
    uint8_t codes[EXPERTS * ROWS * COLS];
    float scales[EXPERTS];
    for (size_t i = 0; i < sizeof codes; i++) codes[i] = (uint8_t)(next_random() % 0x7f);
    for (size_t i = 0; i < EXPERTS; i++) scales[i] = (float)(i + 1);
    const uint64_t shape[3] = {EXPERTS, ROWS, COLS}, scale_shape[3] = {EXPERTS, 1, 1};
    add_tensor(memory, "w", SINQ_F8_E4M3, 3, shape, codes, sizeof codes);
    if (!has_scales) return memory;
    memory->tensors[0].scale_tensor =
        (int64_t)add_tensor(memory, "w_scale_inv", SINQ_F32, 3, scale_shape, scales, sizeof scales);
    memory->tensors[0].scale_block[0] = ROWS;
    memory->tensors[0].scale_block[1] = COLS;
    return memory;
}

/* The hash of the stack as the job makes it: of its matrices' hashes, in order. */
static struct sinq_hash load_stack(struct sinq_loader *loader) {
    struct sinq_hasher *const hasher = sinq_hasher_create();
    struct sinq_unit_matrix units = {0};
    struct sinq_error error = {0};
    for (uint64_t i = 0; i < EXPERTS; i++) {
        struct sinq_hash one;
        ck_assert_msg(sinq_load_matrix(loader, 0, i, false, 64, &units, &one, &error) == SINQ_OK, "%s", error.message);
        sinq_hasher_update(hasher, &one, sizeof one);
    }
    sinq_free_units(&units);
    return sinq_hasher_finish(hasher);
}

START_TEST(stack_is_read_a_fixed_number_of_times) {
    for (int has_scales = 0; has_scales < 2; has_scales++) {
        struct memory_source *const memory = create_stack(has_scales);
        struct sinq_loader loader = {.source = &memory->base, .threads = 1};
        const uint64_t all = EXPERTS * (ROWS * COLS + (has_scales ? sizeof(float) : 0));
        bytes_read = 0;
        const struct sinq_hash loaded = load_stack(&loader);
        ck_assert_uint_le(bytes_read, 2 * all); /* once for the values, once more for the hash where scales apply */
        sinq_free_loader(&loader);

        struct sinq_hash hashed;
        loader = (struct sinq_loader){.source = &memory->base, .threads = 1};
        bytes_read = 0;
        ck_assert_int_eq(sinq_hash_matrices(&loader, 0, &hashed, NULL), SINQ_OK);
        ck_assert_uint_eq(bytes_read, all);
        ck_assert_mem_eq(&hashed, &loaded, sizeof hashed);
        sinq_free_loader(&loader);
        sinq_source_close(&memory->base);
    }
}
END_TEST

/* One changed byte anywhere, of the values or of the scales, is another hash. */
START_TEST(hash_covers_values_and_scales) {
    struct memory_source *const memory = create_stack(true);
    struct sinq_hash hashes[3];
    for (size_t i = 0; i < 3; i++) {
        struct sinq_loader loader = {.source = &memory->base, .threads = 1};
        if (i > 0) *((uint8_t *)memory->data[i - 1] + memory->tensors[i - 1].bytes - 1) ^= 1;
        ck_assert_int_eq(sinq_hash_matrices(&loader, 0, &hashes[i], NULL), SINQ_OK);
        sinq_free_loader(&loader);
    }
    ck_assert_mem_ne(&hashes[0], &hashes[1], sizeof hashes[0]);
    ck_assert_mem_ne(&hashes[1], &hashes[2], sizeof hashes[0]);
    sinq_source_close(&memory->base);
}
END_TEST

UNIT_MAIN("load", stack_is_read_a_fixed_number_of_times, hash_covers_values_and_scales)
