/*
 * sinq.h: the library's public interface.
 *
 * sinq shrinks the weights of large language models (SINQ, arXiv 2509.22944) and checks what it made.
 *
 * Calling sequence
 *   sinq_select_cpu()                         once, before any other call, from one thread
 *   sinq_open_checkpoint()  (formats.h)       a source: named tensors and sidecar files
 *   sinq_make_recipe()                        what becomes of each tensor, decided before any work
 *   sinq_create_checkpoint() (formats.h)      a sink: where the result goes
 *   sinq_quantize()                           source + recipe -> sink
 *   sinq_sink_close(), sinq_recipe_free(), sinq_source_close()
 *
 * Ownership: what a function returns through a pointer to pointer belongs to the caller until the matching close or
 * free, which accept NULL. Strings and structs reached through a const pointer belong to the object they came from.
 *
 * Threads: a source and a recipe are immutable once made and may be shared. A sink belongs to one thread.
 *
 * Errors: functions return a status and fill *error at the point of failure with one line that says what, which
 * file, which tensor and what was expected. The library never prints and never exits.
 */
#ifndef SINQ_H
#define SINQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SINQ_VERSION "0.1.0"

#if defined(__GNUC__)
#define SINQ_API                                  __attribute__((visibility("default")))
#define SINQ_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define SINQ_API
#define SINQ_PRINTF(format_index, first_argument)
#endif

/* ---- status and errors ------------------------------------------------------------------------------------- */

/* Every function that can fail returns one of these; the program uses them as exit codes. */
enum sinq_status {
    SINQ_OK = 0,
    SINQ_FAILED = 1,       /* input/output, a bad file, no memory */
    SINQ_USAGE = 2,        /* an argument or a combination of options that cannot be */
    SINQ_CHECK_FAILED = 3, /* a check or a threshold was not met */
    SINQ_INTERRUPTED = 75  /* stopped on request; what was done so far is kept and can be resumed */
};

/* message is one line of valid UTF-8 without control characters, empty after success. */
struct sinq_error {
    int status;
    char message[1000];
};

/* Facts about this build for bug reports: compiler, options, libraries. One fact a line. */
SINQ_API const char *sinq_build_facts(void);

/* ---- the processor ----------------------------------------------------------------------------------------- */

/*
 * Chooses the kernels. `names` is a comma-separated list out of c, sse2, avx2, avx2-vnni, avx512-vnni, neon: the best
 * that is both listed and offered by this machine is taken; NULL or "" means all. An unknown name, or a list of which
 * the machine has none, is SINQ_USAGE. Not thread safe; call it before anything else. Without it every level is allowed.
 */
SINQ_API int sinq_select_cpu(const char *names, struct sinq_error *error);

/* The name of the level in use, e.g. "avx512-vnni". */
SINQ_API const char *sinq_cpu_name(void);

/* Processors this process may use: affinity mask and cgroup quota, at least 1. */
SINQ_API unsigned sinq_count_processors(void);

/* ---- tensors and sources ----------------------------------------------------------------------------------- */

enum sinq_dtype {
    SINQ_F64,
    SINQ_F32,
    SINQ_F16,
    SINQ_BF16,
    SINQ_F8_E4M3, /* the "FN" variant: no infinities, 0x7f and 0xff are NaN */
    SINQ_F8_E5M2,
    SINQ_I64,
    SINQ_I32,
    SINQ_I16,
    SINQ_I8,
    SINQ_U64,
    SINQ_U32,
    SINQ_U16,
    SINQ_U8,
    SINQ_BOOL,
    SINQ_DUAL_SCALE, /* a quantized matrix, or a stack of them, in our own layout: docs/format.md */
    SINQ_DTYPE_COUNT
};

/* "BF16", as safetensors spells it; "DUAL_SCALE" for our own. */
SINQ_API const char *sinq_dtype_name(enum sinq_dtype dtype);

/* Bytes of one element; 0 for SINQ_DUAL_SCALE. */
SINQ_API size_t sinq_dtype_size(enum sinq_dtype dtype);

#define SINQ_MAX_RANK 8

/*
 * One tensor of a checkpoint. shape is the logical one, outermost first: for a quantized matrix that of the tensor it
 * replaces. The last dimension is a row's length; all others together count the rows.
 */
struct sinq_tensor {
    const char *name; /* valid UTF-8, unique in the checkpoint */
    enum sinq_dtype dtype;
    uint32_t rank; /* 0..SINQ_MAX_RANK */
    uint64_t shape[SINQ_MAX_RANK];
    uint64_t bytes;  /* as stored; never padded by the reader */
    uint32_t shard;  /* index of the file that holds it */
    uint64_t offset; /* of its first byte in that file */
    /* FP8 with block scales (DeepSeek-V3, Qwen3-FP8): the tensor of reciprocal scales, else -1. Reading rows applies it. */
    int64_t scale_tensor;
    uint64_t scale_block[2]; /* rows and columns that share one scale */
    bool is_block_scale;     /* this tensor only scales another one */
};

struct sinq_source;

SINQ_API const char *sinq_source_path(const struct sinq_source *source);
SINQ_API const char *sinq_source_format(const struct sinq_source *source); /* e.g. "Hugging Face directory" */
/* Whether a copy of it is a directory: it has sidecars. Of a GGUF file too, whose sidecars are made from its metadata. */
SINQ_API bool sinq_source_is_directory(const struct sinq_source *source);
SINQ_API size_t sinq_source_tensor_count(const struct sinq_source *source);
/* Tensors are ordered by shard and offset, so that reading them in turn reads the files from front to back. */
SINQ_API const struct sinq_tensor *sinq_source_tensor(const struct sinq_source *source, size_t index);
/*
 * What a tensor is made of: itself, or in a source that shows another one's tensors in another form (sinq_open_gguf_view) the first
 * of the tensors there. Its name tells what the tensor is to its model.
 */
