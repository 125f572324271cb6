/*
 * bench_quantize: what the quantizer's parts cost on this machine, on made-up 4096 x 4096 bf16 matrices in memory.
 * Prints billions of weights a second for the Sinkhorn iteration alone and for one matrix from memory to its blob.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "kernels/cpu.h"
#include "quant/matrix/matrix.h"
#include "quant/matrix/sinkhorn.h"

enum { SIZE = 4096, REPETITIONS = 7 };

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Roughly Gaussian, with a spread of its own in each row and column. */
static void fill_row(uint16_t *row, const float *of_cols, float of_row, uint32_t *state) {
    for (size_t k = 0; k < SIZE; k++) {
        float sum = -6.0f;
        for (int i = 0; i < 12; i++) sum += (float)next_random(state) / 16777216.0f;
        const float value = 0.02f * sum * of_row * of_cols[k];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        row[k] = (uint16_t)((bits + 0x8000u) >> 16);
    }
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double find_median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

struct iteration {
    const struct sinq_unit_matrix *units;
    struct sinq_sinkhorn *works[2];
    float cols[2][64], rows[2][SIZE];
    uint64_t passes[2];
};

static void normalize_unit(void *context, uint64_t unit, unsigned worker) {
    struct iteration *const iteration = context;
    const struct sinq_tile tile = sinq_unit_tile(iteration->units, unit);
    struct sinq_sinkhorn_result result;
    sinq_normalize_tile(iteration->works[worker], &tile, iteration->cols[worker], iteration->rows[worker], &result);
    iteration->passes[worker] += result.passes;
}

/* Seconds to normalize all tiles of a matrix; *passes is the mean over tiles. */
static double time_iteration(const struct sinq_unit_matrix *units, unsigned threads, double *passes) {
    static struct iteration iteration;
    iteration.units = units;
    for (unsigned i = 0; i < 2; i++) {
        iteration.works[i] = sinq_sinkhorn_create(SIZE, 64);
        iteration.passes[i] = 0;
    }
    const double start = omp_get_wtime();
    sinq_parallel_for(threads, units->unit_count, normalize_unit, &iteration);
    const double seconds = omp_get_wtime() - start;
    for (unsigned i = 0; i < 2; i++) sinq_sinkhorn_free(iteration.works[i]);
    *passes = (double)(iteration.passes[0] + iteration.passes[1]) / (double)units->unit_count;
    return seconds;
}

static double time_matrix(const struct sinq_unit_matrix *units, unsigned threads, unsigned bits, enum sinq_method how,
                          enum sinq_aux_type scale_type, struct sinq_blob *blob) {
    const struct sinq_matrix_method method = {.method = how, .bits = bits, .threads = threads};
    struct sinq_dual_scale description = {
        .rows = SIZE, .cols = SIZE, .group_size = 64, .bits = bits, .scale_type = scale_type, .zero_type = scale_type};
    struct sinq_matrix_outcome outcome;
    struct sinq_error error;
    const double start = omp_get_wtime();
    if (sinq_quantize_packed(units, &method, &description, blob, &outcome, &error) != SINQ_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return omp_get_wtime() - start;
}

int main(void) {
    struct sinq_error error;
    if (sinq_select_cpu(getenv("SINQ_CPU"), &error) != SINQ_OK) {
        fprintf(stderr, "%s\n", error.message);
        return error.status;
    }
    struct sinq_unit_matrix units = {0};
    struct sinq_blob blob = {0};
    float *const of_cols = malloc(SIZE * sizeof(float));
    uint16_t *const row = malloc(SIZE * sizeof(uint16_t));
    uint32_t state = 1;
    if (sinq_shape_units(&units, SIZE, SIZE, 64, true, &error) != SINQ_OK) return 1;
    for (size_t k = 0; k < SIZE; k++) of_cols[k] = 0.6f + 0.8f * (float)next_random(&state) / 16777216.0f;
    for (size_t r = 0; r < SIZE; r++) {
        fill_row(row, of_cols, 0.6f + 0.8f * (float)next_random(&state) / 16777216.0f, &state);
        sinq_put_row(&units, r, row);
    }
    units.largest = 1.0f;
    sinq_finish_units(&units, 1);

    const double weights = (double)SIZE * SIZE * 1e-9;
    printf("instruction set %s\n", sinq_cpu_name());
    printf("%-34s %8s %8s %8s\n", "", "-t 1", "-t 2", "ratio");
    double passes = 0, seconds[2][REPETITIONS], rate[2];
    for (unsigned threads = 1; threads <= 2; threads++) {
        for (int i = 0; i < REPETITIONS; i++) seconds[threads - 1][i] = time_iteration(&units, threads, &passes);
        rate[threads - 1] = weights / find_median(seconds[threads - 1], REPETITIONS);
    }
    printf("%-34s %8.3f %8.3f %8.2f   billion weights/s, %.1f passes a tile\n", "Sinkhorn iteration alone", rate[0],
           rate[1], rate[1] / rate[0], passes);
    static const struct {
        const char *name;
        unsigned bits;
        enum sinq_method method;
        enum sinq_aux_type type;
    } cases[] = {{"one matrix, 4 bits, f16 scales", 4, SINQ_METHOD_SINQ, SINQ_AUX_F16},
                 {"one matrix, 4 bits, u8 scales", 4, SINQ_METHOD_SINQ, SINQ_AUX_U8},
                 {"one matrix, 3 bits, f16 scales", 3, SINQ_METHOD_SINQ, SINQ_AUX_F16},
                 {"one matrix, 4 bits, u8, searched", 4, SINQ_METHOD_SINQ_SEARCH, SINQ_AUX_U8}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (unsigned threads = 1; threads <= 2; threads++) {
            for (int i = 0; i < REPETITIONS; i++) {
                seconds[threads - 1][i] =
                    time_matrix(&units, threads, cases[c].bits, cases[c].method, cases[c].type, &blob);
            }
            rate[threads - 1] = weights / find_median(seconds[threads - 1], REPETITIONS);
        }
        printf("%-34s %8.3f %8.3f %8.2f\n", cases[c].name, rate[0], rate[1], rate[1] / rate[0]);
    }
    sinq_free_units(&units);
    free(blob.bytes);
    free(of_cols);
    free(row);
    return 0;
}
