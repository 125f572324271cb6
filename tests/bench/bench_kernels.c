/* The speed of the kernels that run models, one thread: Gflop/s, GOPS and GB/s for some sizes; medians. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/huge_memory.h"
#include "kernels/attention.h"
#include "kernels/compute.h"
#include "kernels/cpu.h"
#include "kernels/limits.h"
#include "kernels/matmul.h"
#include "kernels/rowwise.h"

enum { RUNS = 9 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what neighbours take does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void work_fn(void *context);

/* Median seconds of one call; each run repeats it for 10 ms or more, so that the clock's own time does not count. */
static double measure(work_fn *work, void *context) {
    double seconds[RUNS];
    int calls = 1;
    for (;; calls *= 2) {
        const double start = now();
        for (int i = 0; i < calls; i++) work(context);
        if (now() - start >= 0.01) break;
    }
    for (int run = 0; run < RUNS; run++) {
        const double start = now();
        for (int i = 0; i < calls; i++) work(context);
        seconds[run] = (now() - start) / calls;
    }
    qsort(seconds, RUNS, sizeof seconds[0], compare_doubles);
    return seconds[RUNS / 2];
}

static void *allocate(size_t bytes) {
    void *const memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory == NULL) exit(1);
    memset(memory, 0, bytes);
    return memory;
}

static float next_value(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * 0x1p-23f - 1.0f;
}

/* ---- the machine's limits ---- */

struct loop {
    enum { LOOP_READ, LOOP_INT8, LOOP_F32 } kind;
    const uint8_t *data;
    size_t bytes;
    struct sinq_read_way way;
    uint64_t sink;
};

static void run_loop(void *context) {
    struct loop *const loop = context;
    const struct sinq_limit_kernels *const kernels = sinq_get_limit_kernels();
    if (loop->kind == LOOP_READ) loop->sink += kernels->read(loop->data, loop->bytes, loop->way);
    if (loop->kind == LOOP_INT8) loop->sink += kernels->multiply_int8(loop->data, 16);
    if (loop->kind == LOOP_F32) {
        loop->sink += kernels->multiply_f32((const float *)(const void *)loop->data, 16) > 0;
    }
}

/* Operations a second of loops that do nothing but multiply. */
static double int8_limit, f32_limit;

static void measure_limits(void) {
    const struct sinq_limit_kernels *const kernels = sinq_get_limit_kernels();
    uint8_t *const data = allocate(SINQ_LIMIT_DATA_BYTES);
    for (size_t i = 0; i < SINQ_LIMIT_DATA_BYTES; i++) data[i] = (uint8_t)(i * 2654435761u >> 13 & 0x7f);
    struct loop loop = {.kind = LOOP_INT8, .data = data};
    int8_limit = 16 * kernels->int8_operations / measure(run_loop, &loop);
    for (size_t i = 0; i < SINQ_LIMIT_DATA_BYTES / sizeof(float); i++) ((float *)(void *)data)[i] = next_value();
    loop.kind = LOOP_F32;
    f32_limit = 16 * kernels->f32_operations / measure(run_loop, &loop);
    printf("%-44s %8.1f Gop/s of int8, %.1f Gflop/s of f32\n", "limits: registers and the first cache",
           int8_limit * 1e-9, f32_limit * 1e-9);
    free(data);
}

/* Seconds that reading them takes, wherever they lie. */
static double time_reading(const uint8_t *bytes, uint64_t size) {
    static const struct sinq_read_way ways[] = {{0, false, false}, {4096, false, false}, {512, false, true}};
    double best = INFINITY;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct loop loop = {.kind = LOOP_READ,
                            .data = bytes,
                            .bytes = (size_t)(size / SINQ_LIMIT_READ_BYTES * SINQ_LIMIT_READ_BYTES),
                            .way = ways[i]};
        best = fmin(best, measure(run_loop, &loop));
    }
    return best;
}

/* ---- products ---- */

struct product {
    struct sinq_weight weight;
    uint32_t tokens;
    bool exact, prepare_only;
    float *x, *y;
    void *prepared, *scratch;
};

