/*
 * quality MODEL WINDOWS TEXT...: what quantizing costs, by bits and method, as the tables of docs/quality.md on stdout. All settings run
 * side by side over each text, with default and with f32 activations, so that the reference runs but once. Of each text the first WINDOWS windows are read, or all with 0.
 */
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "formats.h"
#include "sinq.h"

static const struct {
    int bits;
    const char *method;
} settings[] = {{2, "rtn"},  {2, "hqq"},      {2, "sinq"},        {2, "sinq-search"}, {3, "rtn"}, {3, "hqq"},
                {3, "nf3"},  {3, "sinq"},     {3, "sinq-nf3"},    {4, "rtn"},         {4, "hqq"}, {4, "nf4"},
                {4, "sinq"}, {4, "sinq-nf4"}, {3, "sinq-search"}, {4, "sinq-search"}};

enum { SETTINGS = sizeof settings / sizeof settings[0], MODES = 2, MOST_TEXTS = 8, WINDOW = 512 };

/* One setting, quantized in memory. */
struct trial {
    struct sinq_recipe *recipe;
    struct sinq_source *source;
    struct sinq_model *model;
    double bits_per_weight;
};

struct text {
    char *name; /* owned: the file's, without folder and suffix */
    struct sinq_text_report reports[MODES][SETTINGS];
};

static struct sinq_error error;
static unsigned long most_windows; /* 0: all */

/* Fails the program with the library's message. */
static void require(int status) {
    if (status == SINQ_OK) return;
    fprintf(stderr, "quality: %s\n", error.message);
    exit(SINQ_FAILED);
}

/* ---- measuring ---- */

static void open_trial(const struct sinq_source *source, int bits, const char *method, struct trial *trial) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    char setting[64];
    snprintf(setting, sizeof setting, "bits:%d,group:64,method:%s", bits, method);
    options.is_trial = true;
    require(sinq_parse_quantize_setting(setting, &options, &error));
    require(sinq_make_recipe(source, &options, &trial->recipe, &error));
    trial->bits_per_weight = sinq_recipe_summary(trial->recipe).linear_bits_per_weight;
    require(sinq_open_trial(source, trial->recipe, &trial->source, &error));
    require(sinq_load_model(trial->source, &trial->model, &error));
}

static void close_trial(struct trial *trial) {
    sinq_model_free(trial->model);
    sinq_source_close(trial->source);
    sinq_recipe_free(trial->recipe);
}

static int show_progress(void *user, const struct sinq_progress *progress) {
    static uint64_t shown = UINT64_MAX;
    if (progress->item == shown) return 0;
    shown = progress->item;
    fprintf(stderr, "%s: window %llu of %llu\n", (const char *)user, (unsigned long long)progress->item,
            (unsigned long long)progress->items);
    return 0;
}

static void measure_text(const char *path, const struct sinq_tokenizer *tokenizer, const struct sinq_model *reference,
                         const struct trial *trials, struct text *text) {
    const struct sinq_text_options options = {
        .window = WINDOW, .max_windows = most_windows, .exact = true, .kv_type = SINQ_KV_F16};
    struct sinq_text_subject subjects[MODES * SETTINGS];
    struct sinq_tokens tokens = {.count = 0};
    char *data, *const copy = strdup(path);
    size_t size;
    text->name = strdup(basename(copy));
    text->name[strcspn(text->name, ".")] = '\0';
    free(copy);
    require(sinq_read_file(path, (uint64_t)1 << 30, &data, &size, &error));
    require(sinq_tokenize(tokenizer, data, size, 0, &tokens, &error));
    for (int i = 0; i < MODES * SETTINGS; i++)
        subjects[i] = (struct sinq_text_subject){.model = trials[i % SETTINGS].model, .exact = i >= SETTINGS};
    require(sinq_evaluate_subjects(subjects, MODES * SETTINGS, reference, tokens.ids, tokens.count, &options,
                                   show_progress, text->name, text->reports[0], &error));
    fprintf(stderr, "%s: %.0f s\n", text->name, text->reports[0][0].seconds);
    sinq_tokens_free(&tokens);
    free(data);
}

