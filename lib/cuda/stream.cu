/* stream.cu: the kernels of stream.cuh for products of one form, and launching them and those of mixed.cu. */
#include "cuda/stream.cuh"

/*
 * IS_LEAN: entries are bytes (and see may_have_zero_ranges), and rows that blocks norm are of LEAN_ROUNDS at most: fewer instructions for a
 * tile, and fewer registers before the first.
 */
template <int BITS, int GROUP, bool LEVELS, bool IS_LEAN> struct one_form {
    using T = stage<BITS, GROUP, LEVELS>;
    using filler = struct filler<BITS, GROUP, LEVELS, IS_LEAN>;
    static constexpr uint32_t WARPS = T::WARPS, ROOM = T::ROOM;
    static constexpr uint32_t ROUNDS = IS_LEAN ? LEAN_ROUNDS : count_rounds(WARPS);
    static constexpr uint32_t INPUT_GROUP = GROUP;
    static constexpr bool HAS_LEVELS = LEVELS;
    static __device__ __forceinline__ uint32_t count_tiles(const struct sinq_cuda_products &p) {
        return p.products[0].matrix.cols / T::TILE;
    }
    static __device__ __forceinline__ uint32_t find_stage_bytes(const struct sinq_cuda_products &) { return T::BYTES; }
    static __device__ __forceinline__ uint32_t find_tile(const struct sinq_cuda_products &, uint32_t, uint32_t cost) {
        return cost;
    }
    static __device__ __forceinline__ void fill(const struct sinq_cuda_products &p, filler &filler, uint32_t tiles,
                                                uint8_t *stage) {
        filler.fill(p, tiles, stage);
    }
    template <typename GO_ON>
    static __device__ __forceinline__ bool
    add_pair(const struct sinq_cuda_products &p, const struct sinq_cuda_matrix &m, const struct sinq_cuda_input &input,
             const uint4 &table, filler &filler, struct walk &walk, float (&sums)[4], GO_ON go_on) {
        const auto fill = [&](uint8_t *stage) {
            filler.fill(p, walk.tiles, stage);
            return true;
        };
        return ::add_pair<BITS, GROUP, LEVELS, early_input>(own_form<BITS, GROUP, LEVELS, IS_LEAN>(m), input, table,
                                                            walk, sums, fill, go_on);
    }
};

/* ---- which kernel ---- */

template <int BITS, int GROUP, bool LEVELS, bool IS_LEAN = false> static struct stream_choice list_kernel() {
    using T = stage<BITS, GROUP, LEVELS>;
    return {stream_kernel<one_form<BITS, GROUP, LEVELS, IS_LEAN>>, T::TILE, T::WARPS, T::WARPS * STAGES * T::BYTES};
}

/* At 5 bits and more a lean one is not faster. */
template <int BITS> static struct stream_choice find_group(uint32_t group_size, bool is_lean) {
    if (group_size == 64 && is_lean) return list_kernel<BITS, 64, false, BITS <= 4>();
    if (group_size == 64) return list_kernel<BITS, 64, false>();
    if (group_size == 128) return list_kernel<BITS, 128, false>();
    return {NULL, 0, 0, 0};
}

template <int BITS> static struct stream_choice find_level_group(const struct sinq_cuda_matrix *m) {
    /* A lane copies one piece of entries. */
    if (m->group_size == 16 && m->scales_are_u6) return list_kernel<BITS, 16, true>();
    if (m->group_size == 32) return list_kernel<BITS, 32, true>();
    if (m->group_size == 64) return list_kernel<BITS, 64, true>();
    return {NULL, 0, 0, 0};
}

static struct stream_choice find_level_kernel(const struct sinq_cuda_matrix *m) {
    if (m->zeros != NULL || m->scales_are_f16) return {NULL, 0, 0, 0};
    if (m->bits == 2) return find_level_group<2>(m);
    if (m->bits == 3) return find_level_group<3>(m);
    if (m->bits == 4) return find_level_group<4>(m);
    return {NULL, 0, 0, 0};
}

