/*
 * reference_model.h: a second, independent forward pass, for tests: small, slow, in f64, written from the public formulas
 * (Hugging Face transformers' modeling files), one position after the other, with nothing of lib/model.
 *
 * A model comes from a checkpoint, or is made up: then each weight that the pass asks for is drawn at random when it is asked
 * for, and reference_files.h writes them all as a checkpoint.
 */
#ifndef SINQ_TESTS_REFERENCE_MODEL_H
#define SINQ_TESTS_REFERENCE_MODEL_H

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "sinq.h"
#include "unit.h"

#define REFERENCE_TENSORS 2000
#define REFERENCE_NAME    160

struct reference_tensor {
    char name[REFERENCE_NAME];
    uint64_t rank, shape[4];
    size_t count;
    double *values;
    uint8_t *bytes; /* as it is written: bf16, or what `dtype` says */
    size_t size;
    const char *dtype;
};

struct reference {
    const cJSON *config;
    const char *type;
    const struct sinq_source *source; /* NULL: made up */
    uint64_t random;
    size_t positions;
    size_t hidden, layers, heads, kv_heads, head_dim, vocabulary;
    double eps;
    bool has_stacks; /* experts are stacks, as transformers 5 has them in memory */
    /* Told what each linear layer reads, one position after the other; or NULL. */
    void (*watch)(struct reference *r, const char *name, const double *x, size_t width);
    void *watching;
    bool is_unseen; /* what is computed only so that its weights are made up */
    double closest; /* the smallest gap between a chosen expert's score and one that was not */
    struct reference_tensor tensors[REFERENCE_TENSORS];
    size_t tensor_count;
};

/* ---- configuration ---- */

static inline double number_or(const cJSON *object, const char *key, double otherwise) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static inline bool flag_or(const cJSON *object, const char *key, bool otherwise) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : otherwise;
}

static inline const char *word_or(const cJSON *object, const char *key, const char *otherwise) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

static inline size_t count_of(const struct reference *r, const char *key) {
    const double value = number_or(r->config, key, -1);
    ck_assert_msg(value >= 0, "the configuration has no %s", key);
    return (size_t)value;
}

static inline bool is_type(const struct reference *r, const char *type) { return strcmp(r->type, type) == 0; }
static inline bool is_gemma(const struct reference *r) { return strncmp(r->type, "gemma", 5) == 0; }
static inline bool is_latent(const struct reference *r) { return strncmp(r->type, "deepseek", 8) == 0; }

/* ---- weights ---- */

static inline void write_name(char name[REFERENCE_NAME], const char *format, ...) SINQ_PRINTF(2, 3);
static inline void write_name(char name[REFERENCE_NAME], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(name, REFERENCE_NAME, format, arguments);
    va_end(arguments);
    ck_assert(size >= 0 && size < REFERENCE_NAME);
}