SINQ_API const struct sinq_tensor *sinq_source_origin(const struct sinq_source *source, size_t index);
/* Index of the tensor of that name, or -1. O(1). */
SINQ_API int64_t sinq_source_find(const struct sinq_source *source, const char *name);
SINQ_API size_t sinq_source_shard_count(const struct sinq_source *source);
SINQ_API const char *sinq_source_shard_path(const struct sinq_source *source, size_t shard);
SINQ_API uint64_t sinq_source_shard_bytes(const struct sinq_source *source, size_t shard);
/* The text of config.json, or NULL where there is none (a bare file). */
SINQ_API const char *sinq_source_config(const struct sinq_source *source);
/* "qwen3", "llama", ... from config.json; NULL where unknown. */
SINQ_API const char *sinq_source_model_type(const struct sinq_source *source);
/* The JSON object that says how the checkpoint is quantized (config.json's quantization_config, or the same from a bare file's metadata); NULL where it is not. */
SINQ_API const char *sinq_source_quantization(const struct sinq_source *source);
/* Files beside the weights that belong to the model: config.json, tokenizer files, ... Names without folders. */
SINQ_API size_t sinq_source_sidecar_count(const struct sinq_source *source);
SINQ_API const char *sinq_source_sidecar_name(const struct sinq_source *source, size_t index);
/* *data is malloc'ed and NUL-terminated behind its *size bytes. */
SINQ_API int sinq_source_read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                                      struct sinq_error *error);

/* Stored bytes [offset, offset + size) of a tensor. Thread safe. */
SINQ_API int sinq_read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                             struct sinq_error *error);

/*
 * Rows [first, first + count) of a tensor as f32, rows counted through all leading dimensions: out holds
 * count * shape[rank - 1] values. Block scales are applied, quantized matrices rebuilt, F64 and I64 rounded. Thread safe.
 */
SINQ_API int sinq_read_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                            struct sinq_error *error);

/* A tensor seen as a stack of matrices: rank 1 is one row, rank 3 and more a stack over the leading dimensions. */
struct sinq_matrix_shape {
    uint64_t count;
    uint64_t rows;
    uint64_t cols;
};
SINQ_API struct sinq_matrix_shape sinq_tensor_matrix_shape(const struct sinq_tensor *tensor);

/* Values of a tensor: the product of its shape, UINT64_MAX where that is more. */
SINQ_API uint64_t sinq_count_values(const struct sinq_tensor *tensor);

SINQ_API void sinq_source_close(struct sinq_source *source);

/* ---- how a matrix is quantized ----------------------------------------------------------------------------- */

enum sinq_method {
    SINQ_METHOD_SINQ,     /* Sinkhorn normalization, then min-max rounding with an integer zero point */
    SINQ_METHOD_RTN,      /* min-max rounding alone */
    SINQ_METHOD_SINQ_NF4, /* Sinkhorn normalization, then the levels of NormalFloat 4 */
    SINQ_METHOD_SINQ_NF3,
    SINQ_METHOD_SINQ_HQQ, /* Sinkhorn normalization, then half-quadratic zero points */
    SINQ_METHOD_NF4,
    SINQ_METHOD_NF3,
    SINQ_METHOD_HQQ,
    SINQ_METHOD_SINQ_SEARCH, /* Sinkhorn normalization, then scale and real zero point of each group searched for least error */
    SINQ_METHOD_SEARCH,
    SINQ_METHOD_SINQ_NOZ, /* Sinkhorn normalization, then symmetric rounding: one zero point for the whole matrix */
    SINQ_METHOD_NOZ,
    SINQ_METHOD_SINQ_LEVELS, /* Sinkhorn normalization, then fitted levels with a signed scale of each group searched for least error */
    SINQ_METHOD_LEVELS,
    SINQ_METHOD_COUNT
};
/* "sinq", "rtn", "sinq-nf4", ... and back; -1 for an unknown name. */
SINQ_API const char *sinq_method_name(enum sinq_method method);
SINQ_API int sinq_method_from_name(const char *name);

/* How group scales and zero points are stored. */
enum sinq_aux_type { SINQ_AUX_NONE, SINQ_AUX_F16, SINQ_AUX_U8, SINQ_AUX_U6, SINQ_AUX_U4, SINQ_AUX_I8, SINQ_AUX_COUNT };
SINQ_API const char *sinq_aux_type_name(enum sinq_aux_type type);

/* Everything the layout says about one quantized matrix (docs/format.md). */
struct sinq_matrix_info {
    uint64_t rows, cols; /* out and in features */
    uint32_t group_size; /* columns that share a scale; 0 is the whole row */
    uint32_t bits;
    enum sinq_method method;
    enum sinq_aux_type scale_type, zero_type;
    bool zero_per_block;  /* zeros have a range per block of 32 rows, not one for the matrix */
    bool has_levels;      /* a table of levels stands in place of evenly spaced codes */
    bool has_byte_levels; /* of integers */
    bool scale_signed;
    bool has_column_scale;
    bool transposed; /* the named tensor is [in, out]; the matrix is its transpose */
    uint64_t bytes;  /* of this matrix as stored, everything counted */
    double bits_per_weight;
    /* Of a tensor in GGUF's blocks: their type, "q4_k"; NULL in our layout. And what it takes in our layout; 0: it becomes f32. */
    const char *block_type;
    uint64_t native_bytes;
};
/* Matrix `index` of the stack that tensor `tensor` (SINQ_DUAL_SCALE) is. */
SINQ_API int sinq_source_matrix_info(const struct sinq_source *source, size_t tensor, uint64_t index,
                                     struct sinq_matrix_info *info, struct sinq_error *error);

/*
 * Scales, their common factor applied, and zero points of matrix `index` of the stack that tensor `tensor` (SINQ_DUAL_SCALE)
 * is: rows x groups values each, where a row has ceil(cols / group_size) groups (1 where group_size is 0). Rows are those of
 * the matrix, even if the named tensor is its transpose. Either array may be NULL. Thread safe.
 */
SINQ_API int sinq_read_scales(const struct sinq_source *source, size_t tensor, uint64_t index, float *scales,
                              float *zeros, struct sinq_error *error);

/* ---- the recipe -------------------------------------------------------------------------------------------- */

#define SINQ_GROUP_ROW 0u

/* What is written. */
enum sinq_format {
    SINQ_FORMAT_NATIVE, /* safetensors in our own layout */
    SINQ_FORMAT_GGUF,
    SINQ_FORMAT_PLAIN,    /* safetensors as Hugging Face has them, of numbers alone */
    SINQ_FORMAT_REFERENCE /* a directory that huawei-csl/SINQ and transformers load */
};

