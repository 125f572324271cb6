#include "quant/recipe/block_recipe.h"
#include "quant/recipe/peak_memory.h"

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "quant/recipe/recipe.h"

#define CHUNK_VALUES ((uint64_t)1 << 18) /* a MiB in f32 */
/* Metadata, the tokenizer that they come from, and the head that holds them. */
#define METADATA_BYTES ((uint64_t)128 << 20)

/* ---- options ---- */

static const char *name_format(enum sinq_format format) {
    return format == SINQ_FORMAT_PLAIN ? "a plain checkpoint" : "GGUF";
}

static bool has_type(enum sinq_format format, const struct sinq_block_type *type) {
    return type != NULL && type->is_written && (format == SINQ_FORMAT_GGUF || type->is_plain);
}

static int find_type(enum sinq_format format, const char *option, const char *name, const struct sinq_block_type **type,
                     struct sinq_error *error) {
    *type = name == NULL ? NULL : sinq_find_block_type_named(name);
    if (name == NULL || has_type(format, *type)) return SINQ_OK;
    return sinq_fail(error, SINQ_USAGE, "%s %.100s: expected one of %s", option, name,
                     format == SINQ_FORMAT_PLAIN ? SINQ_PLAIN_TYPES : SINQ_GGUF_TYPES);
}

int sinq_settle_block_options(const struct sinq_quantize_options *options, struct sinq_block_settings *settings,
                              struct sinq_error *error) {
    const struct {
        bool is_given;
        const char *name;
    } others[] = {{options->bits != 0, "--bits"},
                  {options->group_size != -1, "--group-size"},
                  {options->method != -1, "--method"},
                  {options->scale_type != -1, "--scale-type"},
                  {options->effort != SINQ_EFFORT_DEFAULT, "--effort"},
                  {options->head_bits != 0, "--head-bits"},
                  {options->embed_bits != 0, "--embed-bits"},
                  {options->kurtosis_gate > 0, "--kurtosis-gate"},
                  {options->tiling_2d, "--tiling"},
                  {options->format == SINQ_FORMAT_PLAIN && options->fallback != NULL, "--fallback"},
                  {options->format == SINQ_FORMAT_PLAIN && options->weighs_columns, "--importance"}};
    settings->format = options->format;
    int status = find_type(options->format, "--type", options->type, &settings->type, error);
    if (status == SINQ_OK) {
        status = find_type(options->format, "--fallback", options->fallback, &settings->fallback, error);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0] && status == SINQ_OK; i++) {
        if (!others[i].is_given) continue;
        status = sinq_fail(error, SINQ_USAGE, "%s: %s has types instead: --type, and --tensor 'REGEX=type:...'",
                           others[i].name, name_format(options->format));
    }
    return status;
}

int sinq_check_block_rule(const struct sinq_rule_setting *setting, enum sinq_format format, const char *rule,
                          struct sinq_error *error) {
    const bool is_typed = format == SINQ_FORMAT_GGUF || format == SINQ_FORMAT_PLAIN;
    const bool has_others =
        setting->bits != 0 || setting->group_size >= 0 || setting->method >= 0 || setting->scale_type >= 0;
    if (setting->type != NULL && (!is_typed || has_others)) {
        return sinq_fail(error, SINQ_USAGE, "%s: type: is for --type and stands alone", rule);
    }
    if (setting->type != NULL && !has_type(format, setting->type)) {
        return sinq_fail(error, SINQ_USAGE, "%s: %s has the types " SINQ_PLAIN_TYPES " alone", rule,
                         name_format(format));
    }
    if (!is_typed || !has_others) return SINQ_OK;
    return sinq_fail(error, SINQ_USAGE, "%s: %s has types instead, for instance type:%s", rule, name_format(format),
                     format == SINQ_FORMAT_PLAIN ? "f32" : "q6_k");
}

/* ---- one tensor ---- */

static const struct sinq_block_type *get_type(enum sinq_block_type_id id) { return sinq_find_block_type((uint32_t)id); }

static uint64_t count_columns(const struct sinq_block_case *what) {
    return sinq_tensor_matrix_shape(what->tensor).cols;
}

static bool fits(const struct sinq_block_type *type, uint64_t cols) { return cols % type->values == 0; }

/* The plain type in which a tensor loses nothing, or as little as f32 does. */
static const struct sinq_block_type *find_own_type(const struct sinq_block_case *what) {
    if (what->origin->dtype == SINQ_BF16) return get_type(SINQ_BLOCK_BF16);
    return get_type(what->origin->dtype == SINQ_F16 ? SINQ_BLOCK_F16 : SINQ_BLOCK_F32);
}