static void run_product(void *context) {
    const struct product *const p = context;
    const struct sinq_weight *const w = &p->weight;
    sinq_prepare_input(w, p->x, w->cols, p->tokens, 0, p->tokens, p->exact, p->prepared);
    if (p->prepare_only) return;
    sinq_multiply_panels(w, p->prepared, p->tokens, 0, (w->rows + 15) / 16, NULL, false, p->exact, p->y, w->rows,
                         p->scratch);
}

static void bench_product(const char *name, struct sinq_weight weight, uint32_t tokens, bool exact) {
    struct product p = {.weight = weight, .tokens = tokens, .exact = exact};
    p.x = allocate(tokens * weight.cols * sizeof(float));
    p.y = allocate(tokens * weight.rows * sizeof(float));
    for (size_t i = 0; i < tokens * weight.cols; i++) p.x[i] = next_value();
    p.prepared = allocate(sinq_prepared_bytes(&weight, tokens, exact));
    p.scratch = allocate(sinq_multiply_scratch(&weight, tokens, exact));
    const double seconds = measure(run_product, &p);
    p.prepare_only = true;
    const double preparing = measure(run_product, &p);
    const bool is_int8 = weight.dtype == SINQ_DUAL_SCALE && !exact;
    const double operations = 2.0 * (double)weight.rows * (double)weight.cols * tokens;
    const double reading = tokens <= 8 ? time_reading(weight.bytes, weight.size) : 0;
    const double least = fmax(operations / (is_int8 ? int8_limit : f32_limit), reading);
    char label[96];
    snprintf(label, sizeof label, "%s, %llu x %llu, %u tokens", name, (unsigned long long)weight.rows,
             (unsigned long long)weight.cols, tokens);
    printf("%-44s %8.1f G%s/s %7.2f GB/s  %3.0f %% of the limit (input %.0f %%)\n", label, operations / seconds * 1e-9,
           is_int8 ? "op  " : "flop", (double)weight.size / seconds * 1e-9, 100 * least / seconds,
           100 * preparing / seconds);
    free(p.x);
    free(p.y);
    free(p.prepared);
    free(p.scratch);
}

static void bench_dense(enum sinq_dtype dtype, uint64_t rows, uint64_t cols, uint32_t tokens) {
    struct sinq_weight weight = {.dtype = dtype, .rows = rows, .cols = cols};
    weight.size = rows * cols * sinq_dtype_size(dtype);
    uint8_t *const bytes = allocate(weight.size);
    for (uint64_t i = 0; i < weight.size; i++) bytes[i] = (uint8_t)(i % 4 == 3 ? 0x3f : i % 2 == 1 ? 0x3c : i);
    weight.bytes = bytes;
    bench_product(sinq_dtype_name(dtype), weight, tokens, true);
    free(bytes);
}

/* How a made-up matrix is stored. */
struct form {
    const char *name;
    unsigned bits;
    enum sinq_levels_kind levels;
    uint32_t group;
    enum sinq_aux_type scales, zeros;
};

static struct sinq_weight describe_coded(const struct form *form, uint64_t rows, uint64_t cols) {
    struct sinq_weight weight = {.dtype = SINQ_DUAL_SCALE, .rows = rows, .cols = cols};
    const bool has_bytes = form->levels == SINQ_LEVELS_BYTES;
    weight.matrix = (struct sinq_dual_scale){.rows = rows,
                                             .cols = cols,
                                             .group_size = form->group,
                                             .bits = form->bits,
                                             .scale_type = form->scales,
                                             .zero_type = form->zeros,
                                             .scale_signed = has_bytes,
                                             .has_column_scale = true,
                                             .levels = form->levels,
                                             .factor = 1.0f,
                                             .zero_low = has_bytes ? 61.25f : 0.0f,
                                             .zero_step = 1.0f};
    if (!sinq_dual_scale_measure(&weight.matrix, &weight.sizes)) exit(1);
    weight.size = weight.sizes.bytes;
    return weight;
}

static void fill_bytes(uint8_t *bytes, uint64_t size) {
    for (uint64_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13 & 0x3f); /* finite as halves */
}

