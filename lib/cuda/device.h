/*
 * device.h: what the C files of the CUDA backend and its kernels share: descriptions of matrices, rows and operations as a device
 * sees them, and the functions that put a kernel on a stream. All pointers in descriptions are the device's.
 *
 * A kernel depends on tokens and positions through struct sinq_cuda_state alone, which lies in the device's memory: so the kernels of a
 * batch can be recorded once, as a CUDA graph, and run for every token.
 *
 * Errors: functions return what cudaGetLastError gives after the launch.
 */
#ifndef SINQ_CUDA_DEVICE_H
#define SINQ_CUDA_DEVICE_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where kernels go. With `overlaps` (compute capability 9 and later) a kernel is set up while the one before it ends. */
struct sinq_cuda_line {
    cudaStream_t stream;
    bool overlaps;
    uint32_t processors;  /* multiprocessors */
    bool has_groups;      /* of warps, which multiply together: code for compute capability 9.0a is there */
    uint32_t most_shared; /* bytes of a block's shared memory */
};

struct sinq_cuda_state {
    uint32_t position, count; /* as in struct sinq_frame */
    uint32_t first_row, row_count;
};

/* A view's part of each row of a slot. */
struct sinq_cuda_rows {
    float *data;
    uint32_t stride; /* values from row to row */
};

/* A weight: docs/format.md names the sections of a quantized one. */
struct sinq_cuda_matrix {
    const uint8_t *elements;                                                                    /* dense: row-major */
    const uint8_t *codes, *scales, *scale_ranges, *column_scale, *levels, *zeros, *zero_ranges; /* NULL: not present */
    const float *block_scales;                                                                  /* F8, or NULL */
    uint32_t block_rows, block_cols, scale_cols;
    uint32_t rows, cols, panels, column_blocks, groups;
    uint32_t group_size; /* 0: the whole row */
    uint32_t bits;       /* 0: dense */
    int dtype;           /* enum sinq_dtype */
    float factor, zero_low, zero_step;
    bool scales_are_f16, zeros_are_f16;
    bool scales_are_i8, zeros_are_i8; /* ranges hold a factor for each row and 256 columns */
    bool scales_are_u6, zeros_are_u6; /* 6 bits: groups in fours */
    uint32_t scale_sign;              /* the bit of an entry that is its sign, or 0 */
    bool has_byte_levels;
    bool has_minima; /* zeros are taken off after scaling */
    uint32_t supers; /* such factors of a row */
};

/* ---- rows.cu: operations that compute each row by itself; struct sinq_operation says what each one means ---- */

struct sinq_cuda_norm {
    struct sinq_cuda_rows in, out;
    const float *weight;
    uint32_t groups, width, stride;
    float eps;
    bool gather;
};
struct sinq_cuda_rope {
    struct sinq_cuda_rows in, out, rotation;
    uint32_t heads, in_stride, out_stride, dims, copy;
    bool interleaved;
};
struct sinq_cuda_activation {
    struct sinq_cuda_rows gate, up, out;
    int activation; /* enum sinq_activation */
    uint32_t segments, width, step, in_stride, out_stride;
};
struct sinq_cuda_route {
    struct sinq_cuda_rows logits, choices;
    const float *bias;
    int routing; /* enum sinq_routing */
    uint32_t experts, chosen, groups, top_groups;
    bool groups_by_two, normalized;
    float scale;
};
struct sinq_cuda_combine {
    struct sinq_cuda_rows choices, in, out;
    uint32_t chosen, width;
    bool accumulate;
};

cudaError_t sinq_cuda_embed(struct sinq_cuda_line line, const struct sinq_cuda_matrix *matrix, const int32_t *tokens,
                            struct sinq_cuda_rows out, uint32_t rows, float scale);
cudaError_t sinq_cuda_norm(struct sinq_cuda_line line, const struct sinq_cuda_norm *norm, uint32_t rows,
                           const struct sinq_cuda_state *state);
/* Angles are positions times `frequencies` (f64, pairs of them); cosines and sines are multiplied by `factor`. */
cudaError_t sinq_cuda_rotation(struct sinq_cuda_line line, const double *frequencies, uint32_t pairs, double factor,
                               struct sinq_cuda_rows out, uint32_t rows, const struct sinq_cuda_state *state);
