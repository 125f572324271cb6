/* calibrate.c: `sinq quantize --calib`: texts become tokens, and the model is run over them. */
#include "calibrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats.h"
#include "json.h"
#include "memory.h"
#include "progress.h"
#include "text_input.h"
#include "vocabulary.h"

/* That a model writes where --calib-tokens does not say. */
#define OWN_TOKENS 49152u

/* Says which text it was. */
static int add_place(struct sinq_error *error, int status, const char *path) {
    char message[sizeof error->message];
    if (status == SINQ_OK || strncmp(error->message, path, strlen(path)) == 0) return status;
    snprintf(message, sizeof message, "%s", error->message);
    snprintf(error->message, sizeof error->message, "%.400s: %.590s", path, message);
    return status;
}

static int refuse(struct sinq_error *error, const char *path, size_t count, uint32_t window) {
    snprintf(error->message, sizeof error->message, "%.400s: %zu tokens, expected %u at least to calibrate with", path,
             count, window);
    return error->status = SINQ_FAILED;
}

/* Whole windows of a text's beginning, behind those of the texts before. */
static int add_text(const struct sinq_quantize_arguments *arguments, const struct sinq_tokenizer *tokenizer,
                    const char *path, struct sinq_calibration *calibration, struct sinq_error *error) {
    struct sinq_tokens read = {.count = 0}, *const tokens = &calibration->tokens;
    char *text = NULL;
    size_t size = 0;
    int status = sinq_read_text_file(path, &text, &size, error);
    if (status == SINQ_OK) status = sinq_tokenize(tokenizer, text, size, 0, &read, error);
    free(text);
    size_t count = read.count;
    if (arguments->calib_tokens != 0 && count > arguments->calib_tokens) count = arguments->calib_tokens;
    count -= count % calibration->window;
    if (status == SINQ_OK && count == 0) status = refuse(error, path, read.count, calibration->window);
    if (status == SINQ_OK) {
        sinq_reserve(&tokens->ids, &tokens->capacity, tokens->count + count, sizeof *tokens->ids);
        memcpy(tokens->ids + tokens->count, read.ids, count * sizeof *read.ids);
        tokens->count += count;
    }
    sinq_tokens_free(&read);
    return add_place(error, status, path);
}

int sinq_read_calibration(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                          struct sinq_calibration *calibration, struct sinq_error *error) {
    struct sinq_tokenizer *tokenizer = NULL;
    int status = sinq_find_calibration_window(source, &calibration->window, error);
    if (status == SINQ_OK) status = sinq_open_tokenizer(source, &tokenizer, error);
    if (status == SINQ_OK) calibration->tokenizer_size = sinq_tokenizer_size(tokenizer);
    for (size_t i = 0; i < arguments->calib.count && status == SINQ_OK; i++) {
        if (strcmp(arguments->calib.texts[i], "self") == 0) {
            const size_t count = arguments->calib_tokens != 0 ? arguments->calib_tokens : OWN_TOKENS;
            calibration->own.windows += count / calibration->window;
            continue;
        }
        status = add_text(arguments, tokenizer, arguments->calib.texts[i], calibration, error);
    }
    sinq_tokenizer_free(tokenizer);
    calibration->own.window = calibration->window;
    if (status != SINQ_OK || calibration->own.windows == 0) return status;
    return sinq_plan_own_text(source, calibration->tokenizer_size, arguments->common.threads, &calibration->own, error);
}

void sinq_free_calibration(struct sinq_calibration *calibration) { sinq_tokens_free(&calibration->tokens); }

static int collect(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                   const struct sinq_model *model, struct sinq_calibration *calibration, const char *beside,
                   struct sinq_meter *meter, struct sinq_source **statistics, struct sinq_error *error) {
    const unsigned threads = arguments->common.threads;
    const struct sinq_statistics_file options = {.path = arguments->save_stats,
                                                 .beside = beside,
                                                 .force = arguments->force,
                                                 .window = calibration->window,
                                                 .threads = threads,
                                                 .progress = sinq_meter_report,
                                                 .user = meter};
    struct sinq_tokens *const tokens = &calibration->tokens;
    int status = SINQ_OK;
    if (calibration->own.windows > 0) {
        status = sinq_write_own_text(model, &calibration->own, threads, meter, tokens, error);
    }
    if (status != SINQ_OK) return status;
    return sinq_make_statistics(source, model, tokens->ids, tokens->count, &options, statistics, error);
}

int sinq_calibrate(const struct sinq_quantize_arguments *arguments, const char *model_path,
                   const struct sinq_source *source, struct sinq_calibration *calibration, const char *beside,
                   struct sinq_source **statistics, struct sinq_error *error) {
    struct sinq_model *model = NULL;
    struct sinq_meter meter;
    int status = sinq_load_model(source, &model, error);
    if (status == SINQ_OK) {
        status = sinq_check_vocabulary(sinq_source_path(source), calibration->tokenizer_size,
                                       sinq_model_facts(model).vocabulary, error);
    }
    if (status == SINQ_OK) {
        sinq_meter_start(&meter, &arguments->common, model_path);
        status = collect(arguments, source, model, calibration, beside, &meter, statistics, error);
        sinq_meter_stop(&meter);
    }
    sinq_model_free(model);
    return status;
}
