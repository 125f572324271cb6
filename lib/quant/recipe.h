/*
 * recipe.h: a recipe from the inside, for the job that runs it. The public half is in sinq.h.
 *
 * A recipe is immutable once made and may be shared by threads. It borrows its source, which must outlive it.
 */
#ifndef SINQ_QUANT_RECIPE_H
#define SINQ_QUANT_RECIPE_H

#include "base/text.h"
#include "quant/rule.h"
#include "sinq.h"
#include "tensor/dual_scale.h"

struct sinq_recipe {
    const struct sinq_source *source;
    struct sinq_recipe_entry *entries; /* one a tensor of the source, in its order */
    size_t count;
    struct sinq_recipe_summary summary;
    double kurtosis_gate; /* 0 is off */
    bool replace_nonfinite;
    bool tiling_2d;              /* of a trial */
    unsigned threads;            /* at least 1 */
    struct sinq_rule_set *rules; /* owns reasons that quote a rule */
    bool absorbs;
    struct sinq_absorb_plan
        *absorb; /* whose scales are not found yet, and which owns reasons too; NULL: not asked for */
};

/*
 * How the matrix of an entry to be quantized is stored: `rows` out features and `cols` in features, that is after turning a
 * transposed tensor. Scales are of the entry's type; zeros follow them: f16, or u8 with one range for the matrix where they
 * are integers and a range per block where they are not. What only the data can tell (factor, ranges) and the place in a
 * stack are left 0.
 */
void sinq_describe_matrix(const struct sinq_recipe_entry *entry, uint64_t rows, uint64_t cols,
                          struct sinq_dual_scale *matrix);

/* Memory for code, thread stacks, the list of tensors, and what the sink holds. */
#define SINQ_BASE_MEMORY ((uint64_t)64 << 20)

/* Two matrices, as they are held and with their blobs, are in memory at once where they take no more than this together. */
#define SINQ_OVERLAP_MEMORY ((uint64_t)512 << 20)

/* What one matrix takes as it is held, and its blob. */
uint64_t sinq_matrix_memory(uint64_t rows, uint64_t cols, enum sinq_dtype dtype, uint64_t blob_bytes);

/*
 * An upper bound on the bytes of memory while a matrix of `rows` x `cols` is in hand, rows and columns rounded up to 32:
 *
 *   rows * cols * element_bytes              the matrix; element_bytes as the job holds it, 2 for bf16 and 4 for most others
 *   units * 512                              beside each unit, a run of max(group, 32) columns
 *   rows * groups * 8 + cols * 4             zeros before they are stored, and what wider scales and zeros would take
 *   blob_bytes                               the quantized matrix
 *   workers * (rows + unit) * 256            workers = min(threads, units): what normalizing and rounding a unit takes
 *   threads * (5 MiB + longest side * 12)    what is being read; kept tensors stream through it too
 *   SINQ_BASE_MEMORY
 *
 * With more than one thread the matrix and its blob count twice, but not beyond SINQ_OVERLAP_MEMORY, for the next one.
 * It saturates instead of overflowing. Without a matrix (rows = cols = 0) it is what keeping tensors takes.
 */
uint64_t sinq_estimate_peak_memory(uint64_t rows, uint64_t cols, uint64_t element_bytes, uint32_t group_size,
                                   uint64_t blob_bytes, unsigned threads);

/*
 * Adds the recipe as text that is the same for the same decisions: whatever changes the output's bytes is in it, and nothing
 * else (no threads, no reasons). For fingerprints.
 */
void sinq_recipe_text(const struct sinq_recipe *recipe, struct sinq_text *text);

#endif