/* ---- the document ---- */

static void print_head(const char *model, const struct text *texts, int count) {
    printf("# What quantizing costs\n\nMade by `make quality MODEL=%s", model);
    if (most_windows != 0) printf(" WINDOWS=%lu", most_windows);
    printf("`. The model in bf16, with f32 activations, is the reference; each setting "
           "quantizes\n"
           "the linear layers in groups of 64 columns with 8-bit scales and keeps embeddings and head. Windows of %d "
           "tokens, no\n"
           "BOS, all predictions scored, f16 keys and values.\n\n"
           "*Increase* is that of the perplexity, from the mean difference of log probabilities over all predictions; "
           "*KL* is the\n"
           "mean divergence KL(reference || quantized) in nats. After each stands its standard error: of paired "
           "differences, so\n"
           "far smaller than that of a perplexity by itself. Differences of less than two errors mean nothing.\n\n"
           "| text | tokens | windows | scored | perplexity of the reference |\n|---|---|---|---|---|\n",
           WINDOW);
    for (int i = 0; i < count; i++) {
        const struct sinq_text_report *const r = &texts[i].reports[0][0];
        printf("| %s | %llu | %llu | %llu | %.3f ± %.3f |\n", texts[i].name, (unsigned long long)r->tokens,
               (unsigned long long)r->windows, (unsigned long long)r->scored, r->reference_perplexity,
               r->reference_perplexity_error);
    }
}

static void print_table(const struct trial *trials, const struct text *texts, int count, int mode) {
    printf("\n| bits | method | bits/weight |");
    for (int i = 0; i < count; i++) printf(" %s: increase | KL | same best |", texts[i].name);
    printf("\n|---|---|---|");
    for (int i = 0; i < count; i++) printf("---|---|---|");
    for (int s = 0; s < SETTINGS; s++) {
        printf("\n| %d | %s | %.3f |", settings[s].bits, settings[s].method, trials[s].bits_per_weight);
        for (int i = 0; i < count; i++) {
            const struct sinq_text_report *const r = &texts[i].reports[mode][s];
            printf(" %.2f ± %.2f %% | %.5f ± %.5f | %.1f %% |", 100 * (r->ratio - 1), 100 * r->ratio_error, r->kl,
                   r->kl_error, 100 * r->same_top);
        }
    }
    putchar('\n');
}

static void print_document(const char *model, const struct trial *trials, const struct text *texts, int count) {
    print_head(model, texts, count);
    printf("\n## As `sinq run` computes\n\nActivations before quantized matrices have 8 bits (the default).\n");
    print_table(trials, texts, count, 0);
    printf("\n## With f32 activations\n\n`--exact`: what the weights alone cost.\n");
    print_table(trials, texts, count, 1);
}

int main(int argc, char **argv) {
    static struct trial trials[SETTINGS];
    static struct text texts[MOST_TEXTS];
    struct sinq_source *source = NULL;
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_model *reference = NULL;
    const int text_count = argc - 3;
    if (text_count < 1 || text_count > MOST_TEXTS) {
        fprintf(stderr, "usage: quality MODEL WINDOWS TEXT...\n");
        return SINQ_USAGE;
    }
    most_windows = strtoul(argv[2], NULL, 10);
    require(sinq_open_checkpoint(argv[1], &source, &error));
    require(sinq_open_tokenizer(source, &tokenizer, &error));
    require(sinq_load_model(source, &reference, &error));
    for (int i = 0; i < SETTINGS; i++) open_trial(source, settings[i].bits, settings[i].method, &trials[i]);
    for (int i = 0; i < text_count; i++) measure_text(argv[i + 3], tokenizer, reference, trials, &texts[i]);
    print_document(basename(argv[1]), trials, texts, text_count);
    for (int i = 0; i < text_count; i++) free(texts[i].name);
    for (int i = 0; i < SETTINGS; i++) close_trial(&trials[i]);
    sinq_model_free(reference);
    sinq_tokenizer_free(tokenizer);
    sinq_source_close(source);
    return fflush(stdout) == 0 && !ferror(stdout) ? SINQ_OK : SINQ_FAILED;
}
