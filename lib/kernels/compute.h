/*
 * compute.h: the inner loops of running a model, one version an instruction set, behind matmul.h, attention.h and rowwise.h.
 *
 * Versions may differ in rounding (fused operations, order of sums); each is held to a bound against direct sums. Codes of
 * activations in int8 are the same in all.
 *
 * A panel is 16 rows. Panels in f32 lie [column][16]; a tile of the input is `width` tokens, [column][width].
 */
#ifndef SINQ_KERNELS_COMPUTE_H
#define SINQ_KERNELS_COMPUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/attention.h"
#include "tensor/dual_scale.h"

#define SINQ_MOST_TILE           16u /* no tile is wider */
#define SINQ_ATTENTION_POSITIONS 64u /* of a block of keys and values */

/* Scales or zero points of some groups of one panel, as they are stored. */
struct sinq_stored_aux {
    const uint8_t *entries; /* [group][16] of f16, u8 or i8, or quads of groups of 6 bits; NULL: all are `low` */
    const uint8_t *ranges;  /* [group] of two f16: low, step; NULL: the two below hold for all */
    float low, step;
    bool is_half;
    bool is_packed; /* entries are of 6 bits, and the first is number `skip` (0 to 3) of its quad */
    unsigned skip;
    unsigned sign;       /* the bit that is an entry's sign, 32 or 128; 0: none */
    const float *supers; /* entries are i8, times [(first + group) >> super_shift][16]; or NULL */
    size_t first;
    unsigned super_shift;
};

/* Whole blocks of one panel to be decoded. */
struct sinq_coded_part {
    const uint8_t *lines;
    size_t blocks;
    const float *scales, *zeros; /* [group][16] */
    unsigned group_shift;        /* column k belongs to group k >> group_shift */
    const float *columns;        /* column scales, of all columns */
    float factor;
    const float *levels; /* 16, or NULL where codes stand for themselves */
    bool has_minima;     /* zeros are taken off after scaling */
};

/* Whole blocks of one panel (or of some, line_stride bytes apart) times a tile of int8 activations. */
struct sinq_int8_part {
    const uint8_t *lines; /* packed, or as unpack() leaves them */
    size_t line_stride;
    size_t panel_bytes;    /* packed: from one panel of a place to the next */
    const int8_t *x;       /* [quad of columns][width][4] */
    const float *x_scales; /* [group][width] (tiles: each of `shared` groups) */
    const float *x_sums;   /* [group][width]: the sums of codes */
    /* Tiles of levels below 128, groups of half a block or one: [group][width], what sums begin with; or NULL. */
    const int32_t *starts;
    size_t shared;         /* groups, a power of two, that share an activation scale; more than 1 with `starts` only */
    size_t blocks, groups; /* groups: only those that have columns count */
    size_t group_blocks;   /* blocks of a group; 0: a block is two groups */
    unsigned bits;
    /* Levels as 16-bit numbers: 16 bytes each. high NULL: levels are below 128. Both NULL: codes stand for themselves. */
    const uint8_t *high, *low;
};

/* Scales and zero points as they are stored, of panels one behind the other, for products that look at each once. */
struct sinq_packed_aux {
    struct sinq_stored_aux scales, zeros;    /* of the first panel */
    const float *scale_ranges, *zero_ranges; /* [block of rows][group][low, step]; NULL where they are halves */
    size_t scale_bytes, zero_bytes;          /* from a panel's entries to the next one's */
    size_t scale_floats, zero_floats;        /* from a block's ranges to the next one's; 0: all have the same */
    unsigned left;                           /* panels of the first block, 1 or more */
    bool is_row;                             /* the first is that of all groups */
    float zero_factor, zero_shift;           /* a zero point counts as zero * factor + shift */
};

#define SINQ_BLOCK_PANELS (SINQ_SCALE_BLOCK_ROWS / SINQ_PANEL_ROWS) /* of a block of rows that share ranges */

