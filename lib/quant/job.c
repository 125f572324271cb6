/* job.c: sinq_quantize: source -> recipe -> matrices -> sink. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "checkpoint/sink.h"
#include "checkpoint/source.h"
#include "quant/absorb/absorb_plan.h"
#include "quant/job_state.h"

static double read_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- the plan: quantized tensors first, so that each begins on 64 bytes; then the others, the widest elements first ---- */

/* What tensor `i` of the source is stored as. */
static enum sinq_dtype find_dtype(const struct sinq_quantize_job *job, size_t i) {
    const struct sinq_recipe_entry *const entry = sinq_recipe_entry(job->recipe, i);
    if (entry->type != NULL) return sinq_block_dtype(sinq_find_block_type_named(entry->type));
    return entry->action == SINQ_QUANTIZE ? SINQ_DUAL_SCALE : sinq_source_tensor(job->source, i)->dtype;
}

/* Kept tensors whose elements are of `size` bytes. */
static void order_kept(struct sinq_quantize_job *job, size_t size) {
    for (size_t i = 0; i < sinq_source_tensor_count(job->source); i++) {
        const bool is_kept = sinq_recipe_entry(job->recipe, i)->action == SINQ_KEEP;
        if (is_kept && sinq_dtype_size(find_dtype(job, i)) == size) job->order[job->count++] = i;
    }
}

static void order_tensors(struct sinq_quantize_job *job) {
    const size_t tensors = sinq_source_tensor_count(job->source);
    job->count = 0;
    if (job->recipe->summary.format == SINQ_FORMAT_GGUF) { /* it fills all tensors up alike */
        for (size_t i = 0; i < tensors; i++) job->order[job->count++] = i;
        return;
    }
    /* What is no multiple of 64 bytes needs no more than to begin at one of its elements'. */
    const bool is_reference = job->recipe->summary.format == SINQ_FORMAT_REFERENCE;
    if (is_reference) order_kept(job, 8);
    for (size_t i = 0; i < tensors; i++) {
        const bool is_blob =
            sinq_recipe_entry(job->recipe, i)->action != SINQ_DROP && find_dtype(job, i) == SINQ_DUAL_SCALE;
        if (is_blob) job->order[job->count++] = i;
    }
    for (size_t size = is_reference ? 4 : 8; size > 0; size /= 2) order_kept(job, size);
}

static struct sinq_sink_tensor plan_tensor(const struct sinq_quantize_job *job, size_t position) {
    const struct sinq_tensor *const tensor = sinq_job_tensor(job, position);
    const struct sinq_recipe_entry *const entry = sinq_job_entry(job, position);
    const bool is_gguf = job->recipe->summary.format == SINQ_FORMAT_GGUF;
    const bool is_changed = entry->action == SINQ_QUANTIZE || entry->type != NULL;
    struct sinq_sink_tensor planned = {.name = tensor->name,
                                       .dtype = is_gguf ? tensor->dtype : find_dtype(job, job->order[position]),
                                       .rank = tensor->rank,
                                       .bytes = is_changed ? entry->bytes_after : tensor->bytes,
                                       .block = is_gguf ? sinq_find_block_type_named(entry->type) : NULL};
    memcpy(planned.shape, tensor->shape, sizeof planned.shape);
    return planned;
}

static bool is_reference_layer(const struct sinq_quantize_job *job, size_t position) {
    return job->recipe->summary.format == SINQ_FORMAT_REFERENCE &&
           sinq_job_entry(job, position)->action == SINQ_QUANTIZE;
}

static int make_plan(struct sinq_quantize_job *job) {
    const size_t tensors = sinq_source_tensor_count(job->source);
    job->order = calloc(tensors + 1, sizeof *job->order);
    job->planned = calloc(tensors + 1, sizeof *job->planned);
    job->notes = calloc(tensors + 1, sizeof *job->notes);
    job->references = calloc(tensors + 1, sizeof *job->references);
    if (job->order == NULL || job->planned == NULL || job->notes == NULL || job->references == NULL) {
        return sinq_fail_memory(job->error, "the list of tensors", tensors);
    }
    order_tensors(job);
    for (size_t i = 0; i < job->count; i++) {
        job->planned[i] = plan_tensor(job, i);
        if (is_reference_layer(job, i)) sinq_job_plan_reference(job, i);
        job->bytes_total += sinq_job_tensor(job, i)->bytes;
    }
    return SINQ_OK;
}