static struct stream_choice find_kernel(const struct sinq_cuda_matrix *m, bool is_lean) {
    if (!sinq_cuda_can_multiply(m)) return {NULL, 0, 0, 0};
    if (!sinq_cuda_is_usual(m)) return find_level_kernel(m);
    switch (m->bits) {
    case 2:
        return find_group<2>(m->group_size, is_lean);
    case 3:
        return find_group<3>(m->group_size, is_lean);
    case 4:
        return find_group<4>(m->group_size, is_lean);
    case 5:
        return find_group<5>(m->group_size, is_lean);
    case 6:
        return find_group<6>(m->group_size, is_lean);
    default:
        return find_group<8>(m->group_size, is_lean);
    }
}

static bool can_stream(const struct sinq_cuda_matrix *m) {
    const struct stream_choice choice = find_kernel(m, false);
    return choice.run != NULL && m->rows % 32 == 0 && m->cols % choice.tile == 0 && is_matrix_aligned(m);
}

static bool can_be_lean(const struct sinq_cuda_products *p, uint32_t warps) {
    for (uint32_t i = 0; i < p->count; i++) {
        const struct sinq_cuda_matrix *const m = &p->products[i].matrix;
        if (m->scales_are_f16 || m->zeros_are_f16) return false;
        if (m->zero_ranges != NULL && !may_have_zero_ranges((int)m->bits, true)) return false;
    }
    return !p->makes_input || p->products[0].matrix.cols <= LEAN_ROUNDS * THREAD_COLS * 32 * warps;
}

/* A lean kernel takes as many warps and as much memory as the other one of its form. */
static struct stream_choice choose_kernel(const struct sinq_cuda_products *p) {
    if (p->is_mixed) return sinq_cuda_find_mixed_kernel(p);
    const struct stream_choice lean = find_kernel(&p->products[0].matrix, true);
    return can_be_lean(p, lean.warps) ? lean : find_kernel(&p->products[0].matrix, false);
}

/* ---- shared memory ---- */

/* The tiles of a block. */
static struct span find_own(const struct sinq_cuda_products &p, uint32_t tiles, uint32_t block) {
    const struct span cost = find_share({0, p.cost}, block, p.blocks);
    if (!p.is_mixed) return cost;
    return {find_mixed_tile(p, tiles, cost.first), find_mixed_tile(p, tiles, cost.end)};
}

/* Most pairs that a block has tiles of. */
static uint32_t count_block_pairs(const struct sinq_cuda_products &p, uint32_t tiles) {
    uint32_t most = 0;
    for (uint32_t b = 0; b < p.blocks; b++) {
        const struct span own = find_own(p, tiles, b);
        most = max(most, (own.end - 1) / tiles + 1 - own.first / tiles);
    }
    return most;
}

/* Most bytes of inputs of the products that a block has tiles of. */
static uint32_t count_input_bytes(const struct sinq_cuda_products &p, uint32_t tiles) {
    uint32_t most = 0;
    for (uint32_t b = 0; b < p.blocks; b++) {
        const struct span own = find_own(p, tiles, b);
        const struct sets sets = find_sets(p, own.first / tiles, (own.end - 1) / tiles);
        uint32_t bytes = 0;
        for (uint32_t s = sets.first; s < sets.first + sets.count; s++) bytes += find_set_bytes(p.products[s]);
        most = max(most, bytes);
    }
    return most;
}

static size_t count_shared_bytes(const struct sinq_cuda_products &p, struct stream_choice choice) {
    const uint32_t pairs = count_block_pairs(p, p.products[0].matrix.cols / choice.tile);
    return choice.ring + p.input_bytes + (size_t)(choice.warps + pairs) * 32 * sizeof(float);
}

bool sinq_cuda_fits_shared(struct sinq_cuda_line line, const struct sinq_cuda_products *p,
                           struct stream_choice choice) {
    return count_shared_bytes(*p, choice) + sizeof(struct ending) + 512 <= line.most_shared;
}

