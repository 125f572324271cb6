#include "quant/statistics/point_sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/quantize.h"
#include "quant/statistics/gram.h"

/* ---- memory ---- */

uint64_t sinq_measure_point_sums(const struct sinq_input_point *point) {
    const uint64_t padded = sinq_round_up(point->width, SINQ_LANES), all = point->matrices > 1 ? 1 : 0;
    return sinq_multiply_saturating(point->matrices + all, sinq_multiply_saturating(padded, padded * sizeof(float)));
}

int sinq_make_point_sums(const struct sinq_input_point *point, struct sinq_point_sums *sums, struct sinq_error *error) {
    const size_t padded = (size_t)sinq_round_up(point->width, SINQ_LANES);
    *sums = (struct sinq_point_sums){.point = point,
                                     .padded = padded,
                                     .sums = calloc(point->matrices * padded, padded * sizeof(float)),
                                     .counts = calloc(point->matrices, sizeof(uint64_t))};
    if (sums->sums != NULL && sums->counts != NULL) return SINQ_OK;
    return sinq_fail_memory(error, "statistics of a layer", sinq_measure_point_sums(point));
}

void sinq_free_point_sums(struct sinq_point_sums *sums) {
    free(sums->sums);
    free(sums->all);
    free(sums->counts);
    *sums = (struct sinq_point_sums){.point = NULL};
}

static float *find_matrix(const struct sinq_point_sums *sums, uint32_t matrix) {
    return sums->sums + matrix * sums->padded * sums->padded;
}

/* ---- adding ---- */

/* What a row gives its choice `place`. */
static const float *find_values(const struct sinq_point_sums *sums, const struct sinq_point_rows *rows, size_t row,
                                uint32_t place) {
    const struct sinq_input_point *const point = sums->point;
    const float *const values = rows->values + row * rows->stride + point->view.offset;
    return point->per_choice ? values + (size_t)place * point->width : values;
}

/* An expert's rows, one behind the other. */
static size_t gather(const struct sinq_point_sums *sums, const struct sinq_point_rows *rows, uint32_t expert,
                     float *gathered) {
    const size_t width = sums->point->width;
    size_t count = 0;
    for (size_t r = 0; r < rows->rows; r++) {
        const float *const choices = rows->choices + r * rows->choice_stride + sums->point->choices.offset;
        uint32_t place = 0;
        while (place < sums->point->chosen && (uint32_t)choices[place] != expert) place++;
        if (place == sums->point->chosen) continue;
        memcpy(gathered + count++ * width, find_values(sums, rows, r, place), width * sizeof *gathered);
    }
    return count;
}

void sinq_add_point_rows(struct sinq_point_sums *sums, const struct sinq_point_rows *rows, float *panels,
                         float *gathered, unsigned threads) {
    const struct sinq_input_point *const point = sums->point;
    const uint32_t runs = point->per_choice ? point->chosen : 1;
    for (uint32_t i = 0; point->matrices == 1 && i < runs; i++) {
        sinq_add_gram(find_values(sums, rows, 0, i), rows->stride, rows->rows, point->width, panels, sums->sums,
                      threads);
        sums->counts[0] += rows->rows;
    }
    for (uint32_t e = 0; point->matrices > 1 && e < point->matrices; e++) {
        const size_t count = gather(sums, rows, e, gathered);
        if (count == 0) continue;
        sinq_add_gram(gathered, point->width, count, point->width, panels, find_matrix(sums, e), threads);
        sums->counts[e] += count;
        sums->count += count;
    }
}

int sinq_finish_point_sums(struct sinq_point_sums *sums, struct sinq_error *error) {
    const size_t values = sums->padded * sums->padded;
    if (sums->point->matrices == 1) return SINQ_OK;
    sums->all = calloc(values, sizeof *sums->all);
    if (sums->all == NULL) return sinq_fail_memory(error, "statistics of a layer", values * sizeof *sums->all);
    for (uint32_t e = 0; e < sums->point->matrices; e++) {
        const float *const matrix = find_matrix(sums, e);
        for (size_t i = 0; i < values; i++) sums->all[i] += matrix[i];
    }
    return SINQ_OK;
}

/* ---- reading ---- */

void sinq_read_point_row(const struct sinq_point_sums *sums, uint32_t matrix, size_t row, float *values) {
    const size_t width = sums->point->width, padded = sums->padded;
    const float *const own = find_matrix(sums, matrix);
    const bool is_mixed = sums->all != NULL && sums->count > 0;
    const double all = (double)sums->count, further = is_mixed ? (double)width : 0;
    const double divisor = (double)sums->counts[matrix] + further;
    for (size_t j = 0; j < width; j++) {
        const size_t at = j >= row ? row * padded + j : j * padded + row;
        const double sum = (double)own[at] + (is_mixed ? further * ((double)sums->all[at] / all) : 0);
        values[j] = divisor > 0 ? (float)(sum / divisor) : 0.0f;
    }
}