/* One --tensor, --include or --exclude rule, in the order given. The last rule that matches a name wins. */
struct sinq_rule {
    const char *pattern; /* PCRE2, searched in the tensor's name */
    enum { SINQ_RULE_TENSOR, SINQ_RULE_INCLUDE, SINQ_RULE_EXCLUDE } kind;
    const char *
        setting; /* of SINQ_RULE_TENSOR: "keep", or "bits:3,group:32,method:rtn,scale:f16" in any order and part; of GGUF "type:q6_k" */
};

/* How long methods that search take for it. */
enum sinq_effort { SINQ_EFFORT_DEFAULT, SINQ_EFFORT_FAST, SINQ_EFFORT_BEST };

struct sinq_quantize_options {
    const char *recipe; /* "default" or "paper"; NULL is "default" */
    int bits;           /* 2 3 4 5 6 8; 0 is the recipe's (4) */
    int group_size;     /* 16 32 64 128, SINQ_GROUP_ROW; -1 is the recipe's */
    int method;         /* enum sinq_method; -1 is the recipe's */
    int scale_type;     /* SINQ_AUX_F16 or SINQ_AUX_U8; -1 is the recipe's */
    enum sinq_effort effort;
    int head_bits;        /* lm_head: 0 keeps it */
    int embed_bits;       /* embeddings: 0 keeps them */
    double kurtosis_gate; /* a matrix whose kurtosis exceeds it is rounded without normalization; 0 is off */
    bool tiling_2d; /* one column scale per block of rows: for trials and the reference's layout, ours cannot hold it */
    bool is_trial;  /* the recipe is for sinq_open_trial */
    bool replace_nonfinite; /* NaN and infinities become zero and are counted, instead of an error */
    bool
        allow_requantize; /* the source may be quantized already, and is quantized anew; else only its layout can change */
    enum sinq_format format;
    /*
     * GGUF: what linear layers become, one of SINQ_GGUF_TYPES; the source is then a view (sinq_open_gguf_view). A plain checkpoint: what all
     * numbers become, one of SINQ_PLAIN_TYPES. Bits, group size, method, scale type, gate and the bits of head and embeddings have no
     * meaning with either. NULL: our own layout.
     */
    const char *type;
    const char
        *fallback; /* of GGUF: what tensors become whose rows are no multiple of the type's blocks; NULL: an error */
    /* GGUF: errors count by 1 / t^2 of their column's scale t, which SINQ's normalization finds: what is scaled down counts less. */
    bool weighs_columns;
    /* Column scales go into the layers before where the model allows it (sinq_open_absorbed). With `type` it only says that the source is made of such a one. */
    bool absorb;
    /*
     * Statistics of the layers' inputs (sinq_collect_statistics, sinq_make_statistics), which must outlive the recipe: methods that search
     * then round column by column, each error being made up for by the columns behind it (GPTQ). NULL: none.
     */
    const struct sinq_source *statistics;
    bool
        scales_inputs; /* A-SINQ: statistics choose column scales instead, of methods that normalize and have no feedback then */
    uint64_t
        calibration_tokens; /* that they are of where they are made in this run: counts in the plan's memory, also without them */
    uint64_t calibration_memory; /* that getting those tokens takes */
    /*
     * Bits, group size and scale type of each tensor that no other option or rule names, embeddings and head included, are chosen so that
     * all tensors together take no more than so many bits a parameter, or bytes, and the damage predicted is least. 0: not asked for.
     * `bits` must then be 0.
     */
    double budget_bits;
    uint64_t budget_bytes;
    const struct sinq_rule *rules;
    size_t rule_count;
    unsigned threads; /* 0: sinq_count_processors() */
};
#define SINQ_GGUF_TYPES  "f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 iq4_nl q4_k q5_k q6_k q3_k q2_k f32"
#define SINQ_PLAIN_TYPES "f16 bf16 f32"
/* Options that mean "the default recipe at 4 bits". */
SINQ_API struct sinq_quantize_options sinq_default_quantize_options(void);
/*
 * Takes over what "bits:3,group:32,method:rtn,scale:f16,tiling:2d" says, in any order and part. A word that is none of them is
 * SINQ_USAGE.
 */
SINQ_API int sinq_parse_quantize_setting(const char *text, struct sinq_quantize_options *options,
                                         struct sinq_error *error);

enum sinq_action { SINQ_KEEP, SINQ_QUANTIZE, SINQ_DROP /* a block scale whose tensor is quantized or cast */ };

/* What becomes of one tensor, and why. Indices run as in the source. */
struct sinq_recipe_entry {
    enum sinq_action action;
    const char *reason; /* "attention query", "norm", "excluded by --exclude ...", never NULL */
    int bits;
    uint32_t group_size;
    enum sinq_method method;
    enum sinq_aux_type scale_type;
    /*
     * Of GGUF and plain checkpoints: what it is stored as; then SINQ_QUANTIZE is for types with codes, SINQ_KEEP for plain ones. Of our
     * layout: "f16" for a kept tensor that is in a GGUF's blocks. NULL where bytes are taken over, or the layout is ours.
     */
    const char *type;
    uint32_t group_asked; /* of the reference's layout: group_size before it was halved until it divides the row */
    bool transposed;
    bool is_linear; /* counts among the linear layers, quantized or not */
    bool is_folded; /* absorbing changes its values: its own columns, or what it carries for others */
    uint64_t bytes_before;
    uint64_t
        bytes_after; /* exact, unless a tensor turns out to need wider scales or zeros: see sinq_quantize_summary */
};

struct sinq_recipe;
SINQ_API int sinq_make_recipe(const struct sinq_source *source, const struct sinq_quantize_options *options,
                              struct sinq_recipe **recipe, struct sinq_error *error);
SINQ_API const struct sinq_recipe_entry *sinq_recipe_entry(const struct sinq_recipe *recipe, size_t tensor);

struct sinq_recipe_summary {
    bool has_budget; /* a size was asked for: the four below are of the tensors that have most weights */
    bool is_mixed;   /* linear layers have different bits */
    int bits;        /* of most tensors, or those asked for: for names and headings */
    uint32_t group_size;
    enum sinq_method method;
    enum sinq_aux_type scale_type;
    enum sinq_format format;
    bool repacks;     /* what is quantized keeps its codes: only the layout changes */
    const char *type; /* of GGUF and plain checkpoints, in place of the four above; else NULL */
    size_t quantized, kept, dropped;
    uint64_t weights_quantized; /* weights that get codes */
    uint64_t bytes_before, bytes_after;
    double linear_bits_per_weight;  /* over the quantized linear layers, everything counted */
    double overall_bits_per_weight; /* over all parameters */
    /*
     * KL divergence from the source that is expected, in nats a token, from the kind and place of each tensor alone (no weight is read):
     * for comparing recipes of one model. 0 of GGUF and plain checkpoints.
     */
    double predicted_kl;
    bool is_measured; /* sensitivities behind predicted_kl are measured ones of this model (sinq_collect_statistics) */
    uint64_t peak_memory; /* bytes, an upper bound */
};
SINQ_API struct sinq_recipe_summary sinq_recipe_summary(const struct sinq_recipe *recipe);
SINQ_API void sinq_recipe_free(struct sinq_recipe *recipe);

