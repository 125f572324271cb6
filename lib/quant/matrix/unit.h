/*
 * unit.h: quantizing one unit of a matrix (matrix.h): normalized, rounded, stored and packed while it is in cache.
 *
 * A job is shared by threads, each of which has working memory of its own and takes units as they come: what a unit becomes
 * does not depend on who does it. Units write different bytes of the blob, or of the plain arrays.
 */
#ifndef SINQ_QUANT_UNIT_H
#define SINQ_QUANT_UNIT_H

#include "quant/matrix/level_search.h"
#include "quant/matrix/matrix.h"

/* What one unit adds to the outcome; summed in the order of units. */
struct sinq_unit_outcome {
    double error_square; /* with scales and zeros as stored */
    double norm_square;
    double excess; /* what storing adds to the squared error of each group, relative to it; summed over groups */
    double groups;
    double ideal_square;      /* error_square as it would be with scales and zeros as searched, before storing them */
    bool needs_exact_storage; /* a group whose exactness only f16 keeps */
};

/* Everything that threads share while one matrix is quantized. */
struct sinq_unit_job {
    const struct sinq_unit_matrix *units;
    enum sinq_method method;
    unsigned bits;
    enum sinq_effort effort;
    bool has_levels, has_byte_levels;
    struct sinq_level_table levels;
    struct sinq_byte_levels byte_levels; /* then levels are these, above their centre */
    /* [panel][group][16] of 6-bit scales and zeros, whose groups share bytes: packed at the end. Else NULL. */
    uint8_t *scale_entries, *zero_entries;
    const float *column_factors; /* NULL: 1 */
    float largest_factor;
    size_t row_tile; /* rows that share a column scale: all, or a group's width in 2-D tiling */
    /* One of the two is written: plain arrays, or a blob. */
    struct sinq_plain_matrix *plain;
    const struct sinq_dual_scale *description;
    const struct sinq_dual_scale_sizes *sizes;
    uint8_t *blob;
    int16_t *integer_zeros; /* per entry of the blob's zero section, of those that become codes at the end. Else NULL */
    int scale_exponent;     /* stored scales are scales times 2^-scale_exponent */
    struct sinq_unit_outcome *outcomes;
};

/* One thread's working memory. */
struct sinq_unit_work {
    struct sinq_sinkhorn *sinkhorn;
    float *row_scale; /* [tiles in a unit][padded rows] */
    float *col_scale; /* [row tiles][unit stride] */
    float *weights;   /* [unit stride]: column scales with zeros in the padding */
    float *x;         /* [32][unit stride] */
    float *values;    /* [32][unit stride] of methods that search, else NULL */
    uint8_t *codes;   /* [32][unit stride] */
};

/* False when out of memory. Free it in any case. */
bool sinq_create_unit_work(const struct sinq_unit_job *job, struct sinq_unit_work *work);
void sinq_free_unit_work(struct sinq_unit_work *work);

void sinq_quantize_unit(const struct sinq_unit_job *job, struct sinq_unit_work *work, uint64_t unit);

/* Threads with their working memory, each made by the thread that uses it. */
struct sinq_unit_crew {
    unsigned threads;
    struct sinq_unit_work *works;
    bool *is_ready, *has_failed;
};

int sinq_create_unit_crew(unsigned threads, struct sinq_unit_crew *crew, struct sinq_error *error);
void sinq_free_unit_crew(struct sinq_unit_crew *crew);
/* One unit, by thread `worker`. Out of memory shows in sinq_has_crew_failed(). */
void sinq_run_unit(const struct sinq_unit_job *job, struct sinq_unit_crew *crew, uint64_t unit, unsigned worker);
bool sinq_has_crew_failed(const struct sinq_unit_crew *crew);

/* Fills in a job's method, after the kurtosis gate, and what follows from it. */
void sinq_start_units(struct sinq_unit_job *job, const struct sinq_unit_matrix *units,
                      const struct sinq_matrix_method *method, struct sinq_matrix_outcome *outcome);
struct sinq_unit_outcome sinq_add_unit_outcomes(const struct sinq_unit_job *job);

#endif
