/*
 * inverse_factor.c: with J the exchange matrix and J H J = M^T M (Cholesky), H = R R^T for the upper triangular R = J M^T J, so that
 * U = inverse(R) = J inverse(M^T) J. One factorization and one inversion of a triangle, both in blocks of rows.
 */
#include "quant/matrix/inverse_factor.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"

#define BLOCK 64u

struct triangle {
    double *m, *inverse;
    size_t n, first, end; /* the block of rows in hand */
    float *factor;
};

/* to[0, count) -= a * from[0, count) */
static void subtract_row(double *to, const double *from, double a, size_t count) {
    for (size_t j = 0; j < count; j++) to[j] -= a * from[j];
}

static bool factor_block(struct triangle *t) {
    for (size_t k = t->first; k < t->end; k++) {
        double *const row = t->m + k * t->n;
        for (size_t p = t->first; p < k; p++) subtract_row(row + k, t->m + p * t->n + k, t->m[p * t->n + k], t->n - k);
        if (!(row[k] > 0) || !isfinite(row[k])) return false;
        const double by = 1.0 / sqrt(row[k]);
        for (size_t j = k; j < t->n; j++) row[j] *= by;
    }
    return true;
}

static void update_row(void *context, uint64_t item, unsigned worker) {
    const struct triangle *const t = context;
    const size_t i = t->end + (size_t)item;
    (void)worker;
    for (size_t k = t->first; k < t->end; k++) {
        const double *const from = t->m + k * t->n;
        subtract_row(t->m + i * t->n + i, from + i, from[i], t->n - i);
    }
}

/* Rows of inverse(M^T): forward substitution, M^T having its columns in M's rows. */
static void invert_block(struct triangle *t) {
    for (size_t i = t->first; i < t->end; i++) {
        double *const row = t->inverse + i * t->n;
        for (size_t k = t->first; k < i; k++) subtract_row(row, t->inverse + k * t->n, t->m[k * t->n + i], k + 1);
        row[i] += 1.0;
        const double by = 1.0 / t->m[i * t->n + i];
        for (size_t j = 0; j <= i; j++) row[j] *= by;
    }
}

static void update_inverse(void *context, uint64_t item, unsigned worker) {
    const struct triangle *const t = context;
    const size_t i = t->end + (size_t)item;
    (void)worker;
    for (size_t k = t->first; k < t->end; k++) {
        subtract_row(t->inverse + i * t->n, t->inverse + k * t->n, t->m[k * t->n + i], k + 1);
    }
}

static void turn_row(void *context, uint64_t item, unsigned worker) {
    const struct triangle *const t = context;
    const size_t i = (size_t)item, n = t->n;
    (void)worker;
    for (size_t j = 0; j < i; j++) t->factor[i * n + j] = 0.0f;
    for (size_t j = i; j < n; j++) t->factor[i * n + j] = (float)t->inverse[(n - 1 - i) * n + n - 1 - j];
}

bool sinq_factor_inverse(double *reversed, double *inverse, size_t n, float *factor, unsigned threads) {
    struct triangle t = {.m = reversed, .inverse = inverse, .n = n, .factor = factor};
    for (; t.first < n; t.first = t.end) {
        t.end = t.first + BLOCK < n ? t.first + BLOCK : n;
        if (!factor_block(&t)) return false;
        sinq_parallel_for(threads, n - t.end, update_row, &t);
    }
    memset(inverse, 0, n * n * sizeof *inverse);
    for (t.first = 0; t.first < n; t.first = t.end) {
        t.end = t.first + BLOCK < n ? t.first + BLOCK : n;
        invert_block(&t);
        sinq_parallel_for(threads, n - t.end, update_inverse, &t);
    }
    sinq_parallel_for(threads, n, turn_row, &t);
    return true;
}