/* To the next panel. */
static inline void sinq_step_packed_aux(struct sinq_packed_aux *aux) {
    aux->scales.entries += aux->scale_bytes;
    if (aux->zeros.entries != NULL) aux->zeros.entries += aux->zero_bytes;
    if (--aux->left > 0) return;
    aux->left = SINQ_BLOCK_PANELS;
    if (aux->scale_ranges != NULL) aux->scale_ranges += aux->scale_floats;
    if (aux->zero_ranges != NULL) aux->zero_ranges += aux->zero_floats;
}

/* Scales and zero points in f32, for products with many tokens. */
struct sinq_expanded_aux {
    const float *scales, *zeros; /* [group][16], each `stride` behind the one before; panels are panel_stride apart */
    size_t stride, panel_stride; /* stride: 16, or 0 where the group is the whole row */
};

typedef void sinq_multiply_f32_fn(const float *panel, size_t stride, const float *x, size_t count, unsigned width,
                                  float *sums, size_t sums_stride);
typedef void sinq_pack_rows_fn(const uint8_t *const rows[16], size_t count, float *out);
typedef void sinq_dot_rows_fn(const uint8_t *const *rows, unsigned count, const float *x, size_t cols, float *sums);
typedef void sinq_activation_fn(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);

/*
 * Keys or values as the cache holds them: `count` rows (1 or more), of which `dim` values count, one behind the other. What is read
 * after them begins `apart` bytes from where they do (0: nothing is known).
 */
struct sinq_stored_rows {
    const uint8_t *bytes;
    size_t row_bytes, count, dim;
    ptrdiff_t apart;
};

typedef void sinq_score_rows_fn(const struct sinq_stored_rows *keys, const float *queries, size_t stride,
                                unsigned count, float *scores);
typedef void sinq_add_rows_fn(const struct sinq_stored_rows *values, const float *shares, unsigned count, float *sums,
                              size_t stride);

/* Of one query. Scores are times `scale`, times those of keys where there are any, then capped (0: no cap). */
struct sinq_softmax_step {
    size_t positions;          /* a multiple of 16 */
    size_t first, end;         /* those that the query sees */
    const float *key_scales;   /* [positions] or NULL */
    const float *value_scales; /* likewise: what shares are multiplied by once they are summed up */
    float scale, cap;
    float *largest, *total; /* about the largest score so far, 8 below it at most; the sum of exp(score - largest) */
    size_t values;          /* of `sums`, a multiple of 16 */
};

struct sinq_compute_kernels {
    unsigned f32_tile, int8_tile, levels_tile; /* most tokens of a tile */

    /* sums[t][16] += panel times tile; the panel's columns are `stride` floats apart, the sums `sums_stride`. */
    sinq_multiply_f32_fn *multiply_f32;
    /* The same with x[t][SINQ_ATTENTION_POSITIONS]: token by token. */
    sinq_multiply_f32_fn *multiply_shares;
    /* Columns [0, count) of 16 rows to a panel; writes columns up to a multiple of 16. */
    sinq_pack_rows_fn *pack_f32, *pack_f16, *pack_bf16, *pack_i8;
    /* A tile [column][width] of `tokens` rows of x (at most width; the others are zero), `stride` floats apart. */
    void (*pack_tile)(const float *x, size_t stride, unsigned tokens, size_t count, unsigned width, float *tile);
    /* sums[r] += row r times x, of up to four rows. */
    sinq_dot_rows_fn *dot_f32, *dot_f16, *dot_bf16;

    /* 6-bit entries [group][16] of whole quads of groups, a byte each. */
    void (*spread_entries)(const uint8_t *packed, size_t quads, uint8_t *entries);
    /* out[group][16] */
    void (*expand_aux)(const struct sinq_stored_aux *aux, size_t groups, float *out);
    /* The largest magnitude; not below infinity where one is not finite. */
    float (*find_largest)(const float *values, size_t count);
    /* By bits. The same f32 operations as docs/format.md's, so the same weights to the last bit. */
    void (*decode[9])(const struct sinq_coded_part *part, float *panel);

