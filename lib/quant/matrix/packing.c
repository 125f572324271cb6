#include "quant/matrix/packing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/huge_memory.h"
#include "base/parallel.h"
#include "quant/matrix/feedback.h"
#include "quant/matrix/rounding.h"
#include "quant/matrix/storage.h"
#include "quant/matrix/unit.h"

/* Storing may add this share to the squared error of the mean group (2 %: 1 % of its error); else wider types are taken. */
#define ALLOWED_EXCESS 0.02
/* 6 bits cost more, but groups half as wide for the same bytes gain much more: docs/rounding.md. */
#define ALLOWED_EXCESS_U6 0.05
/* Beyond 4 bits they cost yet more, and wider groups for the same bytes more than that. */
#define ALLOWED_EXCESS_U6_WIDE 0.20

struct sinq_packing {
    struct sinq_unit_job job;
    struct sinq_unit_crew crew;
    struct sinq_dual_scale wished, description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_blob *blob;
    const float *gram; /* NULL: rounded without feedback */
    unsigned threads;
    struct sinq_matrix_outcome outcome;
};

/* f16 scales reach from 2^-14 to 65504: the largest possible one is put near the top. */
static void choose_factor(struct sinq_unit_job *job, struct sinq_dual_scale *description) {
    int exponent = 0;
    const float largest = ldexpf(job->units->largest, -job->units->exponent) * job->largest_factor;
    if (largest > 0) (void)frexpf(largest, &exponent);
    job->scale_exponent = exponent - 14;
    /* The factor itself must be representable. */
    if (job->scale_exponent + job->units->exponent < -149) job->scale_exponent = -149 - job->units->exponent;
    description->factor = ldexpf(1.0f, job->scale_exponent + job->units->exponent);
}

static int reserve_blob(struct sinq_blob *blob, uint64_t bytes, struct sinq_error *error) {
    if (bytes <= blob->capacity) return SINQ_OK;
    free(blob->bytes);
    blob->capacity = 0;
    blob->bytes = sinq_allocate_huge(bytes);
    if (blob->bytes == NULL) return sinq_fail_memory(error, "a quantized matrix", bytes);
    blob->capacity = bytes;
    return SINQ_OK;
}

/* Sizes of the description, with room for the widest zeros that may be needed. */
static int prepare_blob(struct sinq_packing *packing, struct sinq_error *error) {
    const struct sinq_dual_scale *const description = &packing->description;
    struct sinq_dual_scale_sizes *const sizes = &packing->sizes, most;
    struct sinq_dual_scale widest = *description;
    if (widest.zero_type != SINQ_AUX_NONE) widest.zero_type = SINQ_AUX_F16;
    widest.zero_per_block = false;
    if (!sinq_dual_scale_measure(description, sizes) || !sinq_dual_scale_measure(&widest, &most)) {
        return sinq_fail(error, SINQ_FAILED, "a matrix of %llu x %llu is too large for the layout",
                         (unsigned long long)description->rows, (unsigned long long)description->cols);
    }
    const int status = reserve_blob(packing->blob, sinq_max_u64(sizes->bytes, most.bytes), error);
    if (status != SINQ_OK) return status;
    /* Codes are written in full; what lies behind them has padding. */
    memset(packing->blob->bytes + sizes->scale_offset, 0, (size_t)(sizes->bytes - sizes->scale_offset));
    return SINQ_OK;
}

/* Searched zeros of a group that has values on both sides of zero lie among the codes. */
static void choose_zero_range(struct sinq_dual_scale *description) {
    const bool has_range = description->zero_type != SINQ_AUX_F16 && !description->zero_per_block;
    const float top = (float)((1u << description->bits) - 1u);
    description->zero_low = 0.0f;
    description->zero_step = has_range ? top / (float)sinq_most_entry(description->zero_type, false) : 0.0f;
}

static void set_types(struct sinq_dual_scale *description, enum sinq_aux_type type) {
    description->scale_type = type;
    if (description->zero_type != SINQ_AUX_NONE) description->zero_type = type;
}

/* The next wider types of scales and zeros: 6 bits, 8 bits, of searched zeros 8 bits with a range for 32 rows, f16. */
static void widen_types(struct sinq_packing *packing, bool needs_exact) {
    struct sinq_dual_scale *const description = &packing->description;
    const bool was_per_block = description->zero_per_block, was_u6 = description->scale_type == SINQ_AUX_U6;
    const bool has_ranges = sinq_method_is_searched(packing->job.method) && !was_per_block && !was_u6;
    *description = packing->wished;
    description->zero_per_block = has_ranges && !needs_exact;
    set_types(description, !needs_exact && (was_u6 || has_ranges) ? SINQ_AUX_U8 : SINQ_AUX_F16);
}