/* ---- what products can be ---- */

bool sinq_cuda_share_tiles(struct sinq_cuda_line line, struct sinq_cuda_products *p) {
    p->blocks = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!line.overlaps || !can_stream(&p->products[i].matrix)) return false;
    }
    const struct stream_choice choice = find_kernel(&p->products[0].matrix, false);
    const uint64_t pairs = p->first_pair[p->count], tiles = pairs * (p->products[0].matrix.cols / choice.tile);
    if (tiles * line.processors > INT32_MAX) return false; /* kernels count in 32 bits */
    p->blocks = count_blocks(line, pairs);
    if (p->blocks == 0) return false;
    p->cost = (uint32_t)tiles;
    p->is_mixed = false;
    if (!sinq_cuda_fits_shared(line, p, choice)) p->blocks = 0;
    return p->blocks != 0;
}

bool sinq_cuda_make_normed_input(struct sinq_cuda_line line, struct sinq_cuda_products *p,
                                 const struct sinq_cuda_values *values) {
    if (p->blocks == 0 || values->origin != SINQ_CUDA_NORMED || values->gather) return false;
    const uint32_t cols = p->products[0].matrix.cols;
    const struct stream_choice choice = choose_kernel(p);
    if (cols % (32 * THREAD_COLS) != 0 || cols > count_rounds(choice.warps) * THREAD_COLS * 32 * choice.warps)
        return false;
    if (!is_aligned(values->in.data) || !is_aligned(values->out.data) || !is_aligned(values->weight)) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_aligned(p->products[i].matrix.column_scale)) return false;
    }
    struct sinq_cuda_products made = *p;
    made.normed = {values->in.data, values->out.data, values->weight, values->eps};
    made.makes_input = true;
    made.input_bytes = count_input_bytes(made, cols / choice.tile);
    if (!sinq_cuda_fits_shared(line, &made, choice)) return false;
    *p = made;
    return true;
}

/* A unit has tiles of two blocks at most. */
static bool has_few_blocks(const struct sinq_cuda_products *p, uint32_t tiles) {
    const uint32_t each = p->is_mixed ? p->costs[0] + p->costs[1] : 2;
    return p->cost / p->blocks >= UNIT / 2 * tiles * each;
}

bool sinq_cuda_activate_products(struct sinq_cuda_line line, struct sinq_cuda_products *p,
                                 const struct sinq_cuda_values *values, const struct sinq_cuda_matrix *next,
                                 const struct sinq_cuda_input *input, uint64_t words) {
    const uint32_t rows = p->products[0].matrix.rows;
    if (p->blocks == 0 || p->count != 2 || values->origin != SINQ_CUDA_ACTIVATED) return false;
    if (p->products[1].matrix.rows != rows || next->cols != rows || input->padded != rows || rows % UNIT_COLS != 0)
        return false;
    if (p->products[0].accumulate || p->products[1].accumulate || UNIT_COLS % input->group != 0) return false;
    const struct stream_choice choice = choose_kernel(p);
    if (!has_few_blocks(p, p->products[0].matrix.cols / choice.tile)) return false;
    if ((uint64_t)p->blocks * (1 + UNIT_WORDS) > words || !is_aligned(next->column_scale)) return false;
    struct sinq_cuda_products made = *p;
    made.activates = true;
    made.activation = values->activation;
    made.given = values->out.data;
    made.given_input = *input;
    made.given_scale = next->column_scale;
    if (!sinq_cuda_fits_shared(line, &made, choice)) return false;
    *p = made;
    return true;
}

cudaError_t sinq_cuda_stream(struct sinq_cuda_line line, const struct sinq_cuda_products *p) {
    const struct stream_choice choice = choose_kernel(p);
    const size_t shared = count_shared_bytes(*p, choice);
    const cudaError_t status =
        cudaFuncSetAttribute(choice.run, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    return status == cudaSuccess ? launch(line, choice.run, dim3(p->blocks), 32 * choice.warps, shared, *p) : status;
}