cudaError_t sinq_cuda_rope(struct sinq_cuda_line line, const struct sinq_cuda_rope *rope, uint32_t rows);
cudaError_t sinq_cuda_activate(struct sinq_cuda_line line, const struct sinq_cuda_activation *activation,
                               uint32_t rows);
cudaError_t sinq_cuda_add(struct sinq_cuda_line line, struct sinq_cuda_rows in, struct sinq_cuda_rows out,
                          uint32_t width, uint32_t rows);
cudaError_t sinq_cuda_softcap(struct sinq_cuda_line line, struct sinq_cuda_rows in_out, uint32_t width, float cap,
                              uint32_t rows);
cudaError_t sinq_cuda_route(struct sinq_cuda_line line, const struct sinq_cuda_route *route, uint32_t rows);
cudaError_t sinq_cuda_combine(struct sinq_cuda_line line, const struct sinq_cuda_combine *combine, uint32_t rows);

/* ---- best.cu ---- */

/* `work`: zero before and after. What was found goes to `found`, which may be pinned memory of the host. */
struct sinq_cuda_search {
    uint64_t best;
    uint32_t finished;
};
struct sinq_cuda_found {
    uint32_t place;
    bool has_nan; /* then no place */
};
cudaError_t sinq_cuda_find_largest(struct sinq_cuda_line line, const float *values, uint32_t count,
                                   struct sinq_cuda_search *work, struct sinq_cuda_found *found);

/* ---- cache.cu and attention.cu ---- */

/* A layer's cache, as lib/tensor/kv_cache.h lays it out. */
struct sinq_cuda_cache {
    uint8_t *keys, *values; /* values lie in the keys where they are shared */
    float *key_scales, *value_scales;
    uint32_t kv_heads, key_dim, value_dim, capacity;
    int type; /* enum sinq_kv_type */
    bool shared;
};
/* What lies between the products and attention, at once: norms of query and key heads, ropes, the cache. */
struct sinq_cuda_turn {
    struct sinq_cuda_cache cache;
    struct sinq_cuda_rows queries, keys, values, rotation;
    const float *query_weight, *key_weight; /* of norms, or NULL */
    float query_eps, key_eps;
    uint32_t heads, dims; /* of queries; values of a head that turn */
    bool interleaved;
};
/*
 * An input times the matrix's column scale, as integers of 16 bits that share a scale in each group of columns; each integer is
 * 256 * high + low, with the high digits of all columns in one plane and the low ones in another. Columns are padded with zeros.
 */
struct sinq_cuda_input {
    int8_t *digits;  /* [rows][2][padded] */
    float *scales;   /* [rows][groups][2]: the scale, and the sum of the integers */
    uint32_t padded; /* columns: a multiple of SINQ_CUDA_PADDING */
    uint32_t group;  /* columns that share a scale */
};
#define SINQ_CUDA_PADDING 512u
/* Columns that share a scale in inputs of that matrix. */
static inline uint32_t sinq_cuda_input_group(uint32_t group_size) { return group_size == 0 ? 128 : group_size; }

struct sinq_cuda_attention {
    struct sinq_cuda_cache cache;
    struct sinq_cuda_rows queries, out;
    const float *sinks; /* or NULL */
    uint32_t heads, window;
    float scale, cap;
    uint32_t parts; /* that positions are shared out to */
    float *partial; /* parts > 1: sinq_cuda_attention_bytes() of them */
    bool turns;     /* of one row: what `turn` says comes first; the rows of queries and keys stay as they are */
    struct sinq_cuda_turn turn;
    /* Of several parts: where `finished` is, they are joined, and become the input of a product. Heads are groups of columns. */
    uint32_t *finished; /* [rows][heads], zero before and after, or NULL */
    struct sinq_cuda_input input;
    const uint8_t *column_scale;
};

#define SINQ_CUDA_ATTENDED_HEADS 2u /* of one block, at most: they share a head of the cache */

cudaError_t sinq_cuda_store(struct sinq_cuda_line line, const struct sinq_cuda_cache *cache, struct sinq_cuda_rows keys,
                            struct sinq_cuda_rows values, uint32_t rows, const struct sinq_cuda_state *state);