static double get_allowed_excess(const struct sinq_dual_scale *description) {
    if (description->scale_type != SINQ_AUX_U6) return ALLOWED_EXCESS;
    return description->bits > 4 ? ALLOWED_EXCESS_U6_WIDE : ALLOWED_EXCESS_U6;
}

/* Makes ready for the units with the scale and zero types that the description has now. */
static int prepare_units(struct sinq_packing *packing, struct sinq_error *error) {
    struct sinq_unit_job *const job = &packing->job;
    struct sinq_dual_scale *const description = &packing->description;
    const bool is_integer = sinq_method_has_integer_zeros(job->method);
    description->has_column_scale = sinq_method_normalizes(job->method);
    description->levels = job->has_byte_levels ? SINQ_LEVELS_BYTES
                          : !job->has_levels   ? SINQ_LEVELS_UNIFORM
                                               : SINQ_LEVELS_F32;
    if (job->has_byte_levels) {
        description->zero_low = job->byte_levels.centre;
        description->scale_signed = description->scale_type != SINQ_AUX_F16;
    } else if (sinq_method_is_searched(job->method)) {
        choose_zero_range(description);
    } else {
        description->zero_per_block = !is_integer && description->zero_type == SINQ_AUX_U8;
    }
    choose_factor(job, description);
    const int status = prepare_blob(packing, error);
    if (status != SINQ_OK) return status;
    const uint64_t entries = packing->sizes.panels * SINQ_PANEL_ROWS * packing->sizes.groups;
    free(job->outcomes);
    free(job->integer_zeros);
    free(job->scale_entries);
    free(job->zero_entries);
    const bool has_scales = description->scale_type == SINQ_AUX_U6, has_zeros = description->zero_type == SINQ_AUX_U6;
    job->scale_entries = has_scales ? calloc((size_t)entries, 1) : NULL;
    job->zero_entries = has_zeros ? calloc((size_t)entries, 1) : NULL;
    job->outcomes = calloc((size_t)job->units->unit_count, sizeof *job->outcomes);
    const bool has_integers = is_integer && description->zero_type == SINQ_AUX_U8;
    job->integer_zeros = has_integers ? calloc((size_t)entries, sizeof *job->integer_zeros) : NULL;
    job->description = description;
    job->sizes = &packing->sizes;
    job->blob = packing->blob->bytes;
    if (job->outcomes != NULL && (!has_integers || job->integer_zeros != NULL) &&
        (!has_scales || job->scale_entries != NULL) && (!has_zeros || job->zero_entries != NULL)) {
        return SINQ_OK;
    }
    return sinq_fail_memory(error, "a matrix's zero points", entries * sizeof *job->integer_zeros);
}

static int round_calibrated(struct sinq_packing *packing, struct sinq_error *error) {
    return sinq_round_with_feedback(&packing->job, packing->gram, packing->threads, &packing->outcome.calibration,
                                    error);
}

int sinq_packing_begin(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                       const struct sinq_dual_scale *wished, struct sinq_blob *blob, struct sinq_packing **packing,
                       struct sinq_error *error) {
    struct sinq_packing *const made = calloc(1, sizeof *made);
    *packing = made;
    if (made == NULL) return sinq_fail_memory(error, "a matrix", sizeof *made);
    int status = sinq_create_unit_crew(method->threads, &made->crew, error);
    if (status == SINQ_OK) {
        made->blob = blob;
        sinq_start_units(&made->job, units, method, &made->outcome);
        made->wished = *wished;
        made->wished.method = made->job.method;
        if (sinq_method_is_symmetric(method->method)) {
            made->wished.zero_type = SINQ_AUX_NONE;
            made->wished.zero_low = sinq_symmetric_zero(method->bits);
        }
        if (made->job.has_byte_levels) made->wished.zero_type = SINQ_AUX_NONE;
        made->description = made->wished;
        /* Feedback has no 6-bit zeros. */
        if (method->gram != NULL && made->wished.zero_type == SINQ_AUX_U6) set_types(&made->description, SINQ_AUX_U8);
        status = prepare_units(made, error);
    }
    if (status == SINQ_OK && method->gram != NULL && sinq_method_can_feed_back(made->job.method)) {
        made->gram = method->gram;
        made->threads = method->threads;
        status = round_calibrated(made, error);
    }
    if (status == SINQ_OK) return SINQ_OK;
    sinq_packing_free(made);
    *packing = NULL;
    return status;
}

void sinq_packing_free(struct sinq_packing *packing) {
    if (packing == NULL) return;
    sinq_free_unit_crew(&packing->crew);
    free(packing->job.outcomes);
    free(packing->job.integer_zeros);
    free(packing->job.scale_entries);
    free(packing->job.zero_entries);
    free(packing);
}