/* ---- quantizing -------------------------------------------------------------------------------------------- */

struct sinq_sink;

/* What long work reports. `item` counts tensors, `bytes` those of the source; with another unit, its windows and `unit`s. */
struct sinq_progress {
    const char *activity; /* "quantizing", "copying", "verifying", "syncing", "comparing", "evaluating" */
    const char *name;     /* the tensor in hand, or NULL */
    uint64_t item, items;
    uint64_t bytes, bytes_total;
    const char *unit; /* what `bytes` counts: NULL is bytes, else "tokens" */
};
/* Called often, from the calling thread. A non-zero return asks the work to stop soon, with SINQ_INTERRUPTED. */
typedef int sinq_progress_fn(void *user, const struct sinq_progress *progress);

struct sinq_quantize_summary {
    uint64_t tensors_quantized, tensors_kept;
    uint64_t tensors_resumed; /* found finished from an earlier run */
    uint64_t weights_quantized;
    uint64_t bytes_read, bytes_written;
    uint64_t nonfinite_replaced;
    uint64_t matrices_gated;        /* rounded without normalization, by the kurtosis gate */
    uint64_t matrices_widened;      /* needed wider scales or zeros than the recipe's: listed in quantization_config */
    uint64_t matrices_calibrated;   /* rounded with statistics of their inputs */
    uint64_t matrices_uncalibrated; /* that have some, but could not be: rounded as without */
    const char *first_uncalibrated; /* the first such tensor; the source's */
    double relative_error;          /* ||W - W'|| / ||W|| over all quantized weights, Frobenius */
    double linear_bits_per_weight;  /* as written */
    double overall_bits_per_weight;
    double seconds_total, seconds_sync;
    char fingerprint[33]; /* of source and recipe, hexadecimal */
};

/*
 * Runs the recipe. On SINQ_INTERRUPTED, or a failure while writing, the sink keeps what is finished for --resume; nothing
 * stands under the final name unless SINQ_OK is returned. Memory is bounded by the largest matrix.
 */
SINQ_API int sinq_quantize(const struct sinq_source *source, const struct sinq_recipe *recipe, struct sinq_sink *sink,
                           sinq_progress_fn *progress, void *user, struct sinq_quantize_summary *summary,
                           struct sinq_error *error);

SINQ_API void sinq_sink_close(struct sinq_sink *sink);

/*
 * Of a recipe with `absorb`: the source as it is once column scales are folded in, found by reading all weights that are to be
 * quantized. It computes the same as the source, and has its tensors at the same indices: changed matrices and biases are F32,
 * norms keep their type and lose nothing. sinq_quantize does this by itself; who else writes the weights reads them from here.
 * Both arguments must outlive it; close with sinq_source_close. SINQ_USAGE of a recipe without `absorb`.
 */
SINQ_API int sinq_open_absorbed(const struct sinq_source *source, const struct sinq_recipe *recipe,
                                sinq_progress_fn *progress, void *user, struct sinq_source **absorbed,
                                struct sinq_error *error);

/*
 * A source that looks as if the recipe had been run on `source`, and writes nothing: each matrix is quantized and rebuilt when
 * it is read, the last one kept in memory. For comparing recipes, and for 2-D tiling, which no file of ours holds (its scales
 * and zeros are then the paper's, before storage). Both arguments must outlive it; close with sinq_source_close.
 */
SINQ_API int sinq_open_trial(const struct sinq_source *source, const struct sinq_recipe *recipe,
                             struct sinq_source **trial, struct sinq_error *error);

/* ---- looking at checkpoints -------------------------------------------------------------------------------- */

/* Statistics of one tensor's values. Deviations are with n - 1; kurtosis is not excess (a Gaussian has 3). */
struct sinq_tensor_stats {
    uint64_t values, nonfinite; /* all values, and those that are NaN or infinite, which everything below leaves out */
    double minimum, maximum, mean, deviation, kurtosis; /* deviation and kurtosis are 0 where all values are equal */
    double outlier_share;                               /* share of values further than 6 deviations from the mean */
    double
        imbalance_before; /* SINQ, equation 2: largest over smallest deviation of rows and columns; mean over 64-column tiles */
    double imbalance_after; /* after Sinkhorn normalization; both 0 where the tensor is no matrix */
};
SINQ_API int sinq_measure_tensor(const struct sinq_source *source, size_t tensor, unsigned threads,
                                 struct sinq_tensor_stats *stats, struct sinq_error *error);

/* Checks every checksum the checkpoint carries and that all values are finite. SINQ_CHECK_FAILED names the first bad tensor. */
struct sinq_verify_summary {
    uint64_t tensors, checksums, bad_checksums, nonfinite_tensors;
};
SINQ_API int sinq_verify(const struct sinq_source *source, unsigned threads, sinq_progress_fn *progress, void *user,
                         struct sinq_verify_summary *summary, struct sinq_error *error);

/* ---- comparing weights ------------------------------------------------------------------------------------- */

struct sinq_weight_error {
    size_t tensor;           /* index in the model */
    size_t reference_tensor; /* index in the reference */
    uint64_t values;
    double relative_error; /* ||W - R|| / ||R||, Frobenius; 0 where both are 0, INFINITY where R alone is */
    double snr_db;         /* -20 log10(relative_error); INFINITY where equal */
    double cosine;         /* 1 where equal, 0 where one side alone is 0 */
    double max_error;      /* absolute */
    double reference_norm, error_norm;
};
struct sinq_weight_report {
    size_t count;
    struct sinq_weight_error *errors; /* worst relative error first */
    size_t missing;                   /* tensors of one side that the other lacks (block scales aside) */
    const char *first_missing;        /* a name, owned by its source */
    double relative_error;            /* over all compared values */
    double quantized_relative_error;  /* over the tensors that are quantized in the model */
    double max_error;
};
/*
 * Compares tensors of the same name; their shapes must agree and their values be finite. Block scales are applied and are no
 * tensors of their own; an lm_head that repeats its embeddings byte for byte is not missing where the other side lacks it.
 * Integers and booleans are equal in type and bytes (relative error 0) or not (INFINITY, cosine 0) and are in no total. Free
 * with sinq_weight_report_free; after a failure there is nothing to free.
 */
