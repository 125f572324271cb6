#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/huge_memory.h"
#include "base/parallel.h"
#include "base/past_caches.h"
#include "quant/matrix/matrix.h"

/* Bytes between units beyond their values: keeps units of a power of two from all falling into the same cache sets. */
#define UNIT_SKEW 320u

/* Matrices whose largest magnitude lies outside are scaled to about 1: see exponent. */
#define SMALLEST_USUAL_EXPONENT (-10)
#define LARGEST_USUAL_EXPONENT  40

static size_t element_size(const struct sinq_unit_matrix *units) { return units->is_bf16 ? 2 : 4; }

static uint64_t unit_width(const struct sinq_unit_matrix *units, uint64_t unit) {
    return sinq_min_u64(units->unit_cols, units->cols - unit * units->unit_cols);
}

int sinq_shape_units(struct sinq_unit_matrix *units, uint64_t rows, uint64_t cols, uint32_t group_size, bool is_bf16,
                     struct sinq_error *error) {
    units->rows = rows;
    units->cols = cols;
    units->group_size = group_size;
    units->is_bf16 = is_bf16;
    units->exponent = 0;
    units->largest = 0;
    units->has_no_tiny = false;
    units->unit_cols = group_size == 0 ? cols : sinq_max_u64(group_size, SINQ_BLOCK_COLUMNS);
    units->unit_count = sinq_divide_up(cols, units->unit_cols);
    units->padded_rows = sinq_round_up(rows, SINQ_UNIT_ROW_MULTIPLE);

    uint64_t elements, bytes;
    const uint64_t widest = sinq_round_up(sinq_min_u64(units->unit_cols, cols), SINQ_LANES);
    if (!sinq_multiply_u64(units->padded_rows, widest, &elements) || elements > UINT64_MAX / 16) {
        return sinq_fail_memory(error, "a matrix", UINT64_MAX);
    }
    units->unit_bytes = sinq_round_up(elements * element_size(units), SINQ_LINE_BYTES) + UNIT_SKEW;
    if (!sinq_multiply_u64(units->unit_bytes, units->unit_count, &bytes) || bytes > SIZE_MAX / 2) {
        return sinq_fail_memory(error, "a matrix", UINT64_MAX);
    }
    if (bytes > units->capacity) {
        free(units->memory);
        units->capacity = 0;
        units->memory = sinq_allocate_huge(bytes);
        if (units->memory == NULL) return sinq_fail_memory(error, "a matrix", bytes);
        units->capacity = bytes;
    }
    return SINQ_OK;
}

void sinq_free_units(struct sinq_unit_matrix *units) {
    free(units->memory);
    *units = (struct sinq_unit_matrix){0};
}

static size_t unit_stride(const struct sinq_unit_matrix *units, uint64_t unit) {
    return sinq_pad_lanes((size_t)unit_width(units, unit));
}

static uint8_t *locate(const struct sinq_unit_matrix *units, uint64_t unit, uint64_t row) {
    return units->memory + unit * units->unit_bytes + row * unit_stride(units, unit) * element_size(units);
}

/* Repeats the last of `width` elements up to the next multiple of sixteen. */
static void pad_row(uint8_t *row, size_t width, size_t size) {
    for (size_t j = width; j < sinq_pad_lanes(width); j++) memcpy(row + j * size, row + (width - 1) * size, size);
}

/* A row of a unit is most often 64 bf16 values: a copy of constant size is two or four moves. */
#define USUAL_ROW_BYTES 128u

static void put_in_unit(const struct sinq_unit_matrix *units, uint64_t unit, uint64_t first, uint64_t count,
                        const uint8_t *from) {
    const size_t size = element_size(units), width = (size_t)unit_width(units, unit);
    const size_t row_bytes = (size_t)units->cols * size, to_bytes = unit_stride(units, unit) * size;
    uint8_t *to = locate(units, unit, first);
    if (width * size == USUAL_ROW_BYTES) {
        for (uint64_t i = 0; i < count; i++)
            sinq_copy_past_caches(to + i * USUAL_ROW_BYTES, from + i * row_bytes, USUAL_ROW_BYTES);
        return;
    }
    for (uint64_t i = 0; i < count; i++, to += to_bytes) {
        memcpy(to, from + i * row_bytes, width * size);
        if (width % SINQ_LANES != 0) pad_row(to, width, size);
    }
}

void sinq_put_rows(const struct sinq_unit_matrix *units, uint64_t first, uint64_t count, const void *values) {
    const uint8_t *const from = values;
    const size_t unit_bytes = (size_t)units->unit_cols * element_size(units);
    for (uint64_t unit = 0; unit < units->unit_count; unit++) {
        put_in_unit(units, unit, first, count, from + unit * unit_bytes);
    }
    sinq_settle_copies();
}

void sinq_put_row(const struct sinq_unit_matrix *units, uint64_t row, const void *values) {
    sinq_put_rows(units, row, 1, values);
}