/* Of everything that decides the output's bytes and can be known before reading weights. */
static int take_fingerprint(struct sinq_quantize_job *job) {
    struct sinq_text text = {0};
    sinq_text_print(&text, "sinq %s %s %u\n", SINQ_VERSION, SINQ_DUAL_SCALE_NAME, SINQ_DUAL_SCALE_VERSION);
    for (size_t i = 0; i < job->source->shard_count; i++) {
        struct sinq_hash header;
        char hex[33];
        memcpy(header.bytes, job->source->shards[i].header_hash, sizeof header.bytes);
        sinq_hash_to_text(header, hex);
        sinq_text_print(&text, "shard %llu %s\n", (unsigned long long)job->source->shards[i].bytes, hex);
    }
    if (job->source->config != NULL) sinq_text_add(&text, job->source->config);
    sinq_recipe_text(job->recipe, &text);
    if (text.failed) return sinq_fail_memory(job->error, "the recipe's text", 0);
    sinq_hash_to_text(sinq_hash_bytes(text.data, text.size), job->plan_fingerprint);
    sinq_text_free(&text);
    return SINQ_OK;
}

/* ---- resuming: what is finished must still be of this source ---- */

static int hash_source_tensor(struct sinq_quantize_job *job, size_t position, struct sinq_hash *hash) {
    if (sinq_job_entry(job, position)->type != NULL) return sinq_job_hash_blocks(job, position, hash);
    if (sinq_job_entry(job, position)->action == SINQ_QUANTIZE && !job->recipe->repacks) {
        return sinq_hash_matrices(&job->loader, job->order[position], hash, job->error);
    }
    return sinq_copy_tensor(&job->loader, job->order[position], NULL, NULL, hash, job->error);
}

static int recall_tensor(struct sinq_quantize_job *job, size_t position) {
    struct sinq_tensor_note *const note = &job->notes[position];
    const struct sinq_tensor *const tensor = sinq_job_tensor(job, position);
    if (!sinq_parse_note(job->sink->ops->note(job->sink, position), note)) {
        return sinq_fail(job->error, SINQ_FAILED, "%s: the journal of the unfinished output is damaged", tensor->name);
    }
    if (is_reference_layer(job, position)) sinq_job_recall_reference(job, position);
    /* An untouched file need not be read again. */
    if (job->source->shards[tensor->shard].modified_ns == note->source_modified_ns) return SINQ_OK;
    struct sinq_hash hash;
    const int status = hash_source_tensor(job, position, &hash);
    if (status != SINQ_OK) return status;
    if (sinq_hash_equal(hash, note->source_hash)) return SINQ_OK;
    return sinq_fail(job->error, SINQ_FAILED,
                     "%s: tensor %s has changed since the unfinished output was begun; start anew with --force",
                     sinq_source_shard_path(job->source, tensor->shard), tensor->name);
}

static int begin_output(struct sinq_quantize_job *job, size_t *finished) {
    const struct sinq_sink_plan plan = {job->planned, job->count, job->plan_fingerprint};
    int status = job->sink->ops->begin(job->sink, &plan, finished, job->error);
    for (size_t i = 0; i < *finished && status == SINQ_OK; i++) {
        status = recall_tensor(job, i);
        job->bytes_done += sinq_job_tensor(job, i)->bytes;
        if (status == SINQ_OK) status = sinq_job_report(job, "resuming", i);
    }
    return status;
}

/* ---- tensors ---- */

static int write_to_sink(void *user, const void *bytes, uint64_t size, struct sinq_error *error) {
    const struct sinq_quantize_job *const job = user;
    return job->sink->ops->write(job->sink, bytes, size, error);
}

static int copy_tensor(struct sinq_quantize_job *job, size_t position) {
    struct sinq_tensor_note *const note = &job->notes[position];
    const uint64_t replaced_before = job->loader.nonfinite_replaced;
    int status = sinq_job_report(job, "copying", position);
    if (status == SINQ_OK) status = job->sink->ops->begin_tensor(job->sink, position, job->error);
    if (status != SINQ_OK) return status;
    status = sinq_copy_tensor(&job->loader, job->order[position], write_to_sink, job, &note->source_hash, job->error);
    note->bytes = sinq_job_tensor(job, position)->bytes;
    job->bytes_done += note->bytes;
    if (status != SINQ_OK) return status;
    note->nonfinite = job->loader.nonfinite_replaced - replaced_before;
    return sinq_job_end_tensor(job, position, job->error);
}

/* Tensors from `first` on that are quantized go through a pipeline together; *next is the first one after what was done. */
static int process_tensors(struct sinq_quantize_job *job, size_t first, size_t *next) {
    *next = first + 1;
    if (sinq_job_entry(job, first)->type != NULL) return sinq_job_encode(job, first);
    if (is_reference_layer(job, first)) return sinq_job_write_reference(job, first);
    if (job->recipe->repacks && sinq_job_entry(job, first)->action == SINQ_QUANTIZE) return sinq_job_repack(job, first);
    *next = first;
    while (*next < job->count && sinq_job_entry(job, *next)->action == SINQ_QUANTIZE) ++*next;
    if (*next > first) return sinq_job_quantize(job, first, *next);
    *next = first + 1;
    return copy_tensor(job, first);
}

