/*
 * quality REFERENCE TEXT WINDOWS MODEL RESULT [MODEL RESULT]...: how far each MODEL's predictions of a text are from those of REFERENCE,
 * with f32 activations, in windows of 512 tokens: the first WINDOWS, or all with 0. All models run side by side, so that the reference
 * runs but once. Each RESULT becomes a table of sums for quality_tables.awk: of each window and each half of it (predictions made before
 * its token 256, and from it on, as llama.cpp scores), a line
 *
 *   WINDOW HALF SCORED KL KL² CHANGE CHANGE² SAME-TOP REFERENCE-NLL
 *
 * CHANGE being the log of the reference's probability for the token that came over the model's. The sums of two models over the same
 * windows are paired: nothing else about a text is needed to compare them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "formats.h"
#include "sinq.h"

enum { WINDOW = 512, MOST_MODELS = 32, HALVES = 2 };

struct sums {
    unsigned scored, same_top;
    double kl, kl_square, change, change_square, reference_nll;
};

struct subject {
    const char *path, *result;
    struct sinq_source *source;
    struct sinq_model *model;
    struct sums *sums; /* [window][half] */
};

static struct subject subjects[MOST_MODELS];
static size_t subject_count;
static struct sinq_error error;

/* Fails the program with the library's message. */
static void require(int status) {
    if (status == SINQ_OK) return;
    fprintf(stderr, "quality: %s\n", error.message);
    exit(SINQ_FAILED);
}

static void require_memory(const void *memory) {
    if (memory != NULL) return;
    fprintf(stderr, "quality: out of memory\n");
    exit(SINQ_FAILED);
}

static int show_progress(void *user, const struct sinq_progress *progress) {
    static uint64_t shown = UINT64_MAX;
    if (progress->item == shown || !isatty(STDERR_FILENO)) return 0;
    shown = progress->item;
    fprintf(stderr, "\r%s: window %llu of %llu, %zu models ", (const char *)user, (unsigned long long)progress->item,
            (unsigned long long)progress->items, subject_count);
    return 0;
}

static void add_score(void *user, const struct sinq_text_score *score) {
    const struct subject *const all = user;
    struct sums *const sums =
        &all[score->subject].sums[HALVES * score->window + (score->position >= WINDOW / 2 ? 1 : 0)];
    const double change = score->nll - score->reference_nll;
    sums->scored++;
    sums->same_top += score->same_top;
    sums->kl += score->kl;
    sums->kl_square += score->kl * score->kl;
    sums->change += change;
    sums->change_square += change * change;
    sums->reference_nll += score->reference_nll;
}

static void measure(const char *path, uint64_t most_windows, const struct sinq_source *source,
                    const struct sinq_model *reference) {
    struct sinq_text_subject models[MOST_MODELS];
    struct sinq_text_report reports[MOST_MODELS];
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_tokens tokens = {.count = 0};
    char *data, name[200];
    size_t size;
    (void)snprintf(name, sizeof name, "%.199s", strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1);
    require(sinq_open_tokenizer(source, &tokenizer, &error));
    require(sinq_read_file(path, (uint64_t)1 << 30, &data, &size, &error));
    require(sinq_tokenize(tokenizer, data, size, 0, &tokens, &error));
    for (size_t i = 0; i < subject_count; i++) {
        models[i] = (struct sinq_text_subject){.model = subjects[i].model, .exact = true};
        subjects[i].sums = calloc(tokens.count / WINDOW + 1, HALVES * sizeof *subjects[i].sums);
        require_memory(subjects[i].sums);
    }
    const struct sinq_text_options options = {.window = WINDOW,
                                              .max_windows = most_windows,
                                              .exact = true,
                                              .kv_type = SINQ_KV_F16,
                                              .score = add_score,
                                              .score_user = subjects};
    require(sinq_evaluate_subjects(models, subject_count, reference, tokens.ids, tokens.count, &options, show_progress,
                                   name, reports, &error));
    fprintf(stderr, "%s%s: %llu windows, %zu models, %.0f s\n", isatty(STDERR_FILENO) ? "\r" : "", name,
            (unsigned long long)reports[0].windows, subject_count, reports[0].seconds);
    sinq_tokens_free(&tokens);
    sinq_tokenizer_free(tokenizer);
    free(data);
}

/* Whole or not there. */
static void write_result(const struct subject *subject) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%.4000s.new", subject->result);
    FILE *const file = fopen(path, "w");
    for (size_t i = 0; file != NULL && subject->sums[i].scored > 0; i++) {
        const struct sums *const s = &subject->sums[i];
        fprintf(file, "%zu %zu %u %.17g %.17g %.17g %.17g %u %.17g\n", i / HALVES, i % HALVES, s->scored, s->kl,
                s->kl_square, s->change, s->change_square, s->same_top, s->reference_nll);
    }
    const bool is_written = file != NULL && !ferror(file);
    if (file == NULL || fclose(file) != 0 || !is_written || rename(path, subject->result) != 0) {
        fprintf(stderr, "quality: %s: cannot be written\n", subject->result);
        exit(SINQ_FAILED);
    }
}

int main(int argc, char **argv) {
    struct sinq_source *source = NULL;
    struct sinq_model *reference = NULL;
    subject_count = (size_t)(argc > 4 ? argc - 4 : 0) / 2;
    if (argc < 6 || argc % 2 != 0 || subject_count > MOST_MODELS) {
        fprintf(stderr, "usage: quality REFERENCE TEXT WINDOWS MODEL RESULT [MODEL RESULT]...\n");
        return SINQ_USAGE;
    }
    require(sinq_open_checkpoint(argv[1], &source, &error));
    require(sinq_load_model(source, &reference, &error));
    for (size_t i = 0; i < subject_count; i++) {
        subjects[i] = (struct subject){.path = argv[4 + 2 * i], .result = argv[5 + 2 * i]};
        require(sinq_open_checkpoint(subjects[i].path, &subjects[i].source, &error));
        require(sinq_load_model(subjects[i].source, &subjects[i].model, &error));
    }
    measure(argv[2], strtoul(argv[3], NULL, 10), source, reference);
    for (size_t i = 0; i < subject_count; i++) {
        write_result(&subjects[i]);
        free(subjects[i].sums);
        sinq_model_free(subjects[i].model);
        sinq_source_close(subjects[i].source);
    }
    sinq_model_free(reference);
    sinq_source_close(source);
    return SINQ_OK;
}