static uint8_t *make_bytes(uint64_t size) {
    uint8_t *const bytes = allocate(size);
    fill_bytes(bytes, size);
    return bytes;
}

/* Scales and zeros of 8 bits; with byte levels signed scales of 6 bits and one zero. */
static void bench_coded(unsigned bits, enum sinq_levels_kind levels, uint64_t rows, uint64_t cols, uint32_t group,
                        uint32_t tokens, bool exact) {
    static const char *const level_names[] = {"", " levels", " byte levels"};
    const bool has_bytes = levels == SINQ_LEVELS_BYTES;
    const struct form form = {
        NULL, bits, levels, group, has_bytes ? SINQ_AUX_U6 : SINQ_AUX_U8, has_bytes ? SINQ_AUX_NONE : SINQ_AUX_U8};
    struct sinq_weight weight = describe_coded(&form, rows, cols);
    uint8_t *const bytes = make_bytes(weight.size);
    weight.bytes = bytes;
    char name[48];
    snprintf(name, sizeof name, "%u bits%s, group %u%s", bits, level_names[levels], group, exact ? " exact" : "");
    bench_product(name, weight, tokens, exact);
    free(bytes);
}

/* ---- one token, weights from memory: forms beside even codes of 4 bits and beside reading alone, in turn ---- */

enum { TURNS = 15 };
#define SHARE_BYTES  ((uint64_t)2 << 20)   /* as large as a program's are */
#define STREAM_BYTES ((uint64_t)640 << 20) /* beyond the last cache */

struct streamed {
    struct sinq_weight weight;
    float *x, *y;
    void *prepared;
};

/* All forms are read from the same memory: another place may be faster by a fifth. */
static struct streamed make_streamed(const struct form *form, const uint8_t *bytes) {
    const uint64_t cols = 2560;
    uint64_t rows = STREAM_BYTES * 8 / (cols * form->bits) / 32 * 32;
    struct streamed s = {.weight = describe_coded(form, rows, cols)};
    rows = rows * STREAM_BYTES / s.weight.size / 32 * 32 - 32;
    s.weight = describe_coded(form, rows, cols);
    s.weight.bytes = bytes;
    s.x = allocate(cols * sizeof(float));
    s.y = allocate(rows * sizeof(float));
    for (size_t i = 0; i < cols; i++) s.x[i] = next_value();
    s.prepared = allocate(sinq_prepared_bytes(&s.weight, 1, false));
    sinq_prepare_input(&s.weight, s.x, cols, 1, 0, 1, false, s.prepared);
    return s;
}

static void release_streamed(struct streamed *s) {
    free(s->x);
    free(s->y);
    free(s->prepared);
}

/* Bytes a second: of the time of the processors, so that what neighbours take does not count. */
static double stream(const struct streamed *s, int threads) {
    const uint64_t panels = s->weight.rows / 16, share = SHARE_BYTES / (s->weight.size / panels);
    double seconds = 0;
#pragma omp parallel num_threads(threads) reduction(+ : seconds)
    {
        void *const scratch = allocate(sinq_multiply_scratch(&s->weight, 1, false));
        const double start = now();
#pragma omp for schedule(dynamic) nowait
        for (uint64_t i = 0; i < panels; i += share) {
            const uint64_t some = panels - i < share ? panels - i : share;
            sinq_multiply_panels(&s->weight, s->prepared, 1, i, some, NULL, false, false, s->y, s->weight.rows,
                                 scratch);
        }
        seconds = now() - start;
        free(scratch);
    }
    return threads * (double)s->weight.size / seconds;
}

static volatile uint64_t kept; /* what reading found: so that no compiler leaves it out */

/* Bytes a second of a loop that only reads, in parts of 1 MiB. */
static double read_stream(const uint8_t *bytes, int threads, struct sinq_read_way way) {
    enum { PART = 1 << 20 };
    double seconds = 0;
    uint64_t sink = 0;
#pragma omp parallel num_threads(threads) reduction(+ : seconds) reduction(^ : sink)
    {
        const double start = now();
#pragma omp for schedule(dynamic) nowait
        for (uint64_t at = 0; at < STREAM_BYTES; at += PART) {
            sink ^= sinq_get_limit_kernels()->read(bytes + at, PART, way);
        }
        seconds = now() - start;
    }
    kept = sink;
    return threads * (double)STREAM_BYTES / seconds;
}