static inline double *allocate(size_t count) {
    double *const values = calloc(count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

/* Uniform in [0, 1). */
static inline double draw_share(struct reference *r) {
    r->random = r->random * 6364136223846793005u + 1442695040888963407u;
    return (double)(r->random >> 40) * 0x1p-24;
}

/* Near enough to normal: the sum of twelve uniform ones. */
static inline double draw_normal(struct reference *r) {
    double sum = -6.0;
    for (int i = 0; i < 12; i++) sum += draw_share(r);
    return sum;
}

static inline struct reference_tensor *add_reference(struct reference *r, const char *name, size_t count) {
    ck_assert_uint_lt(r->tensor_count, REFERENCE_TENSORS);
    struct reference_tensor *const t = &r->tensors[r->tensor_count++];
    write_name(t->name, "%s", name);
    t->count = count;
    t->values = allocate(count);
    t->dtype = "BF16";
    return t;
}

static inline void draw_tensor(struct reference *r, struct reference_tensor *t, double mean, double deviation) {
    t->size = 2 * t->count;
    t->bytes = malloc(t->size);
    ck_assert_ptr_nonnull(t->bytes);
    for (size_t i = 0; i < t->count; i++) {
        const float value = (float)(mean + deviation * draw_normal(r));
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        bits &= 0xffff0000u; /* bf16, rounded towards zero */
        float rounded;
        memcpy(&rounded, &bits, sizeof rounded);
        t->values[i] = (double)rounded;
        t->bytes[2 * i] = (uint8_t)(bits >> 16);
        t->bytes[2 * i + 1] = (uint8_t)(bits >> 24);
    }
}

static inline void read_tensor(const struct reference *r, struct reference_tensor *t) {
    struct sinq_error error;
    const int64_t index = sinq_source_find(r->source, t->name);
    ck_assert_msg(index >= 0, "the checkpoint has no %s", t->name);
    const struct sinq_tensor *const tensor = sinq_source_tensor(r->source, (size_t)index);
    uint64_t rows = 1;
    ck_assert_uint_eq(tensor->rank, t->rank);
    for (uint64_t d = 0; d < t->rank; d++) ck_assert_uint_eq(tensor->shape[d], t->shape[d]);
    for (uint64_t d = 0; d + 1 < t->rank; d++) rows *= t->shape[d];
    float *const values = malloc(t->count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_assert_msg(sinq_read_rows(r->source, (size_t)index, 0, rows, values, &error) == SINQ_OK, "%s", error.message);
    for (size_t i = 0; i < t->count; i++) t->values[i] = (double)values[i];
    free(values);
}

static inline struct reference_tensor *find_tensor(struct reference *r, const char *name) {
    for (size_t i = 0; i < r->tensor_count; i++) {
        if (strcmp(r->tensors[i].name, name) == 0) return &r->tensors[i];
    }
    return NULL;
}

/* A tensor of that shape (unused dimensions are 0), drawn with that mean and deviation where the model is made up. */
static inline const double *get_tensor(struct reference *r, double mean, double deviation, size_t a, size_t b, size_t c,
                                       const char *format, ...) SINQ_PRINTF(7, 8);
static inline const double *get_tensor(struct reference *r, double mean, double deviation, size_t a, size_t b, size_t c,
                                       const char *format, ...) {
    char name[REFERENCE_NAME];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    struct reference_tensor *t = find_tensor(r, name);
    if (t != NULL) return t->values;
    t = add_reference(r, name, a * (b == 0 ? 1 : b) * (c == 0 ? 1 : c));
    t->rank = b == 0 ? 1 : c == 0 ? 2 : 3;
    t->shape[0] = a;
    t->shape[1] = b;
    t->shape[2] = c;
    if (r->source != NULL) {
        read_tensor(r, t);
    } else {
        draw_tensor(r, t, mean, deviation);
    }
    return t->values;
}

/* ---- arithmetic ---- */

/* y = W x + bias, W [out, in]. */
static inline void multiply(const double *weight, const double *bias, size_t out, size_t in, const double *x,
                            double *y) {
    for (size_t i = 0; i < out; i++) {
        double sum = bias != NULL ? bias[i] : 0.0;
        for (size_t k = 0; k < in; k++) sum += weight[i * in + k] * x[k];
        y[i] = sum;
    }
}

/* "NAME.weight", and "NAME.bias" where there is one. */
static inline void apply_linear(struct reference *r, const char *name, bool has_bias, size_t out, size_t in,
                                const double *x, double *y) {
    const double *const weight = get_tensor(r, 0.0, 1.5 / sqrt((double)in), out, in, 0, "%s.weight", name);
    const double *const bias = has_bias ? get_tensor(r, 0.0, 0.2, out, 0, 0, "%s.bias", name) : NULL;
    if (r->watch != NULL && !r->is_unseen) r->watch(r, name, x, in);
    multiply(weight, bias, out, in, x, y);
}

/* Root mean square norm; Gemma stores w and means 1 + w. */
static inline void apply_norm_eps(struct reference *r, const char *name, size_t width, double eps, const double *x,
                                  double *y) {
    const double plus = is_gemma(r) ? 1.0 : 0.0;
    const double *const weight = get_tensor(r, 1.0 - plus, 0.2, width, 0, 0, "%s.weight", name);
    double square = 0.0;
    for (size_t i = 0; i < width; i++) square += x[i] * x[i];
    const double scale = 1.0 / sqrt(square / (double)width + eps);
    for (size_t i = 0; i < width; i++) y[i] = x[i] * scale * (weight[i] + plus);
}

static inline void apply_norm(struct reference *r, const char *name, size_t width, const double *x, double *y) {
    apply_norm_eps(r, name, width, r->eps, x, y);
}

static inline double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

static inline double activate(const struct reference *r, double x) {
    const char *const name = word_or(r->config, is_gemma(r) ? "hidden_activation" : "hidden_act", "silu");
    if (strcmp(name, "gelu_pytorch_tanh") == 0) {
        return 0.5 * x * (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    }
    ck_assert_str_eq(name, "silu");
    return x * sigmoid(x);
}

static inline void soften(double *values, size_t count) {
    double best = values[0], sum = 0.0;
    for (size_t i = 1; i < count; i++) best = fmax(best, values[i]);
    for (size_t i = 0; i < count; i++) sum += values[i] = exp(values[i] - best);
    for (size_t i = 0; i < count; i++) values[i] /= sum;
}

static inline void close_reference(struct reference *r) {
    for (size_t i = 0; i < r->tensor_count; i++) {
        free(r->tensors[i].values);
        free(r->tensors[i].bytes);
    }
    r->tensor_count = 0;
}

#endif