SINQ_API int sinq_compare_weights(const struct sinq_source *model, const struct sinq_source *reference,
                                  unsigned threads, sinq_progress_fn *progress, void *user,
                                  struct sinq_weight_report *report, struct sinq_error *error);
SINQ_API void sinq_weight_report_free(struct sinq_weight_report *report);

/* ---- text: tokenizers ------------------------------------------------------------------------------------------ */

/*
 * A tokenizer, read from a checkpoint's tokenizer.json (Hugging Face), with what tokenizer_config.json and
 * generation_config.json say of special tokens. Immutable, shared by threads.
 */
struct sinq_tokenizer;

/* Token ids; data is malloc'ed: free it. All zero when empty. */
struct sinq_tokens {
    int32_t *ids;
    size_t count, capacity;
};

SINQ_API int sinq_open_tokenizer(const struct sinq_source *source, struct sinq_tokenizer **tokenizer,
                                 struct sinq_error *error);
/* From the text of tokenizer.json alone; `path` is for messages. */
SINQ_API int sinq_parse_tokenizer(const char *path, const char *json, size_t size, struct sinq_tokenizer **tokenizer,
                                  struct sinq_error *error);
SINQ_API void sinq_tokenizer_free(struct sinq_tokenizer *tokenizer);

/* The largest id + 1. */
SINQ_API uint32_t sinq_tokenizer_size(const struct sinq_tokenizer *tokenizer);
/* The id of a token by its text (as in the vocabulary or among added tokens), or -1. */
SINQ_API int32_t sinq_tokenizer_find(const struct sinq_tokenizer *tokenizer, const char *token);
/* Whether generation ends with it: the eos_token_id of generation_config.json and config.json, one or several, and eos_token. */
SINQ_API bool sinq_tokenizer_is_end(const struct sinq_tokenizer *tokenizer, int32_t id);

enum {
    SINQ_TOKENIZE_SPECIAL = 1, /* add what the post-processor adds (BOS, EOS) */
    SINQ_TOKENIZE_LITERAL = 2  /* special tokens written out in the text are text, not tokens */
};
/*
 * Appends the ids of text[0..size) to *tokens. Any bytes are accepted; what is not UTF-8 is treated as U+FFFD. Without flags
 * the ids are those of Hugging Face's encode(text, add_special_tokens=False).
 */
SINQ_API int sinq_tokenize(const struct sinq_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                           struct sinq_tokens *tokens, struct sinq_error *error);
SINQ_API void sinq_tokens_free(struct sinq_tokens *tokens);

/*
 * From ids to text, one by one as they come: *bytes (owned by the stream, until the next call) is what this id completes; bytes
 * of an unfinished UTF-8 sequence are held back until it is finished or sinq_text_stream_end. Ids out of range give nothing.
 */
struct sinq_text_stream;
SINQ_API int sinq_open_text_stream(const struct sinq_tokenizer *tokenizer, bool skip_special,
                                   struct sinq_text_stream **stream, struct sinq_error *error);
SINQ_API int sinq_text_stream_add(struct sinq_text_stream *stream, int32_t id, const char **bytes, size_t *size,
                                  struct sinq_error *error);
SINQ_API int sinq_text_stream_end(struct sinq_text_stream *stream, const char **bytes, size_t *size,
                                  struct sinq_error *error);
SINQ_API void sinq_text_stream_free(struct sinq_text_stream *stream);

/* ---- text: chats ----------------------------------------------------------------------------------------------- */

/* How a model's chats are written. Immutable. Free it with sinq_chat_template_free. */
struct sinq_chat_template;

struct sinq_chat_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
};

/* The checkpoint's own, recognised by the content of its chat_template; SINQ_FAILED names the ways out where it is not one of the known. */
SINQ_API int sinq_find_chat_template(const struct sinq_source *source, const struct sinq_chat_template **chat,
                                     struct sinq_error *error);
/* "chatml", "llama2", "llama3", "mistral", "gemma", "phi3", "deepseek", "harmony"; an unknown name is SINQ_USAGE and lists them. */
SINQ_API int sinq_name_chat_template(const char *name, const struct sinq_chat_template **chat,
                                     struct sinq_error *error);
SINQ_API const char *sinq_chat_template_name(const struct sinq_chat_template *chat);
SINQ_API void sinq_chat_template_free(const struct sinq_chat_template *chat);

/*
 * Appends the ids of a conversation that the model is to continue. Special tokens written out in a message's content stay
 * text. What the template says of BOS is followed.
 */
SINQ_API int sinq_tokenize_chat(const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat,
                                const struct sinq_chat_message *messages, size_t count, struct sinq_tokens *tokens,
                                struct sinq_error *error);
/* The same as text, malloc'ed: for tests and --verbose. */
SINQ_API int sinq_render_chat(const struct sinq_chat_template *chat, const struct sinq_chat_message *messages,
                              size_t count, char **text, struct sinq_error *error);
/* Whether the answer is over with this id (end of turn). */
SINQ_API bool sinq_chat_is_end(const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat,
                               int32_t id);

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* A checkpoint made ready to run: configuration, weights (used from the mapped file where they can), graph. Immutable, shared by threads. */
struct sinq_model;

struct sinq_model_facts {
    const char *family; /* config.json's model_type */
    uint32_t vocabulary, layers, hidden;
    uint64_t context;      /* positions that the configuration allows */
    uint64_t weight_bytes; /* that a token's pass may read: all weights but embedding rows that are only looked up */
    uint64_t active_bytes; /* of weights read for one token: with experts, the chosen ones */
    uint64_t owned_bytes;  /* of weights that had to be rebuilt in memory */
    int64_t bos;           /* config.json's bos_token_id, -1 where there is none */
    const char *device;    /* that it runs on: "cpu", "cuda:0, NVIDIA H200" */
    const char *no_device; /* device "auto": why it is the CPU; else "" */
};