static void compare_streams(const struct streamed *even, const struct form *form, int threads) {
    struct streamed s = make_streamed(form, even->weight.bytes);
    const uint8_t *const bytes = even->weight.bytes;
    double rates[TURNS], shares[TURNS], of_plain[TURNS], of_halved[TURNS];
    for (int i = -1; i < TURNS; i++) { /* the first turn does not count */
        const double base = stream(even, threads), rate = stream(&s, threads);
        const double plain = read_stream(bytes, threads, (struct sinq_read_way){0, false, false});
        const double halved = read_stream(bytes, threads, (struct sinq_read_way){512, false, true});
        if (i < 0) continue;
        rates[i] = rate;
        shares[i] = rate / base;
        of_plain[i] = rate / plain;
        of_halved[i] = rate / halved;
    }
    qsort(rates, TURNS, sizeof rates[0], compare_doubles);
    qsort(shares, TURNS, sizeof shares[0], compare_doubles);
    qsort(of_plain, TURNS, sizeof of_plain[0], compare_doubles);
    qsort(of_halved, TURNS, sizeof of_halved[0], compare_doubles);
    printf("%d threads, %u bits %-20s %6.2f GB/s, %5.3f of even codes of 4 bits (%5.3f to %5.3f); of reading in one "
           "stream %.1f %%, in two %.1f %%\n",
           threads, form->bits, form->name, rates[TURNS / 2] * 1e-9, shares[TURNS / 2], shares[TURNS / 4],
           shares[TURNS - 1 - TURNS / 4], 100 * of_plain[TURNS / 2], 100 * of_halved[TURNS / 2]);
    release_streamed(&s);
}

static const struct form even_form = {"", 4, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U8, SINQ_AUX_U8};
static const struct form forms[] = {
    {"even g64 u8 u8", 4, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U8, SINQ_AUX_U8},
    {"even g64 u6 u6", 4, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U6, SINQ_AUX_U6},
    {"byte levels g32 u6", 4, SINQ_LEVELS_BYTES, 32, SINQ_AUX_U6, SINQ_AUX_NONE},
    {"byte levels g16 u6", 4, SINQ_LEVELS_BYTES, 16, SINQ_AUX_U6, SINQ_AUX_NONE},
    {"byte levels g32 u8", 4, SINQ_LEVELS_BYTES, 32, SINQ_AUX_U8, SINQ_AUX_NONE},
    {"even g64 u8 u8", 3, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U8, SINQ_AUX_U8},
    {"byte levels g32 u6", 3, SINQ_LEVELS_BYTES, 32, SINQ_AUX_U6, SINQ_AUX_NONE},
    {"byte levels g16 u6", 3, SINQ_LEVELS_BYTES, 16, SINQ_AUX_U6, SINQ_AUX_NONE},
    {"even g64 u8 u8", 8, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U8, SINQ_AUX_U8},
    {"even g64 u8 u8", 2, SINQ_LEVELS_UNIFORM, 64, SINQ_AUX_U8, SINQ_AUX_U8},
    {"byte levels g32 u6", 2, SINQ_LEVELS_BYTES, 32, SINQ_AUX_U6, SINQ_AUX_NONE},
    {"byte levels g16 u6", 2, SINQ_LEVELS_BYTES, 16, SINQ_AUX_U6, SINQ_AUX_NONE},
};

static void bench_streams(const char *only, int threads, bool has_small_pages) {
    uint8_t *const bytes = has_small_pages ? sinq_map_small_pages(STREAM_BYTES) : sinq_map_memory(STREAM_BYTES);
    if (bytes == NULL) exit(1);
    fill_bytes(bytes, STREAM_BYTES);
    struct streamed base = make_streamed(&even_form, bytes);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char name[48];
        snprintf(name, sizeof name, "%u %s", forms[i].bits, forms[i].name);
        if (only == NULL || strstr(name, only) != NULL) compare_streams(&base, &forms[i], threads);
    }
    release_streamed(&base);
    sinq_unmap_memory(bytes, STREAM_BYTES);
}