bool sinq_packing_is_calibrated(const struct sinq_packing *packing) {
    return packing->outcome.calibration == SINQ_CALIBRATED_BY_FEEDBACK;
}

void sinq_packing_run_unit(struct sinq_packing *packing, uint64_t unit, unsigned worker) {
    if (packing->outcome.calibration != SINQ_CALIBRATED_NOT) return;
    sinq_run_unit(&packing->job, &packing->crew, unit, worker);
}

int sinq_packing_settle(struct sinq_packing *packing, bool *again, struct sinq_error *error) {
    struct sinq_dual_scale *const description = &packing->description;
    *again = false;
    if (sinq_has_crew_failed(&packing->crew)) {
        return sinq_fail_memory(error, "the working memory of a matrix", packing->job.units->padded_rows * 64);
    }
    const struct sinq_unit_outcome total = sinq_add_unit_outcomes(&packing->job);
    const double allowed = get_allowed_excess(description);
    const bool is_costly = total.excess > allowed * total.groups ||
                           (total.ideal_square > 0 && total.error_square > (1 + allowed) * total.ideal_square);
    if (description->scale_type != SINQ_AUX_F16 && (is_costly || total.needs_exact_storage)) {
        *again = true;
        widen_types(packing, total.needs_exact_storage);
        const int status = prepare_units(packing, error);
        return status == SINQ_OK && packing->outcome.calibration != SINQ_CALIBRATED_NOT
                   ? round_calibrated(packing, error)
                   : status;
    }
    packing->outcome.error_square = total.error_square;
    packing->outcome.norm_square = total.norm_square;
    sinq_free_unit_crew(&packing->crew);
    return SINQ_OK;
}

static void write_levels(const struct sinq_unit_job *job, uint8_t *blob) {
    if (job->has_byte_levels) {
        memcpy(blob + job->sizes->levels_offset, job->byte_levels.level, job->levels.count);
        return;
    }
    for (unsigned k = 0; k < job->levels.count; k++) {
        uint32_t bits;
        memcpy(&bits, &job->levels.level[k], sizeof bits);
        for (int i = 0; i < 4; i++) blob[job->sizes->levels_offset + 4 * k + (unsigned)i] = (uint8_t)(bits >> 8 * i);
    }
}

/* 6-bit scales or zeros, panel by panel. */
static void write_entries(const struct sinq_dual_scale_sizes *sizes, const uint8_t *entries, uint8_t *section) {
    const uint64_t bytes = sinq_measure_entries(SINQ_AUX_U6, sizes->groups);
    for (uint64_t panel = 0; panel < sizes->panels; panel++) {
        sinq_pack_entries(sizes->groups, entries + panel * sizes->groups * SINQ_PANEL_ROWS, section + panel * bytes);
    }
}

void sinq_packing_finish(struct sinq_packing *packing, struct sinq_dual_scale *description,
                         struct sinq_matrix_outcome *outcome) {
    *description = packing->description;
    const struct sinq_dual_scale *const wished = &packing->wished;
    const bool is_integer = sinq_method_has_integer_zeros(packing->job.method);
    const bool is_searched = sinq_method_is_searched(packing->job.method);
    uint8_t *const blob = packing->blob->bytes;
    const struct sinq_unit_job *const job = &packing->job;
    if (job->scale_entries != NULL) write_entries(job->sizes, job->scale_entries, blob + job->sizes->scale_offset);
    if (job->zero_entries != NULL) write_entries(job->sizes, job->zero_entries, blob + job->sizes->zero_offset);
    if (packing->job.has_levels) write_levels(&packing->job, blob);
    if (job->integer_zeros != NULL) {
        sinq_write_integer_zeros(description, &packing->sizes, job->integer_zeros, blob);
    }
    sinq_dual_scale_seal(description, blob);
    *outcome = packing->outcome;
    outcome->was_widened = description->scale_type != wished->scale_type ||
                           description->zero_type != wished->zero_type ||
                           (description->zero_per_block && (is_integer || is_searched));
}

/* ---- all at once ---- */

static void run_packing_unit(void *context, uint64_t unit, unsigned worker) {
    sinq_packing_run_unit(context, unit, worker);
}

int sinq_quantize_packed(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                         struct sinq_dual_scale *description, struct sinq_blob *blob,
                         struct sinq_matrix_outcome *outcome, struct sinq_error *error) {
    struct sinq_packing *packing;
    int status = sinq_packing_begin(units, method, description, blob, &packing, error);
    for (bool again = true; status == SINQ_OK && again;) {
        sinq_parallel_for(method->threads, units->unit_count, run_packing_unit, packing);
        status = sinq_packing_settle(packing, &again, error);
    }
    if (status == SINQ_OK) sinq_packing_finish(packing, description, outcome);
    sinq_packing_free(packing);
    return status;
}