/* ---- the end ---- */

static void summarize(const struct sinq_quantize_job *job, struct sinq_quantize_summary *summary) {
    struct sinq_hasher *const hasher = sinq_hasher_create();
    double error = 0, norm = 0, linear_bits = 0, linear_weights = 0, bits = 0, values = 0;
    if (hasher != NULL) sinq_hasher_update(hasher, job->plan_fingerprint, sizeof job->plan_fingerprint);
    for (size_t i = 0; i < job->count; i++) {
        const struct sinq_tensor_note *const note = &job->notes[i];
        const struct sinq_recipe_entry *const entry = sinq_job_entry(job, i);
        const double weights = (double)sinq_count_values(sinq_job_tensor(job, i));
        if (hasher != NULL) sinq_hasher_update(hasher, &note->source_hash, sizeof note->source_hash);
        bits += 8.0 * (double)note->bytes;
        values += weights;
        summary->nonfinite_replaced += note->nonfinite;
        if (entry->action != SINQ_QUANTIZE) {
            summary->tensors_kept++;
            continue;
        }
        summary->tensors_quantized++;
        summary->weights_quantized += (uint64_t)weights;
        summary->matrices_gated += note->gated;
        summary->matrices_widened += note->widened;
        error += note->error_square;
        norm += note->norm_square;
        linear_bits += entry->is_linear ? 8.0 * (double)note->bytes : 0;
        linear_weights += entry->is_linear ? weights : 0;
    }
    summary->relative_error = norm > 0 ? sqrt(error / norm) : 0;
    summary->linear_bits_per_weight = linear_weights > 0 ? linear_bits / linear_weights : 0;
    summary->overall_bits_per_weight = values > 0 ? bits / values : 0;
    if (hasher != NULL) sinq_hash_to_text(sinq_hasher_finish(hasher), summary->fingerprint);
}

static void print_group_size(struct sinq_text *text, uint32_t group_size) {
    if (group_size == SINQ_GROUP_ROW) {
        sinq_text_add(text, "\"row\"");
    } else {
        sinq_text_print(text, "%u", group_size);
    }
}

/* What one tensor has that differs from the recipe at large; nothing where nothing does. */
static void print_exception(const struct sinq_quantize_job *job, size_t position, bool *is_first,
                            struct sinq_text *text) {
    const struct sinq_recipe_summary *const usual = &job->recipe->summary;
    const struct sinq_recipe_entry *const entry = sinq_job_entry(job, position);
    const struct sinq_tensor_note *const note = &job->notes[position];
    const bool is_kept_linear = entry->action == SINQ_KEEP && entry->is_linear;
    const bool is_absorbed = entry->is_folded && entry->method == sinq_drop_column_scale(usual->method);
    const bool differs = entry->action == SINQ_QUANTIZE &&
                         (entry->bits != usual->bits || entry->group_size != usual->group_size ||
                          (entry->method != usual->method && !is_absorbed) || entry->scale_type != usual->scale_type ||
                          note->gated != 0 || note->widened != 0);
    if (!is_kept_linear && !differs) return;
    sinq_text_add(text, *is_first ? "" : ",");
    *is_first = false;
    sinq_text_add_json(text, job->planned[position].name);
    if (is_kept_linear) {
        sinq_text_add(text, ":\"keep\"");
        return;
    }
    sinq_text_print(text, ":{\"bits\":%d,\"group_size\":", entry->bits);
    print_group_size(text, entry->group_size);
    sinq_text_print(text, ",\"method\":\"%s\",\"scale_type\":\"%s\"", sinq_method_name(entry->method),
                    sinq_aux_type_name(entry->scale_type));
    if (note->gated != 0) sinq_text_print(text, ",\"gated\":%llu", (unsigned long long)note->gated);
    if (note->widened != 0) sinq_text_print(text, ",\"widened\":%llu", (unsigned long long)note->widened);
    sinq_text_add(text, "}");
}

