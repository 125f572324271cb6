/* golden.h: cases of the reference quantizer, loaded for comparison. */
#ifndef SINQ_TESTS_UNIT_GOLDEN_H
#define SINQ_TESTS_UNIT_GOLDEN_H

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "formats.h"
#include "quant/matrix/matrix.h"
#include "unit.h"

struct golden_case {
    char name[64];
    size_t rows, cols, group, groups;
    unsigned bits;
    enum sinq_method method;
    bool is_2d, has_aux, is_gated;
    float *weight, *dequant; /* [rows][cols]; dequant NULL where the file has none */
    uint8_t *codes;          /* [rows][cols] */
    float *scale, *zero;     /* [rows][groups] */
    float *column;           /* [rows][cols]: the column scale that applies to each weight */
    float zero_step;         /* with 8-bit scales and zeros: how far a stored zero may be off */
};

static inline float *read_values(const struct sinq_source *source, const char *stem, const char *suffix, size_t count) {
    char name[128];
    struct sinq_error error;
    (void)snprintf(name, sizeof name, "%s%s", stem, suffix);
    const int64_t tensor = sinq_source_find(source, name);
    if (tensor < 0) return NULL;
    const struct sinq_tensor *const info = sinq_source_tensor(source, (size_t)tensor);
    uint64_t rows = 1, values = 1;
    for (uint32_t d = 0; d < info->rank; d++) values *= info->shape[d];
    for (uint32_t d = 0; d + 1 < info->rank; d++) rows *= info->shape[d];
    if (count != 0) ck_assert_uint_eq(values, count);
    float *const out = malloc((size_t)values * sizeof(float));
    ck_assert_int_eq(sinq_read_rows(source, (size_t)tensor, 0, rows, out, &error), SINQ_OK);
    return out;
}

/* Dossier 3.10: slices of rows share a container, the first in the highest bits. */
static inline void unpack_codes(const struct sinq_source *source, struct golden_case *c) {
    static const struct {
        unsigned bits, per_container;
    } packings[] = {{8, 1}, {4, 2}, {2, 4}, {3, 10}, {5, 6}, {6, 5}};
    unsigned per_container = 0;
    for (size_t i = 0; i < sizeof packings / sizeof packings[0]; i++) {
        if (packings[i].bits == c->bits) per_container = packings[i].per_container;
    }
    char name[128];
    struct sinq_error error;
    (void)snprintf(name, sizeof name, "%s.W_q", c->name);
    const int64_t tensor = sinq_source_find(source, name);
    ck_assert_int_ge(tensor, 0);
    const struct sinq_tensor *const info = sinq_source_tensor(source, (size_t)tensor);
    const size_t size = sinq_dtype_size(info->dtype), width = (size_t)info->shape[1], slice = (size_t)info->shape[0];
    uint8_t *const packed = malloc((size_t)info->bytes);
    ck_assert_int_eq(sinq_read_bytes(source, (size_t)tensor, 0, info->bytes, packed, &error), SINQ_OK);
    const size_t total_rows = c->rows * c->cols / width;
    for (size_t i = 0; i < total_rows; i++) {
        const size_t p = i / slice, row = i % slice;
        const unsigned shift = c->bits * (per_container - 1 - (unsigned)p);
        for (size_t j = 0; j < width; j++) {
            uint32_t word = 0;
            memcpy(&word, packed + (row * width + j) * size, size);
            c->codes[i * width + j] = (uint8_t)(word >> shift & ((1u << c->bits) - 1u));
        }
    }
    free(packed);
}

/* Dossier 3.5: 8-bit scales in 32 strided groups, zeros under one range. */
static inline float *read_aux(const struct sinq_source *source, const char *stem, const char *kind, size_t count,
                              float *step) {
    char suffix[32];
    (void)snprintf(suffix, sizeof suffix, ".%s.x", kind);
    float *const x = read_values(source, stem, suffix, count);
    (void)snprintf(suffix, sizeof suffix, ".%s.s", kind);
    float *const s = read_values(source, stem, suffix, 0);
    (void)snprintf(suffix, sizeof suffix, ".%s.m", kind);
    float *const m = read_values(source, stem, suffix, 0);
    const bool is_scale = strcmp(kind, "scale") == 0;
    *step = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t column = is_scale ? i % (count / 32) : 0;
        x[i] = x[i] * s[column] + m[column];
        *step = fmaxf(*step, s[column]);
    }
    free(s);
    free(m);
    return x;
}