    /* Codes of x[i] * columns[i], their scale and sum. `count` is 128 at most; codes are written up to a multiple of 16. */
    void (*quantize_group)(const float *x, const float *columns, size_t count, int8_t *codes, float *scale, float *sum);
    /* By bits: lines of 8 bits a code; where there are levels, their low bytes' line and their high bytes' for each quad. */
    void (*unpack[9])(const struct sinq_int8_part *part, uint8_t *lines);
    /*
     * By bits: packed lines of `panels` panels one behind the other, panel_bytes apart, from one place or from two by turns, times one
     * token: sums[panel][place][16] +=. aux[place]. Levels below 128: see byte_levels.h.
     */
    void (*multiply_packed[9])(const struct sinq_int8_part *part, const struct sinq_packed_aux *aux, unsigned places,
                               size_t panels, float *sums);
    /* Unpacked lines of some panels times a tile: sums[panel][width][16] +=, panels sums_stride floats apart. */
    void (*multiply_lines)(const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux, unsigned panels,
                           unsigned width, float *sums, size_t sums_stride);
    /* y[r] = (accumulate: y[r] +) sums[r] * factor + bias[r] (bias: or NULL), of `rows` rows, 16 at most. */
    void (*write_sums)(const float *sums, float factor, const float *bias, bool accumulate, unsigned rows, float *y);

    /* To f16 and to int8 codes of values * by (in [-127, 127]), and back. */
    void (*narrow_f16)(const float *values, size_t count, uint8_t *to);
    void (*narrow_i8)(const float *values, size_t count, float by, uint8_t *to);
    void (*widen_f16)(const uint8_t *from, size_t count, float *out);
    void (*widen_i8)(const uint8_t *from, size_t count, float scale, float *out);
    void (*widen_e4m3)(const uint8_t *from, size_t count, float *out);
    void (*widen_e5m2)(const uint8_t *from, size_t count, float *out);
    /*
     * By the cache's type (int8: codes without their scales), for some queries, `stride` floats apart as their sums are:
     * scores[query][SINQ_ATTENTION_POSITIONS] of keys, up to a multiple of 16; queries are 0 from the keys' dim up to one.
     * sums[query] += shares[query][SINQ_ATTENTION_POSITIONS] times values, up to a multiple of 16 columns.
     */
    sinq_score_rows_fn *score_rows[3];
    sinq_add_rows_fn *add_rows[3];
    /* One query and one block of positions: scores become shares, exp(score - largest), and what was summed so far shrinks. */
    void (*update_softmax)(const struct sinq_softmax_step *step, float *scores, float *sums);

    void (*norm_row)(const float *in, const float *weight, uint32_t width, float eps, float *out);
    void (*rotate_halves)(const float *in, const float *cosines, const float *sines, uint32_t pairs, float *out);
    sinq_activation_fn *silu, *gelu_tanh, *gelu, *gpt_oss;
    void (*add_row)(const float *in, float factor, uint32_t width, float *out);
    void (*softcap_row)(float *in_out, uint32_t width, float cap);
    void (*softmax_row)(float *in_out, uint32_t width);
    void (*copy_scores)(const float *logits, uint32_t count, float *scores, float *peaks);
};

/* The table of the level in use (kernels/cpu.h). */
const struct sinq_compute_kernels *sinq_get_compute_kernels(void);

extern const struct sinq_compute_kernels sinq_compute_kernels_c;
#if defined(__x86_64__)
extern const struct sinq_compute_kernels sinq_compute_kernels_sse2;
extern const struct sinq_compute_kernels sinq_compute_kernels_ssse3;
extern const struct sinq_compute_kernels sinq_compute_kernels_avx2;
extern const struct sinq_compute_kernels sinq_compute_kernels_avx2vnni;
extern const struct sinq_compute_kernels sinq_compute_kernels_avx512;
#elif defined(__aarch64__)
extern const struct sinq_compute_kernels sinq_compute_kernels_neon;
extern const struct sinq_compute_kernels sinq_compute_kernels_neondot;
#endif

#endif