/* ---- attention ---- */

struct attention {
    struct sinq_attention_job job;
    uint32_t tokens;
    void *scratch;
};

static void run_attention(void *context) {
    const struct attention *const a = context;
    for (uint32_t h = 0; h < a->job.layout->shape.kv_heads; h++) sinq_attend(&a->job, h, 0, a->tokens, a->scratch);
}

static void bench_attention(enum sinq_kv_type type, uint32_t positions, uint32_t tokens, uint32_t kv_heads,
                            uint32_t sharing, uint32_t dim) {
    static const char *const names[] = {[SINQ_KV_F16] = "f16", [SINQ_KV_F32] = "f32", [SINQ_KV_I8] = "int8"};
    const struct sinq_cache_shape shape = {kv_heads, dim, dim, false, 0};
    struct sinq_cache_layout layout;
    if (!sinq_cache_measure(shape, type, positions, &layout)) exit(1);
    uint8_t *const cache = allocate(layout.bytes);
    const uint32_t heads = kv_heads * sharing;
    float *const queries = allocate(sizeof(float) * tokens * heads * dim), *const out = allocate(sizeof(float) *
                                                                                                 tokens * heads * dim);
    float vector[1024];
    for (uint32_t p = 0; p < positions; p++) {
        for (uint32_t h = 0; h < kv_heads; h++) {
            for (uint32_t i = 0; i < dim; i++) vector[i] = next_value();
            sinq_store_key_value(&layout, cache, h, p, vector, vector);
        }
    }
    for (size_t i = 0; i < (size_t)tokens * heads * dim; i++) queries[i] = next_value();
    struct attention a = {.tokens = tokens};
    a.job = (struct sinq_attention_job){.layout = &layout,
                                        .cache = cache,
                                        .queries = queries,
                                        .out = out,
                                        .query_stride = (size_t)heads * dim,
                                        .out_stride = (size_t)heads * dim,
                                        .heads = heads,
                                        .scale = 0.1f,
                                        .position = positions - tokens};
    a.scratch = allocate(sinq_attention_scratch(&a.job));
    const double seconds = measure(run_attention, &a);
    const double seen = (double)tokens * (positions - (tokens - 1) / 2.0);
    char label[96];
    snprintf(label, sizeof label, "attention %s, %u x %u heads of %u, %u tokens, %u", names[type], kv_heads, sharing,
             dim, tokens, positions);
    const double operations = 4.0 * seen * heads * dim;
    const double least = fmax(operations / f32_limit, tokens == 1 ? time_reading(cache, layout.bytes) : 0);
    printf("%-44s %8.1f Gflop/s %7.2f GB/s  %3.0f %% of the limit\n", label, operations / seconds * 1e-9,
           (double)layout.bytes / seconds * 1e-9, 100 * least / seconds);
    free(cache);
    free(queries);
    free(out);
    free(a.scratch);
}

/* ---- rows ---- */

struct row {
    float *in, *weight, *out;
    uint32_t width;
    int kind;
};

static const char *const row_names[] = {"norm", "silu", "gelu_tanh", "gpt_oss", "softmax", "softcap", "add", "rotate"};

static void run_row(void *context) {
    const struct row *const r = context;
    switch (r->kind) {
    case 0:
        sinq_norm_row(r->in, r->weight, r->width, 1e-6f, r->out);
        break;
    case 1:
        sinq_silu_row(r->in, r->weight, r->width, 1, r->out);
        break;
    case 2:
        sinq_gelu_tanh_row(r->in, r->weight, r->width, 1, r->out);
        break;
    case 3:
        sinq_gpt_oss_row(r->in, r->weight, r->width, 1, r->out);
        break;
    case 4:
        sinq_softmax_row(r->out, r->width);
        break;
    case 5:
        sinq_softcap_row(r->out, r->width, 30.0f);
        break;
    case 6:
        sinq_add_row(r->in, 0.001f, r->width, r->out);
        break;
    default:
        sinq_rotate_head(r->in, r->weight, r->weight, r->width, false, r->out);
        break;
    }
}