struct sinq_device_options {
    const char
        *device; /* "cpu", "cuda", "cuda:N", or "auto": a CUDA device where there is one, else the CPU. NULL: the CPU */
    uint64_t memory_limit; /* most bytes of a device's memory; 0: all */
    const struct sinq_session_options
        *session; /* a session that there is to be room for; NULL: one with the defaults */
};

/*
 * A device's memory as the driver reports it, in bytes. What was in use when the device was opened counts as others', where the driver can
 * tell, else as the model's.
 */
struct sinq_device_memory {
    uint64_t total; /* all that other processes leave */
    uint64_t limit; /* 0: none */
    uint64_t start; /* taken before the first weight: the driver's context and the kernels' code */
    uint64_t used, peak;
    uint64_t weight_bytes; /* that were uploaded, in how much time */
    double weight_seconds;
};

/*
 * What of a model is on a device and what stays on the CPU. Layers are cut in two: the last ones are on the device, with the head behind
 * them; so activations cross once a token.
 */
struct sinq_device_plan {
    uint64_t budget;             /* the device's memory */
    uint64_t reserve_bytes;      /* of it, for the driver's context and the kernels' code */
    uint64_t workspace_bytes;    /* for activations and scratch memory */
    uint32_t batch;              /* positions that are fed at once: as asked for, or 256 to 2048, as there is room */
    uint64_t total_bytes;        /* on the device: these two, and parts that are there with their keys and values */
    uint32_t layers, cpu_layers; /* the first ones stay on the CPU */
    bool embedding_on_cpu;
    uint64_t embedding_bytes, head_bytes; /* one matrix that is both counts as the head's */
    uint64_t device_layer_bytes, cpu_layer_bytes, device_kv_bytes, cpu_kv_bytes;
};

/* An unknown family, a tensor that is missing or of another shape than the configuration says: SINQ_FAILED, one line. The source must outlive the model. */
SINQ_API int sinq_load_model(const struct sinq_source *source, struct sinq_model **model, struct sinq_error *error);
/*
 * On a device, through a plug-in (`make CUDA=1`) that is loaded at run time. A device name of another form is SINQ_USAGE. What does
 * not fit there stays on the CPU (struct sinq_device_plan). "auto" takes the CPU, too, where the device has no room for any of it.
 */
SINQ_API int sinq_load_model_on_device(const struct sinq_source *source, const struct sinq_device_options *device,
                                       struct sinq_model **model, struct sinq_error *error);
/*
 * How a model would be shared between a device of options->memory_limit bytes and the CPU: from headers alone, no device is needed.
 * SINQ_FAILED where the limit leaves no room for a layer or the head.
 */
SINQ_API int sinq_plan_device(const struct sinq_source *source, const struct sinq_device_options *options,
                              struct sinq_device_plan *plan, struct sinq_error *error);
SINQ_API struct sinq_model_facts sinq_model_facts(const struct sinq_model *model);
/* Of a model on a device; false (NULL) on the CPU. */
SINQ_API bool sinq_model_device_memory(const struct sinq_model *model, struct sinq_device_memory *memory);
SINQ_API const struct sinq_device_plan *sinq_model_device_plan(const struct sinq_model *model);
SINQ_API void sinq_model_free(struct sinq_model *model);
/* The families that can run, separated by ", ". */
SINQ_API const char *sinq_runnable_families(void);

enum sinq_kv_type { SINQ_KV_F16, SINQ_KV_F32, SINQ_KV_I8 };

struct sinq_session_options {
    uint64_t context;   /* positions; 0: the model's, at most 8192. More than the model's is SINQ_USAGE */
    uint32_t batch;     /* positions that are fed at once; 0: 512, on a device as its plan says */
    uint32_t sequences; /* timelines side by side, which share each reading of a weight; 0: one. More only on a CPU */
    enum sinq_kv_type kv_type; /* of keys and values */
    bool exact;                /* all activations in f32 */
    unsigned threads;          /* 0: sinq_count_processors() */
    bool profile;              /* for sinq_session_profile: costs some clock readings an operation */
};

/* What running would take, in bytes. */
struct sinq_plan {
    uint64_t weight_bytes, kv_bytes, scratch_bytes, total_bytes;
    uint64_t owned_bytes; /* of weight_bytes, what must be rebuilt in memory; the rest is mapped from the files */
    uint64_t context;     /* as it would be used */
    uint32_t batch;
};
/* From headers and config.json alone: nothing large is read or allocated. */
SINQ_API int sinq_plan_session(const struct sinq_source *source, const struct sinq_session_options *options,
                               struct sinq_plan *plan, struct sinq_error *error);

/*
 * One inference timeline: position, keys and values, scratch memory. Belongs to one thread; the model must outlive it. With several
 * sequences all are at the same position, and tokens and logits come position by position: those of the first sequence, the second, ...
 */
struct sinq_session;
SINQ_API int sinq_open_session(const struct sinq_model *model, const struct sinq_session_options *options,
                               struct sinq_session **session, struct sinq_error *error);
SINQ_API void sinq_session_close(struct sinq_session *session);
SINQ_API uint64_t sinq_session_context(const struct sinq_session *session);
SINQ_API uint32_t sinq_session_batch(const struct sinq_session *session);
SINQ_API uint64_t sinq_session_position(const struct sinq_session *session); /* tokens fed so far */
/* Back to position 0. */
SINQ_API void sinq_session_reset(struct sinq_session *session);
/*
 * Back to `position`, which is at most the session's, or, where keys and values before it are overwritten already (sliding
 * windows), to 0. Returns where it is. No logits can be asked for before tokens are fed again.
 */
SINQ_API uint64_t sinq_session_rewind(struct sinq_session *session, uint64_t position);
/*
 * Says, before tokens are fed in pieces, that the sequence will have at least `length` positions: ropes that depend on its length
 * (dynamic, longrope) then turn as if all were fed at once. Holds until sinq_session_reset; never needed for other ropes.
 */
SINQ_API void sinq_session_announce(struct sinq_session *session, uint64_t length);
/*
 * Feeds tokens at the session's position, as many to each sequence. What goes wrong on a device may show at the next call. More than a batch are fed batch by batch. An id outside the
 * vocabulary, or more tokens than the context has room for, is SINQ_FAILED and changes nothing.
 */