static inline void spread_columns(struct golden_case *c, const float *scale2) {
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t k = 0; k < c->cols; k++) {
            const size_t tile = r / c->group * (c->cols / c->group) + k / c->group;
            c->column[r * c->cols + k] = c->is_2d ? scale2[tile * c->group + k % c->group] : scale2[k];
        }
    }
}

/* 2-D scales and zeros are stored tile by tile; codes are not. */
static inline float *unroll_2d(const struct golden_case *c, float *tiled) {
    if (!c->is_2d) return tiled;
    float *const out = malloc(c->rows * c->groups * sizeof(float));
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t g = 0; g < c->groups; g++) {
            out[r * c->groups + g] = tiled[(r / c->group * c->groups + g) * c->group + r % c->group];
        }
    }
    free(tiled);
    return out;
}

static inline void free_golden(struct golden_case *c) {
    free(c->weight);
    free(c->dequant);
    free(c->codes);
    free(c->scale);
    free(c->zero);
    free(c->column);
}

static inline enum sinq_method parse_golden_method(const char *method) {
    if (strncmp(method, "sinq_nf4", 8) == 0) return SINQ_METHOD_SINQ_NF4;
    if (strncmp(method, "sinq_nf3", 8) == 0) return SINQ_METHOD_SINQ_NF3;
    if (strncmp(method, "sinq_hqq", 8) == 0) return SINQ_METHOD_SINQ_HQQ;
    if (strncmp(method, "sinq_noz", 8) == 0) return SINQ_METHOD_SINQ_NOZ;
    return strncmp(method, "rtn", 3) == 0 ? SINQ_METHOD_RTN : SINQ_METHOD_SINQ;
}

/* The zero points; a symmetric method's file has one for all. */
static inline float *read_zeros(const struct sinq_source *source, const struct golden_case *c, size_t entries) {
    if (c->method != SINQ_METHOD_SINQ_NOZ) return unroll_2d(c, read_values(source, c->name, ".zero", entries));
    float *const one = read_values(source, c->name, ".zero", 1), *const zeros = malloc(entries * sizeof *zeros);
    for (size_t i = 0; i < entries; i++) zeros[i] = *one;
    free(one);
    return zeros;
}

static inline void load_golden(const struct sinq_source *source, const cJSON *description, struct golden_case *c) {
    *c = (struct golden_case){0};
    const char *const method = cJSON_GetObjectItem(description, "method")->valuestring;
    (void)snprintf(c->name, sizeof c->name, "%s", cJSON_GetObjectItem(description, "name")->valuestring);
    c->rows = (size_t)cJSON_GetObjectItem(description, "rows")->valuedouble;
    c->cols = (size_t)cJSON_GetObjectItem(description, "cols")->valuedouble;
    c->group = (size_t)cJSON_GetObjectItem(description, "group")->valuedouble;
    c->bits = (unsigned)cJSON_GetObjectItem(description, "bits")->valueint;
    const cJSON *const tiling = cJSON_GetObjectItem(description, "tiling");
    c->is_2d = tiling != NULL && strcmp(tiling->valuestring, "2D") == 0;
    c->is_gated = cJSON_IsTrue(cJSON_GetObjectItem(description, "gated"));
    c->has_aux = strstr(method, "quantAux") != NULL;
    c->method = parse_golden_method(method);
    while (c->cols % c->group != 0) c->group /= 2; /* as the reference halves it */
    c->groups = c->cols / c->group;

    const size_t weights = c->rows * c->cols, entries = c->rows * c->groups;
    const cJSON *const shared = cJSON_GetObjectItem(description, "weight");
    c->weight =
        read_values(source, shared != NULL ? shared->valuestring : c->name, shared != NULL ? "" : ".weight", weights);
    c->dequant = read_values(source, c->name, ".dequant", weights);
    c->codes = malloc(weights);
    c->column = malloc(weights * sizeof(float));
    float *const plain_codes = read_values(source, c->name, ".codes", weights);
    if (plain_codes != NULL) {
        for (size_t i = 0; i < weights; i++) c->codes[i] = (uint8_t)plain_codes[i];
        free(plain_codes);
    } else {
        unpack_codes(source, c);
    }
    float ignored;
    c->scale = c->has_aux ? read_aux(source, c->name, "scale", entries, &ignored)
                          : unroll_2d(c, read_values(source, c->name, ".scale", entries));
    c->zero = c->has_aux ? read_aux(source, c->name, "zero", entries, &c->zero_step) : read_zeros(source, c, entries);
    float *scale2 = read_values(source, c->name, ".colscale", 0);
    if (scale2 == NULL) scale2 = read_values(source, c->name, ".scale2", 0);
    spread_columns(c, scale2);
    free(scale2);
}

#endif