/* Without rules: what llama.cpp's converter keeps in f32 stays so; embeddings and head lose next to nothing. */
static const struct sinq_block_type *find_by_role(const struct sinq_block_settings *settings,
                                                  const struct sinq_block_case *what) {
    const enum sinq_role role = what->role->role;
    if (what->role->is_linear || settings->format == SINQ_FORMAT_PLAIN) return settings->type;
    if (role != SINQ_ROLE_EMBEDDING && role != SINQ_ROLE_LM_HEAD) return get_type(SINQ_BLOCK_F32);
    if (settings->type->is_plain) return settings->type;
    const struct sinq_block_type *const fine = get_type(SINQ_BLOCK_Q8_0);
    return fits(fine, count_columns(what)) ? fine : get_type(SINQ_BLOCK_F16);
}

static int fail_columns(const struct sinq_block_case *what, const struct sinq_block_type *type, const char *option,
                        struct sinq_error *error) {
    return sinq_fail(error, SINQ_USAGE, "%s: tensor %s (%s): rows of %llu values are no multiple of the %u of %s%s",
                     sinq_source_path(what->source), what->tensor->name, what->origin->name,
                     (unsigned long long)count_columns(what), (unsigned)type->values, type->name, option);
}

/* What the tensor becomes, and why; a type that rows fit, or the fallback. */
static int choose_type(const struct sinq_block_settings *settings, const struct sinq_block_case *what,
                       const struct sinq_block_type **type, const char **reason, struct sinq_error *error) {
    *reason = what->role->reason;
    *type = find_by_role(settings, what);
    if (what->tensor->rank < 2 && settings->format == SINQ_FORMAT_GGUF) { /* llama.cpp wants them so */
        *type = get_type(SINQ_BLOCK_F32);
        return SINQ_OK;
    }
    if (what->kept_by != NULL) {
        *type = find_own_type(what);
        *reason = what->kept_by;
    }
    if (what->rule != NULL) {
        *type = what->rule->keep ? find_own_type(what) : what->rule->type;
        *reason = what->rule_reason;
    }
    if (fits(*type, count_columns(what))) return SINQ_OK;
    if (settings->fallback == NULL) {
        return fail_columns(what, *type, "; --fallback TYPE says what such tensors become", error);
    }
    if (!fits(settings->fallback, count_columns(what))) {
        return fail_columns(what, settings->fallback, ", which is --fallback", error);
    }
    *type = settings->fallback;
    *reason = "rows do not fit the type: --fallback";
    return SINQ_OK;
}

/*
 * Of a plain checkpoint: what is no number there, and what is nothing. Integers in rows are codes where the checkpoint says that it is
 * quantized: it would be none without its quantization_config, and nothing plain with it.
 */
static int keep_others(const struct sinq_block_case *what, struct sinq_recipe_entry *entry, bool *is_done,
                       struct sinq_error *error) {
    const struct sinq_tensor *const tensor = what->tensor;
    const bool is_number = tensor->dtype == SINQ_DUAL_SCALE || sinq_dtype_is_float(tensor->dtype);
    *is_done = true;
    if (!is_number && tensor->rank >= 2 && what->source->quantization != NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %s codes of a quantization that is not read, %s",
                         sinq_source_path(what->source), tensor->name, sinq_dtype_name(tensor->dtype),
                         "expected the original weights");
    } else if (!is_number || sinq_count_values(tensor) == 0) {
        entry->reason = is_number ? "empty" : "not a floating-point tensor";
    } else {
        *is_done = false;
    }
    return SINQ_OK;
}

int sinq_decide_block(const struct sinq_block_settings *settings, const struct sinq_block_case *what,
                      struct sinq_recipe_entry *entry, struct sinq_error *error) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(what->tensor);
    const struct sinq_block_type *type;
    uint64_t rows, row;
    bool is_done = false;
    int status = SINQ_OK;
    if (settings->format == SINQ_FORMAT_PLAIN) status = keep_others(what, entry, &is_done, error);
    if (is_done) return status;
    status = choose_type(settings, what, &type, &entry->reason, error);
    if (status != SINQ_OK) return status;
    if (!sinq_multiply_u64(shape.count, shape.rows, &rows) || !sinq_measure_block_row(type, shape.cols, &row) ||
        !sinq_multiply_u64(rows, row, &entry->bytes_after)) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: more than a file can hold", sinq_source_path(what->source),
                         what->tensor->name);
    }
    entry->type = type->name;
    entry->action = type->is_plain ? SINQ_KEEP : SINQ_QUANTIZE;
    return SINQ_OK;
}

/* ---- memory ---- */

uint64_t sinq_block_chunk_rows(uint64_t cols) { return sinq_max_u64(1, CHUNK_VALUES / sinq_max_u64(1, cols)); }

/* A chunk: f32, as encoded (no more than f32), and one row as it is decoded. */
uint64_t sinq_estimate_block_memory(uint64_t cols, unsigned threads) {
    const uint64_t values = sinq_max_u64(sinq_min_u64(cols, UINT64_MAX >> 16), CHUNK_VALUES);
    return SINQ_BASE_MEMORY + METADATA_BYTES + threads * (SINQ_BLOCK_CHUNKS * 8 * values + 4 * values);
}