SINQ_API int sinq_session_feed(struct sinq_session *session, const int32_t *tokens, size_t count,
                               struct sinq_error *error);
/*
 * Logits after `count` of the tokens fed last, from the `first`-th on, counted within the last batch (of the min(count, batch)
 * tokens at the end of the last feed, 0 is the earliest): logits[count][vocabulary]. Not-a-number is SINQ_FAILED.
 */
SINQ_API int sinq_session_logits(struct sinq_session *session, uint32_t first, uint32_t count, float *logits,
                                 struct sinq_error *error);
/* How many rows sinq_session_logits can give. */
SINQ_API uint32_t sinq_session_rows(const struct sinq_session *session);
/*
 * Where time went since the session was opened or the profile was taken last: what belongs together in all layers as one,
 * "self_attn.q_proj", "mlp.experts.up_proj", "attention", "norm", in the order of the model. By the first thread's clock; operations that
 * are carried out together count as one of them. Returns how many there are, of which `most` are written, and starts anew.
 */
struct sinq_profile_entry {
    char name[64];
    double seconds;
    uint64_t operations; /* of the model's graph that are part of it */
};
SINQ_API size_t sinq_session_profile(struct sinq_session *session, struct sinq_profile_entry *entries, size_t most);

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

struct sinq_sampling {
    double temperature;    /* 0: the best token */
    uint32_t top_k;        /* 0: all */
    double top_p;          /* 1: all */
    double min_p;          /* share of the best token's probability; 0: all */
    double repeat_penalty; /* 1: none; divides positive and multiplies negative logits of the last repeat_last tokens */
    uint32_t repeat_last;
    uint64_t seed;
};
SINQ_API struct sinq_sampling sinq_default_sampling(void); /* 0.8, 40, 0.95, 0.05, 1, 64, 0 */

/* Draws tokens: the same seed, options and logits give the same tokens on every machine. Belongs to one thread. */
struct sinq_sampler;
SINQ_API int sinq_open_sampler(const struct sinq_sampling *options, uint32_t vocabulary, struct sinq_sampler **sampler,
                               struct sinq_error *error);
/* history[0..count) are the tokens so far. */
SINQ_API int32_t sinq_sample(struct sinq_sampler *sampler, const float *logits, const int32_t *history, size_t count);
/*
 * sinq_session_logits of one row and sinq_sample at once. `logits` is room for them: on a device that can choose by itself they are not
 * copied, and what is there stays, where only the best token is wanted: at temperature 0 without penalty.
 */
SINQ_API int sinq_session_choose(struct sinq_session *session, uint32_t row, struct sinq_sampler *sampler,
                                 const int32_t *history, size_t count, float *logits, int32_t *token,
                                 struct sinq_error *error);
/* Goes on as one that was opened with that seed. */
SINQ_API void sinq_sampler_reseed(struct sinq_sampler *sampler, uint64_t seed);
SINQ_API void sinq_sampler_close(struct sinq_sampler *sampler);

/* The `count` best tokens, best first, with their natural log probabilities. */
struct sinq_candidate {
    int32_t id;
    double logprob;
};
SINQ_API void sinq_find_candidates(const float *logits, uint32_t vocabulary, size_t count, struct sinq_candidate *best);

/* ---- measuring speed --------------------------------------------------------------------------------------------- */

/* What this machine can do with `threads` threads and the instruction set in use, each the best of several loops; a second each. */
struct sinq_limits {
    unsigned threads;
    uint64_t buffer_bytes; /* that were read */
    double read_bytes;     /* a second */
    double int8_operations,
        f32_operations; /* a second: two for each multiplication; 0 where only reading was asked for */
    unsigned read_loop; /* the one that read best, for sinq_probe_limit() */
};
struct sinq_limits_options {
    unsigned threads;      /* 0: sinq_count_processors() */
    uint64_t buffer_bytes; /* of memory that is read; 0: 1 GiB. Small buffers stay in caches */
    bool read_only;        /* only the rate of reading */
};
/* SINQ_INTERRUPTED where `progress` (or NULL) asks to stop. */
SINQ_API int sinq_measure_limits(const struct sinq_limits_options *options, sinq_progress_fn *progress, void *user,
                                 struct sinq_limits *limits, struct sinq_error *error);

/*
 * The loops again, to be run beside what is held to them: what a shared machine can do changes from minute to minute. A probe keeps
 * a buffer for any number of threads; one caller at a time.
 */
enum sinq_limit { SINQ_LIMIT_READ, SINQ_LIMIT_INT8, SINQ_LIMIT_F32 };
struct sinq_limit_probe;
/* A buffer as `options` has it, filled by its threads. Free with sinq_limit_probe_close(), also after an error. */
SINQ_API int sinq_open_limit_probe(const struct sinq_limits_options *options, struct sinq_limit_probe **probe,
                                   struct sinq_error *error);
/* What sinq_measure_limits() measures, with as many threads. */
SINQ_API int sinq_probe_limits(struct sinq_limit_probe *probe, unsigned threads, bool read_only,
                               sinq_progress_fn *progress, void *user, struct sinq_limits *limits,
                               struct sinq_error *error);
/* One of these limits once more, a second: by the loop that was best then, the median of several runs, in 0.2 s or so. */
SINQ_API double sinq_probe_limit(struct sinq_limit_probe *probe, const struct sinq_limits *limits,
                                 enum sinq_limit limit);
SINQ_API void sinq_limit_probe_close(struct sinq_limit_probe *probe); /* or NULL */

/*
 * A checkpoint of a well-known shape whose weights are made up in memory: random codes and scales, so that running it takes as long
 * as running the real one. There is nothing but weights and configuration: no tokenizer. The same options give the same bytes.
 */
struct sinq_synthetic_options {
    const char *shape; /* one of SINQ_SHAPES */
    struct sinq_quantize_options
        quantize;     /* what becomes of each tensor: as if its recipe had been run on bf16 weights */
    uint64_t memory;  /* most bytes of weights; more is SINQ_FAILED. 0: any number */
    bool small_pages; /* in which mapped files usually lie; else huge pages where the system has them */
};
/* tiny ones are for trying things out. */
#define SINQ_SHAPES                                                                                                    \
    "tiny tiny-experts 100m 134m 4b qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b qwen3-32b qwen3-30b-a3b "        \
    "llama-1b "                                                                                                        \
    "llama-3b llama-8b gemma3-4b"