static void bench_rows(uint32_t width) {
    struct row r = {.width = width};
    r.in = allocate(width * sizeof(float));
    r.weight = allocate(width * sizeof(float));
    r.out = allocate(width * sizeof(float));
    for (uint32_t i = 0; i < width; i++) r.in[i] = r.weight[i] = next_value();
    for (r.kind = 0; r.kind < (int)(sizeof row_names / sizeof row_names[0]); r.kind++) {
        const double seconds = measure(run_row, &r);
        printf("%-44s %8.2f ns a value\n", row_names[r.kind], seconds / width * 1e9);
    }
    free(r.in);
    free(r.weight);
    free(r.out);
}

static void bench_products(void) {
    static const struct { uint64_t rows, cols; } shapes[] = {{512, 512}, {1536, 512}, {512, 1536}, {4096, 4096}};
    static const uint32_t tokens[] = {1, 8, 32, 256};
    static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
    for (int s = 0; s < 4; s++) {
        for (int t = 0; t < 4; t++) {
            if (s == 3 && t == 3) continue;
            bench_dense(SINQ_BF16, shapes[s].rows, shapes[s].cols, tokens[t]);
            bench_coded(4, SINQ_LEVELS_UNIFORM, shapes[s].rows, shapes[s].cols, 64, tokens[t], true);
            bench_coded(4, SINQ_LEVELS_UNIFORM, shapes[s].rows, shapes[s].cols, 64, tokens[t], false);
        }
    }
    bench_dense(SINQ_F16, 4096, 4096, 1);
    bench_dense(SINQ_F32, 4096, 4096, 1);
    bench_dense(SINQ_F8_E4M3, 4096, 4096, 1);
    for (int w = 0; w < 6; w++) {
        bench_coded(widths[w], SINQ_LEVELS_UNIFORM, 1536, 512, 64, 1, false);
        bench_coded(widths[w], SINQ_LEVELS_UNIFORM, 1536, 512, 64, 256, false);
    }
    for (int t = 0; t < 4; t++) bench_coded(4, SINQ_LEVELS_F32, 1536, 512, 64, tokens[t], false);
    bench_coded(4, SINQ_LEVELS_UNIFORM, 1536, 512, 16, 1, false);
    bench_coded(4, SINQ_LEVELS_UNIFORM, 1536, 512, 0, 1, false);
}

/* Evenly spaced codes beside levels of bytes: from memory, from the caches, and many tokens. */
static void bench_forms(void) {
    static const struct {
        uint64_t rows, cols;
        uint32_t tokens;
    } runs[] = {{9728, 2560, 1}, {1024, 2560, 1}, {1536, 512, 4}, {1536, 512, 256}};
    for (unsigned bits = 2; bits <= 4; bits++) {
        for (int i = 0; i < 4; i++) {
            const uint64_t rows = runs[i].rows, cols = runs[i].cols;
            bench_coded(bits, SINQ_LEVELS_UNIFORM, rows, cols, 64, runs[i].tokens, false);
            bench_coded(bits, SINQ_LEVELS_BYTES, rows, cols, 32, runs[i].tokens, false);
            bench_coded(bits, SINQ_LEVELS_BYTES, rows, cols, 16, runs[i].tokens, false);
        }
    }
}

/* ---- prompts: forms beside even codes of 4 bits in groups of 64, in turn ---- */

static struct product make_product(const struct form *form, uint64_t rows, uint64_t cols, uint32_t tokens) {
    struct product p = {.weight = describe_coded(form, rows, cols), .tokens = tokens};
    p.weight.bytes = make_bytes(p.weight.size);
    p.x = allocate(tokens * cols * sizeof(float));
    p.y = allocate(tokens * rows * sizeof(float));
    for (size_t i = 0; i < tokens * cols; i++) p.x[i] = next_value();
    p.prepared = allocate(sinq_prepared_bytes(&p.weight, tokens, false));
    p.scratch = allocate(sinq_multiply_scratch(&p.weight, tokens, false));
    return p;
}