uint64_t sinq_cuda_attention_bytes(const struct sinq_cuda_attention *attention, uint32_t rows);
/* Of several parts each makes its own sums, which sinq_cuda_join joins. */
cudaError_t sinq_cuda_attend(struct sinq_cuda_line line, const struct sinq_cuda_attention *attention, uint32_t rows,
                             const struct sinq_cuda_state *state);
cudaError_t sinq_cuda_join(struct sinq_cuda_line line, const struct sinq_cuda_attention *attention, uint32_t rows,
                           const struct sinq_cuda_state *state);

#define SINQ_CUDA_MOST_TURNED 256u /* values of a head */
cudaError_t sinq_cuda_turn(struct sinq_cuda_line line, const struct sinq_cuda_turn *turn, uint32_t rows,
                           const struct sinq_cuda_state *state);

/* ---- prepare.cu: inputs of products with quantized matrices ---- */

/* What the values are that an input is made of. Where `out` has data, they are written there, too. */
enum sinq_cuda_origin { SINQ_CUDA_PLAIN, SINQ_CUDA_NORMED, SINQ_CUDA_ACTIVATED, SINQ_CUDA_ATTENDED, SINQ_CUDA_MADE };
struct sinq_cuda_values {
    enum sinq_cuda_origin origin;
    struct sinq_cuda_rows in, out; /* of ACTIVATED: the gate */
    const float *weight;           /* NORMED */
    float eps;
    bool gather;
    struct sinq_cuda_rows up; /* ACTIVATED */
    int activation;
    struct sinq_cuda_attention attention; /* ATTENDED: its parts, which are joined; values of a head come in eights */
    struct sinq_cuda_input made;          /* MADE: the kernel before has made all of it */
};
#define SINQ_CUDA_MOST_PRODUCTS 4u
struct sinq_cuda_preparation {
    struct sinq_cuda_values values;
    uint32_t cols, count;
    const uint8_t *column_scales[SINQ_CUDA_MOST_PRODUCTS]; /* NULL: 1 everywhere */
    struct sinq_cuda_input inputs[SINQ_CUDA_MOST_PRODUCTS];
};
cudaError_t sinq_cuda_prepare(struct sinq_cuda_line line, const struct sinq_cuda_preparation *preparation,
                              uint32_t rows, const struct sinq_cuda_state *state);

/* ---- multiply.cu: products with quantized matrices ---- */

/* y = W x + b for each row. */
struct sinq_cuda_product {
    struct sinq_cuda_matrix matrix;
    struct sinq_cuda_input input;
    struct sinq_cuda_rows y;
    const float *bias; /* or NULL */
    bool accumulate;
};
/* Products that are carried out as one: all of the same columns and, but where sinq_cuda_share_mixed says otherwise, bits and group size. */
struct sinq_cuda_products {
    struct sinq_cuda_product products[SINQ_CUDA_MOST_PRODUCTS];
    uint32_t first_pair[SINQ_CUDA_MOST_PRODUCTS + 1]; /* pairs of panels, counted through */
    uint32_t count;
    /* One row: columns may be shared out among several blocks. */
    uint32_t splits,
        warps; /* blocks of a pair, and warps of each, as sinq_cuda_share_columns says; of mixed ones warps of a block */
    bool has_many_pairs;
    uint32_t blocks; /* one on a multiprocessor at most, for sinq_cuda_stream; 0: for sinq_cuda_multiply */
    /* For sinq_cuda_stream: blocks share out the sum of what tiles cost. Where forms differ (mixed.cuh), a product's tiles cost so much each. */
    uint32_t cost;
    bool is_mixed;
    uint32_t costs[SINQ_CUDA_MOST_PRODUCTS], stage_bytes; /* of a tile in shared memory, at most */
    bool makes_input; /* each block makes what it needs of the inputs, of `normed`, in so many bytes of shared memory */
    uint32_t input_bytes;
    struct {
        const float *in;
        float *out; /* or NULL */
        const float *weight;
        float eps;
    } normed;
    /* A gate and an up product, whose pairs are counted by turns: they give the next product's input alone. */
    bool activates;
    int activation;
    float *given; /* what was activated */
    struct sinq_cuda_input given_input;
    const uint8_t *given_scale; /* of columns of the next product, or NULL */
    uint32_t *exchange;         /* [blocks][32], with `activates` [blocks][1 + 128], zero before and after */
    float *partial;             /* splits > 1: [pairs][splits][32] */
    uint32_t *finished;         /* [pairs], zero before and after */
};
/* How many blocks and warps are best for products of one row, on this device. */
void sinq_cuda_share_columns(uint32_t processors, struct sinq_cuda_products *products);
/* Products are carried out as one, experts likewise, where both matrices are usual or both are not. */
static inline bool sinq_cuda_is_usual(const struct sinq_cuda_matrix *m) {
    return m->zeros != NULL && !m->has_byte_levels && !m->scales_are_u6 && !m->zeros_are_u6 && m->scale_sign == 0;
}
/* Whether sinq_cuda_multiply can do it: the forms that quantizing makes, but for those with levels of their own. */
bool sinq_cuda_can_multiply(const struct sinq_cuda_matrix *matrix);
cudaError_t sinq_cuda_multiply(struct sinq_cuda_line line, const struct sinq_cuda_products *products, uint32_t rows);