/* An unknown shape is SINQ_USAGE. Close it with sinq_source_close. */
SINQ_API int sinq_open_synthetic(const struct sinq_synthetic_options *options, sinq_progress_fn *progress, void *user,
                                 struct sinq_source **source, struct sinq_error *error);

/* What feeding tokens means for the machine, worked out from the model's graph. */
struct sinq_work {
    double
        weight_bytes; /* of matrices read: codes, scales, zeros, column scales; of experts those chosen for one token, */
                      /* or for several tokens as many as random choices hit on average */
    double kv_bytes;  /* keys and values read by attention */
    double other_bytes;          /* norms, biases, rows of the embedding */
    double int8_operations;      /* of products with quantized matrices: two for each multiplication */
    double f32_operations;       /* of all other products with weights */
    double attention_operations; /* scores and sums over values, in f32 */
};
/*
 * Of `count` tokens fed at `position` in one batch, and logits of `rows` of them, in a session of these options (of which only
 * kv_type and exact count).
 */
SINQ_API struct sinq_work sinq_count_work(const struct sinq_model *model, const struct sinq_session_options *options,
                                          uint64_t position, uint32_t count, uint32_t rows);

/* ---- calibration ------------------------------------------------------------------------------------------------- */

/* How many tokens a window has where the model's context allows it. */
#define SINQ_CALIBRATION_WINDOW 512u
SINQ_API int sinq_find_calibration_window(const struct sinq_source *source, uint32_t *window, struct sinq_error *error);

/*
 * What linear layers read: E[x x^T] over calibration tokens, one matrix for all layers that read the same values. The model runs over
 * windows of tokens, each from an empty context, layer by layer: one layer's matrices are in memory at a time, beside the
 * activations of all tokens between two layers. Matrices are written as they come, row by row, in f32.
 */
struct sinq_layer_input {
    char name[180]; /* of the first weight that reads it, as the graph has it: without what wraps the text model */
    uint64_t width; /* the matrix has as many rows and columns */
    uint64_t count; /* of matrices: 1, or one for each expert, in a stack */
};
/* In the order in which sinq_collect_statistics writes them; *inputs is malloc'ed. */
SINQ_API int sinq_list_layer_inputs(const struct sinq_model *model, struct sinq_layer_input **inputs, size_t *count,
                                    struct sinq_error *error);

struct sinq_statistics_options {
    uint32_t window; /* no more than a context; tokens that fill no window are left out */
    unsigned threads;
    int (*write)(void *writer, const void *bytes, uint64_t size, struct sinq_error *error);
    void *writer;
    sinq_progress_fn *progress;
    void *user;
};
/* `model` is loaded from `source`, whose mapped pages are given back layer by layer. */
SINQ_API int sinq_collect_statistics(const struct sinq_source *source, const struct sinq_model *model,
                                     const int32_t *tokens, size_t count, const struct sinq_statistics_options *options,
                                     struct sinq_error *error);

/* ---- evaluating with text ---------------------------------------------------------------------------------------- */

/* One prediction that counts. */
struct sinq_text_score {
    size_t subject;
    uint64_t window, position; /* made at this token of the window */
    double nll;
    double reference_nll, kl; /* with a reference */
    bool same_top;
};
typedef void sinq_text_score_fn(void *user, const struct sinq_text_score *score);

struct sinq_text_options {
    uint64_t window; /* tokens; 0: 2048, the model's context or the text, whichever is smallest */
    uint64_t
        stride; /* 0: window. Smaller: windows overlap, and only the last `stride` predictions of each count but the first window's */
    bool second_half; /* of a window of n tokens (0 .. n - 1) the predictions made at positions n / 2 .. n - 2 count */
    uint64_t max_windows; /* 0: all */
    bool bos;             /* the model's BOS takes the place of each window's first token */
    bool exact;
    enum sinq_kv_type kv_type;
    unsigned threads;
    sinq_text_score_fn
        *score; /* or NULL: told each subject's predictions in the order of the text, by the calling thread */
    void *score_user;
};

struct sinq_text_report {
    uint64_t tokens;  /* of the text */
    uint64_t windows; /* evaluated */
    uint64_t scored;  /* predictions */
    uint64_t window, stride;
    double nll, nll_error;               /* mean negative log likelihood in nats, and its standard error */
    double perplexity, perplexity_error; /* exp(nll) and perplexity * nll_error */
    /* With a reference: */
    bool has_reference;
    double reference_nll, reference_nll_error, reference_perplexity, reference_perplexity_error;
    double log_ratio,
        log_ratio_error;       /* ln(perplexity / reference's) and the standard error of the paired difference */
    double ratio, ratio_error; /* perplexity / reference's */
    double kl, kl_error;       /* mean KL(reference || model) in nats */
    double kl_median, kl_90, kl_95, kl_99, kl_999, kl_max;
    double same_top, same_top_error; /* share of predictions with the same best token */
    double rms_probability_change;   /* of the text's own next token */
    double seconds;
};

/*
 * Perplexity of `model` on tokens, and with `reference` (or NULL), of equal vocabulary, how far its predictions are from the
 * reference's: one pass over both. Sums are in f64, in the order of the text, whatever the number of threads. Only whole windows
 * are evaluated. Fewer tokens than one window is SINQ_FAILED; a window larger than the context, or a stride larger than the
 * window, is SINQ_USAGE. Standard errors of fewer than two predictions are NaN, as are those of infinite means.
 */
SINQ_API int sinq_evaluate_text(const struct sinq_model *model, const struct sinq_model *reference,
                                const int32_t *tokens, size_t count, const struct sinq_text_options *options,
                                sinq_progress_fn *progress, void *user, struct sinq_text_report *report,
                                struct sinq_error *error);

/* Several models, or one in several ways, at once: a reference is then run but once. options.exact is the reference's. */
struct sinq_text_subject {
    const struct sinq_model *model;
    bool exact;
};
/* As sinq_evaluate_text, of every subject; reports[count]. All vocabularies must be of one size. */
SINQ_API int sinq_evaluate_subjects(const struct sinq_text_subject *subjects, size_t count,
                                    const struct sinq_model *reference, const int32_t *tokens, size_t token_count,
                                    const struct sinq_text_options *options, sinq_progress_fn *progress, void *user,
                                    struct sinq_text_report *reports, struct sinq_error *error);

#ifdef __cplusplus
}
#endif
#endif