static void release_product(struct product *p) {
    free((void *)(uintptr_t)p->weight.bytes);
    free(p->x);
    free(p->y);
    free(p->prepared);
    free(p->scratch);
}

static double time_product(struct product *p) {
    const double start = now();
    run_product(p);
    return now() - start;
}

static void compare_prompts(struct product *even, const struct form *form) {
    struct product p = make_product(form, even->weight.rows, even->weight.cols, even->tokens);
    double rates[TURNS], shares[TURNS];
    for (int i = -1; i < TURNS; i++) { /* the first turn does not count */
        const double base = time_product(even), seconds = time_product(&p);
        if (i < 0) continue;
        rates[i] = 2.0 * (double)p.weight.rows * (double)p.weight.cols * p.tokens / seconds;
        shares[i] = base / seconds;
    }
    qsort(rates, TURNS, sizeof rates[0], compare_doubles);
    qsort(shares, TURNS, sizeof shares[0], compare_doubles);
    printf("%4u tokens, %u bits %-20s %6.1f Gop/s, %5.3f of even codes of 4 bits (%5.3f to %5.3f)\n", p.tokens,
           form->bits, form->name, rates[TURNS / 2] * 1e-9, shares[TURNS / 2], shares[TURNS / 4],
           shares[TURNS - 1 - TURNS / 4]);
    release_product(&p);
}

static void bench_prompts(const char *only) {
    static const uint32_t tokens[] = {512, 32};
    for (int t = 0; t < 2; t++) {
        struct product base = make_product(&even_form, 2560, 2560, tokens[t]);
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            char name[48];
            snprintf(name, sizeof name, "%u %s", forms[i].bits, forms[i].name);
            if (only == NULL || strstr(name, only) != NULL) compare_prompts(&base, &forms[i]);
        }
        release_product(&base);
    }
}

static void bench_attentions(void) {
    static const enum sinq_kv_type types[] = {SINQ_KV_F32, SINQ_KV_F16, SINQ_KV_I8};
    for (int i = 0; i < 3; i++) {
        bench_attention(types[i], 4096, 1, 2, 1, 64);
        bench_attention(types[i], 4096, 1, 2, 4, 128);
        bench_attention(types[i], 512, 256, 2, 4, 64);
        bench_attention(types[i], 512, 1, 8, 4, 128);
        bench_attention(types[i], 65536, 1, 2, 4, 128); /* beyond the second cache */
    }
    bench_attention(SINQ_KV_F16, 4096, 1, 2, 8, 128);
    bench_attention(SINQ_KV_F16, 4096, 1, 1, 16, 128);
    for (uint32_t tokens = 2; tokens <= 16; tokens *= 2) bench_attention(SINQ_KV_F16, 4096, tokens, 2, 4, 128);
    bench_attention(SINQ_KV_F16, 512, 512, 8, 4, 128);
    bench_attention(SINQ_KV_F16, 2048, 256, 1, 8, 128);
}

int main(int argc, char **argv) {
    const char *const part = argc > 1 ? argv[1] : "all";
    struct sinq_error error = {0};
    if (sinq_select_cpu(getenv("SINQ_CPU"), &error) != SINQ_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("instruction set %s, one thread\n", sinq_cpu_name());
    measure_limits();
    if (strcmp(part, "forms") == 0) {
        bench_forms();
        return 0;
    }
    if (strcmp(part, "prompts") == 0) {
        bench_prompts(argc > 2 ? argv[2] : NULL);
        return 0;
    }
    if (strcmp(part, "streams") == 0) {
        bench_streams(argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 2,
                      argc > 4 && strcmp(argv[4], "small-pages") == 0);
        return 0;
    }
    if (strcmp(part, "attention") != 0 && strcmp(part, "rows") != 0) bench_products();
    if (strcmp(part, "products") != 0 && strcmp(part, "rows") != 0) bench_attentions();
    if (strcmp(part, "products") != 0 && strcmp(part, "attention") != 0) bench_rows(4096);
    return 0;
}