/* ---- stream.cu: products of one row, with weights on their way before the kernel before has ended ---- */

/* Fills in `blocks` and `cost`; false where products are not for this kernel. */
bool sinq_cuda_share_tiles(struct sinq_cuda_line line, struct sinq_cuda_products *products);
/* The same for products of different forms, and for single ones of forms that have no kernel of their own. `is_made`: so is their input. */
bool sinq_cuda_share_mixed(struct sinq_cuda_line line, struct sinq_cuda_products *products, bool is_made);
/* The group of a matrix' input: that of mixed products comes in groups of 64 where those of the matrix are wider. */
static inline uint32_t sinq_cuda_mixed_input_group(uint32_t group_size) { return group_size > 64 ? 64 : group_size; }
/* Of products whose tiles are shared out: whether their blocks can make the inputs. They do so from now on. */
bool sinq_cuda_make_normed_input(struct sinq_cuda_line line, struct sinq_cuda_products *products,
                                 const struct sinq_cuda_values *values);
/*
 * Of a gate and an up product whose tiles are shared out, before sinq_cuda_make_normed_input: whether they can do what `values` says
 * and make the input of the next product. They do so from now on. `words`: of `exchange`.
 */
bool sinq_cuda_activate_products(struct sinq_cuda_line line, struct sinq_cuda_products *products,
                                 const struct sinq_cuda_values *values, const struct sinq_cuda_matrix *next,
                                 const struct sinq_cuda_input *input, uint64_t words);
cudaError_t sinq_cuda_stream(struct sinq_cuda_line line, const struct sinq_cuda_products *products);

/* Products with the experts that were chosen: matrices[expert], all of one shape, bits and group size. */
struct sinq_cuda_expert_products {
    const struct sinq_cuda_matrix *matrices; /* of the device */
    struct sinq_cuda_matrix first;           /* the first of them */
    const float *const *biases;              /* of the device, one an expert, or NULL */
    struct sinq_cuda_rows choices, in, out;
    uint32_t chosen;
    bool per_choice;
    struct sinq_cuda_input input; /* a row for each choice of each token */
};
cudaError_t sinq_cuda_prepare_experts(struct sinq_cuda_line line, const struct sinq_cuda_expert_products *products,
                                      uint32_t rows);
cudaError_t sinq_cuda_multiply_experts(struct sinq_cuda_line line, const struct sinq_cuda_expert_products *products,
                                       uint32_t rows);

/* ---- tiles: products of many rows, on matrix units in f16 ---- */

/*
 * Rows in f16, each with a power of two of its own: tiles of 128 rows and 64 columns, those of the same rows one behind the other.
 * In a tile a row has 128 bytes, of which eighth c lies at place c xor (row mod 8): so both ways in which matrix units are
 * fed read it without conflicts of banks. Columns are padded with zeros; what rows beyond the last hold is not used.
 *
 * Split: each value is a sum of two f16 numbers, high and low. Inputs have columns high, low, high; weights high, high, low.
 */