/* The quantization_config of docs/format.md; malloc'ed. */
static char *print_quantization(const struct sinq_quantize_job *job, const struct sinq_quantize_summary *summary) {
    const struct sinq_recipe_summary *const usual = &job->recipe->summary;
    struct sinq_text text = {0};
    sinq_text_print(&text,
                    "{\"quant_method\":\"%s\",\"layout\":\"%s\",\"layout_version\":%u,\"producer\":\"sinq %s\","
                    "\"bits\":%d,\"group_size\":",
                    SINQ_DUAL_SCALE_NAME, SINQ_DUAL_SCALE_NAME, SINQ_DUAL_SCALE_VERSION, SINQ_VERSION, usual->bits);
    print_group_size(&text, usual->group_size);
    sinq_text_print(&text,
                    ",\"method\":\"%s\",\"scale_type\":\"%s\",\"bits_per_weight\":%.4f,\"relative_error\":%.6g,"
                    "\"fingerprint\":\"%s\",%s\"exceptions\":{",
                    sinq_method_name(usual->method), sinq_aux_type_name(usual->scale_type),
                    summary->linear_bits_per_weight, summary->relative_error, summary->fingerprint,
                    job->recipe->absorb != NULL ? "\"absorbed\":true," : "");
    bool is_first = true;
    for (size_t i = 0; i < job->count; i++) print_exception(job, i, &is_first, &text);
    sinq_text_add(&text, "}}");
    return text.data;
}

static int finish_output(struct sinq_quantize_job *job, struct sinq_quantize_summary *summary) {
    summarize(job, summary);
    /* Others' formats say it tensor by tensor. */
    const enum sinq_format format = job->recipe->summary.format;
    const bool is_native = format == SINQ_FORMAT_NATIVE, is_reference = format == SINQ_FORMAT_REFERENCE;
    char *const quantization = is_native      ? print_quantization(job, summary)
                               : is_reference ? sinq_job_print_reference(job)
                                              : NULL;
    if (quantization == NULL && (is_native || is_reference))
        return sinq_fail_memory(job->error, "quantization_config", 0);
    const struct sinq_sink_final final = {.quantization = quantization};
    const int status = job->sink->ops->commit(job->sink, &final, job->progress, job->user, job->error);
    free(quantization);
    return status;
}

static int run_job(struct sinq_quantize_job *job, struct sinq_quantize_summary *summary) {
    size_t finished = 0;
    if (job->recipe->tiling_2d && job->recipe->summary.format != SINQ_FORMAT_REFERENCE)
        return sinq_fail(job->error, SINQ_USAGE, "2-D tiling is for trials, it cannot be stored");
    int status = make_plan(job);
    if (status == SINQ_OK) status = take_fingerprint(job);
    if (status == SINQ_OK) status = begin_output(job, &finished);
    if (status != SINQ_OK) return status;
    summary->tensors_resumed = finished;
    for (size_t i = finished; i < job->count;) {
        status = process_tensors(job, i, &i);
        if (status == SINQ_OK) continue;
        /* What is finished is worth keeping; the first failure is the one to report. */
        struct sinq_error ignored;
        (void)job->sink->ops->suspend(job->sink, &ignored);
        return status;
    }
    return finish_output(job, summary);
}

int sinq_quantize(const struct sinq_source *source, const struct sinq_recipe *recipe, struct sinq_sink *sink,
                  sinq_progress_fn *progress, void *user, struct sinq_quantize_summary *summary,
                  struct sinq_error *error) {
    const double start = read_clock();
    struct sinq_quantize_job job = {
        .source = source,
        .recipe = recipe,
        .sink = sink,
        .progress = progress,
        .user = user,
        .error = error,
        .loader = {.source = source, .threads = recipe->threads, .replace_nonfinite = recipe->replace_nonfinite}};
    struct sinq_source *absorbed = NULL;
    int status = SINQ_OK;
    *summary = (struct sinq_quantize_summary){0};
    if (recipe->absorb != NULL) {
        status = sinq_open_absorbed(source, recipe, progress, user, &absorbed, error);
        job.source = job.loader.source = absorbed;
    }
    if (status == SINQ_OK && recipe->statistics != NULL) {
        status = sinq_open_gram_index(source, recipe->statistics, &job.grams, error);
    }
    if (status == SINQ_OK) status = run_job(&job, summary);
    summary->matrices_calibrated = job.calibrated;
    summary->matrices_uncalibrated = job.uncalibrated;
    summary->first_uncalibrated = job.first_uncalibrated;
    sinq_free_gram_index(&job.grams);
    summary->bytes_read = job.bytes_done;
    summary->bytes_written = sink->bytes_written;
    summary->seconds_sync = sink->seconds_sync;
    summary->seconds_total = read_clock() - start;
    sinq_free_loader(&job.loader);
    sinq_source_close(absorbed);
    free(job.order);
    free(job.planned);
    free(job.references);
    free(job.notes);
    return status;
}

void sinq_sink_close(struct sinq_sink *sink) {
    if (sink != NULL) sink->ops->close(sink);
}
