/* mixed.cu: products of one row with matrices of different forms, or of forms without a kernel of their own, by stream.cuh's kernel. */
#include "cuda/mixed.cuh"

#define MANY_WARPS 12u
#define FEW_WARPS  8u
/* What a tile costs besides its bytes, in bytes. What it takes by instructions where that is more: no difference. */
#define TILE_COST 1024u
#define COST_UNIT 64u

static bool can_mix(const struct sinq_cuda_matrix *m) {
    const bool has_group = m->group_size == 16 || m->group_size == 32 || m->group_size == 64 || m->group_size == 128;
    const bool are_levels = m->has_byte_levels;
    if (!sinq_cuda_can_multiply(m) || !has_group ||
        (are_levels && (m->bits > 4 || m->zeros != NULL || m->scales_are_f16)))
        return false;
    return m->rows % 32 == 0 && m->cols % (m->group_size == 128 ? 2 * MIXED_TILE : MIXED_TILE) == 0 &&
           is_matrix_aligned(m);
}

struct stream_choice sinq_cuda_find_mixed_kernel(const struct sinq_cuda_products *p) {
    products_kernel *const run =
        p->warps == MANY_WARPS ? stream_kernel<many_forms<MANY_WARPS>> : stream_kernel<many_forms<FEW_WARPS>>;
    return {run, MIXED_TILE, p->warps, p->warps * STAGES * p->stage_bytes};
}

/* What tiles cost, and how large they are. Of a pair; of all, in `total`. */
static uint32_t find_costs(struct sinq_cuda_products *p, uint32_t tiles, uint64_t *total) {
    uint32_t most = 0;
    *total = p->stage_bytes = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const uint32_t bytes = find_mixed_parts(p->products[i].matrix).bytes;
        p->stage_bytes = max(p->stage_bytes, divide_up(bytes, 16) * 16);
        p->costs[i] = (bytes + TILE_COST) / COST_UNIT;
        most = max(most, p->costs[i] * tiles);
        *total += (uint64_t)(p->first_pair[i + 1] - p->first_pair[i]) * tiles * p->costs[i];
    }
    return most;
}

bool sinq_cuda_share_mixed(struct sinq_cuda_line line, struct sinq_cuda_products *p, bool is_made) {
    const uint32_t cols = p->products[0].matrix.cols;
    p->blocks = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct sinq_cuda_matrix *const m = &p->products[i].matrix;
        if (!line.overlaps || m->cols != cols || !can_mix(m) || (is_made && m->group_size == 128)) return false;
    }
    uint64_t total;
    const uint32_t most = find_costs(p, cols / MIXED_TILE, &total);
    if (total * line.processors > INT32_MAX) return false;
    p->blocks = count_blocks(line, total / most);
    if (p->blocks == 0) return false;
    p->cost = (uint32_t)total;
    p->is_mixed = true;
    p->warps = MANY_WARPS * STAGES * p->stage_bytes <= RING_BYTES ? MANY_WARPS : FEW_WARPS;
    if (sinq_cuda_fits_shared(line, p, sinq_cuda_find_mixed_kernel(p))) return true;
    p->blocks = 0;
    p->is_mixed = false;
    return false;
}