void sinq_put_column(const struct sinq_unit_matrix *units, uint64_t col, const void *values) {
    const size_t size = element_size(units);
    const uint64_t unit = col / units->unit_cols, in_unit = col % units->unit_cols;
    const size_t stride = unit_stride(units, unit);
    const size_t copies = in_unit + 1 == unit_width(units, unit) ? stride - (size_t)in_unit : 1;
    uint8_t *to = locate(units, unit, 0) + in_unit * size;
    const uint8_t *from = values;
    for (uint64_t r = 0; r < units->rows; r++, to += stride * size, from += size) {
        for (size_t copy = 0; copy < copies; copy++) memcpy(to + copy * size, from, size);
    }
}

static void scale_values(const struct sinq_unit_matrix *units, uint64_t unit) {
    const size_t count = unit_stride(units, unit) * (size_t)units->rows;
    if (units->is_bf16) {
        uint16_t *const values = (uint16_t *)(void *)locate(units, unit, 0);
        for (size_t i = 0; i < count; i++) {
            uint32_t bits = (uint32_t)values[i] << 16;
            float value;
            memcpy(&value, &bits, sizeof value);
            /* A power of two: exact, but where a bf16 subnormal gains nothing by it or a tiny value falls to zero. */
            value = ldexpf(value, -units->exponent);
            memcpy(&bits, &value, sizeof bits);
            values[i] = (uint16_t)(bits >> 16);
        }
        return;
    }
    float *const values = (float *)(void *)locate(units, unit, 0);
    for (size_t i = 0; i < count; i++) values[i] = ldexpf(values[i], -units->exponent);
}

static void finish_unit(void *context, uint64_t unit, unsigned worker) {
    const struct sinq_unit_matrix *const units = context;
    (void)worker;
    const size_t row_bytes = unit_stride(units, unit) * element_size(units);
    memset(locate(units, unit, units->rows), 0, row_bytes * (size_t)(units->padded_rows - units->rows));
    if (units->exponent != 0) scale_values(units, unit);
}

void sinq_finish_units(struct sinq_unit_matrix *units, unsigned threads) {
    int exponent = 0;
    if (units->largest > 0) (void)frexpf(units->largest, &exponent);
    const bool is_usual = exponent >= SMALLEST_USUAL_EXPONENT && exponent <= LARGEST_USUAL_EXPONENT;
    units->exponent = is_usual || units->largest <= 0 ? 0 : exponent;
    const bool is_much = units->exponent != 0;
    if (is_much) units->has_no_tiny = false;
    sinq_parallel_for(is_much ? threads : 1, units->unit_count, finish_unit, units);
}

struct sinq_tile sinq_unit_tile(const struct sinq_unit_matrix *units, uint64_t unit) {
    return (struct sinq_tile){
        .values = locate(units, unit, 0),
        .is_bf16 = units->is_bf16,
        .rows = (size_t)units->rows,
        .cols = (size_t)unit_width(units, unit),
        .stride = unit_stride(units, unit),
    };
}

/* ---- kurtosis ---- */

struct moments {
    double sum, square, fourth;
};

static struct moments sum_moments(const struct sinq_tile *tile, double mean) {
    struct moments m = {0, 0, 0};
    for (size_t i = 0; i < tile->rows; i++) {
        struct moments row = {0, 0, 0};
        for (size_t j = 0; j < tile->cols; j++) {
            const double d = (double)sinq_tile_value(tile, i, j) - mean, square = d * d;
            row.sum += d;
            row.square += square;
            row.fourth += square * square;
        }
        m.sum += row.sum;
        m.square += row.square;
        m.fourth += row.fourth;
    }
    return m;
}

struct moments_job {
    const struct sinq_unit_matrix *units;
    double mean;
    struct moments *of_unit;
};

static void sum_unit_moments(void *context, uint64_t unit, unsigned worker) {
    const struct moments_job *const job = context;
    (void)worker;
    const struct sinq_tile tile = sinq_unit_tile(job->units, unit);
    job->of_unit[unit] = sum_moments(&tile, job->mean);
}

static struct moments sum_all_moments(struct moments_job *job, double mean, unsigned threads) {
    struct moments total = {0, 0, 0};
    job->mean = mean;
    sinq_parallel_for(threads, job->units->unit_count, sum_unit_moments, job);
    for (uint64_t unit = 0; unit < job->units->unit_count; unit++) {
        total.sum += job->of_unit[unit].sum;
        total.square += job->of_unit[unit].square;
        total.fourth += job->of_unit[unit].fourth;
    }
    return total;
}

double sinq_measure_kurtosis(const struct sinq_unit_matrix *units, unsigned threads) {
    struct moments_job job = {.units = units, .of_unit = calloc((size_t)units->unit_count, sizeof *job.of_unit)};
    if (job.of_unit == NULL) return NAN;
    const double count = (double)units->rows * (double)units->cols;
    const double mean = sum_all_moments(&job, 0.0, threads).sum / count;
    const struct moments m = sum_all_moments(&job, mean, threads);
    free(job.of_unit);
    /* The reference's floor is meant for the values as they are. */
    const double floor = ldexp(1e-6, -2 * units->exponent);
    const double variance = fmax(m.square / count, floor);
    return m.fourth / count / (variance * variance);
}