#define SINQ_CUDA_TILE_ROWS  128u
#define SINQ_CUDA_TILE_COLS  64u
#define SINQ_CUDA_TILE_BYTES (SINQ_CUDA_TILE_ROWS * SINQ_CUDA_TILE_COLS * 2)
#define SINQ_CUDA_TILE_PAIR  (2 * SINQ_CUDA_TILE_ROWS) /* rows of a matrix come in pairs of tiles */
struct sinq_cuda_tiles {
    uint8_t *data;
    float *scales;   /* one a row */
    uint32_t across; /* tiles of a row, all parts of split ones counted */
    bool is_split;
};

struct sinq_cuda_tiled_product {
    struct sinq_cuda_matrix matrix;
    struct sinq_cuda_rows y;
    const float *bias; /* or NULL */
    bool accumulate;
};
/* Which experts rows go to. Tiles of the input have rows of one expert each. */
struct sinq_cuda_tile_map {
    uint32_t *tile_experts, *tile_count; /* [most_tiles], [1] */
    uint32_t *sources;                   /* [most_tiles * 128]: token * chosen + choice, or SINQ_CUDA_NO_SOURCE */
    uint32_t most_tiles;
};
#define SINQ_CUDA_NO_SOURCE 0xffffffffu
/* Products of one input. Or, with `experts`, products with the experts that were chosen: one, whose matrix is the first. */
struct sinq_cuda_tiled_products {
    struct sinq_cuda_values values; /* not ATTENDED */
    struct sinq_cuda_tiles input, weights;
    struct sinq_cuda_tiled_product products[SINQ_CUDA_MOST_PRODUCTS];
    uint32_t first_pair[SINQ_CUDA_MOST_PRODUCTS + 1]; /* pairs of tiles, counted through */
    uint32_t count, room;                             /* pairs of tiles that `weights` has room for at a time */
    const struct sinq_cuda_matrix *experts;           /* of the device */
    const float *const *biases;
    struct sinq_cuda_rows choices;
    uint32_t expert_count, chosen;
    bool per_choice;
    struct sinq_cuda_tile_map map;
};
cudaError_t sinq_cuda_tile_input(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *products,
                                 uint32_t rows, const struct sinq_cuda_state *state);
/* Pairs of tiles [first, first + count) of all products (of all experts) into the first tiles of `weights`. */
cudaError_t sinq_cuda_tile_weights(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *products,
                                   uint32_t first, uint32_t count);
/* For a line's has_groups, of the current device. */
cudaError_t sinq_cuda_find_groups(bool *found);
cudaError_t sinq_cuda_multiply_tiles(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *products,
                                     uint32_t first, uint32_t count, uint32_t rows);

/* Attention of many rows on matrix units: keys and values in f16 or int8, heads of at most 256 values that come in sixteens. */
bool sinq_cuda_can_attend_rows(const struct sinq_cuda_attention *attention, uint32_t rows);
cudaError_t sinq_cuda_attend_rows(struct sinq_cuda_line line, const struct sinq_cuda_attention *attention,
                                  uint32_t rows, const struct sinq_cuda_state *state);

/* ---- dense.cu: products with everything else ---- */

cudaError_t sinq_cuda_multiply_dense(struct sinq_cuda_line line, const struct sinq_cuda_matrix *matrix,
                                     struct sinq_cuda_rows in, struct sinq_cuda_rows y, const float *bias,
                                     bool accumulate, uint32_t rows);
cudaError_t sinq_cuda_multiply_dense_experts(struct sinq_cuda_line line,
                                             const struct sinq_cuda_expert_products *products, uint32_t rows);
struct sinq_cuda_head_product {
    struct sinq_cuda_matrix matrix;
    struct sinq_cuda_rows in, out;
    uint32_t heads, in_stride, out_stride, first_row, row_stride, rows;
    bool transposed;
};
cudaError_t sinq_cuda_multiply_heads(struct sinq_cuda_line line, const struct sinq_cuda_head_product *product,
                                     uint32_t rows);

#ifdef __cplusplus
}
#endif
#endif
