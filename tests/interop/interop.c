/*
 * interop.c: a GGUF file in llama.cpp and in sinq, side by side.
 *
 *   interop LIBRARIES text GGUF MODEL TEXT    the same token ids, perplexities within 0.5 %, the same greedy continuation; MODEL is
 *                                             what sinq runs: the same file, or what it was made of
 *   interop LIBRARIES golden GGUF GOLDEN      llama.cpp's logits against those of golden.safetensors
 *   interop LIBRARIES tokens GGUF GOLDEN N    llama.cpp's ids against those of Hugging Face's tokenizer, of which N texts may differ
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "formats.h"
#include "llama.h"
#include "sinq.h"

#define WINDOW     512u
#define WINDOWS    4u
#define PROMPT     64u
#define ANSWER     64u
#define CLOSE      0.02  /* logits so near may change places */
#define PERPLEXITY 0.005 /* relative difference */
#define GOLDEN     0.05  /* of the logits' standard deviation: llama.cpp keeps keys and values in f16 */

/* ---- both sides ---- */

struct side {
    struct llama llama;
    void *model, *context;
    struct llama_batch_any batch;
    struct sinq_source *source;
    struct sinq_model *own;
    struct sinq_session *session;
    uint32_t vocabulary;
    int failures;
};

static void stop(const char *what, const char *message) {
    fprintf(stderr, "interop: %s: %s\n", what, message);
    exit(1);
}

static void check(struct side *s, bool is_good, const char *what) {
    printf("  %-4s %s\n", is_good ? "ok" : "FAIL", what);
    s->failures += !is_good;
}

static void open_llama(struct side *s, const char *folder, const char *gguf) {
    s->llama = llama_open(folder);
    s->model = s->llama.llama_model_load_from_file(gguf, s->llama.llama_model_default_params());
    if (s->model == NULL) stop(gguf, "llama.cpp cannot load it");
    struct llama_any params = s->llama.llama_context_default_params();
    params.words[0] = WINDOW; /* n_ctx */
    s->context = s->llama.llama_init_from_model(s->model, params);
    if (s->context == NULL) stop(gguf, "llama.cpp cannot make a context");
    /* Its threads wait for each other in loops, which takes for ever where others want the processors too. */
    s->llama.llama_set_n_threads(s->context, 1, 1);
    s->batch = s->llama.llama_batch_init((int32_t)WINDOW, 0, 1);
    s->vocabulary = (uint32_t)s->llama.llama_vocab_n_tokens(s->llama.llama_model_get_vocab(s->model));
}

static void open_own(struct side *s, const char *path) {
    struct sinq_error error = {0};
    /* Activations in f32: what the file says, without a rounding of ours beside llama.cpp's own. */
    const struct sinq_session_options options = {.context = WINDOW, .batch = WINDOW, .exact = true};
    if (sinq_open_checkpoint(path, &s->source, &error) != SINQ_OK) stop(path, error.message);
    if (sinq_load_model(s->source, &s->own, &error) != SINQ_OK) stop(path, error.message);
    if (sinq_open_session(s->own, &options, &s->session, &error) != SINQ_OK) stop(path, error.message);
    if (sinq_model_facts(s->own).vocabulary != s->vocabulary) stop(path, "not llama.cpp's vocabulary");
}

static void close_both(struct side *s) {
    sinq_session_close(s->session);
    sinq_model_free(s->own);
    sinq_source_close(s->source);
    s->llama.llama_batch_free(s->batch);
    s->llama.llama_free(s->context);
    s->llama.llama_model_free(s->model);
}

/* Feeds ids from position 0 on; logits[count][vocabulary] of all of them. */
static void run_llama(struct side *s, const int32_t *ids, uint32_t count, float *logits) {
    s->llama.llama_memory_clear(s->llama.llama_get_memory(s->context), true);
    for (uint32_t i = 0; i < count; i++) {
        s->batch.token[i] = ids[i];
        s->batch.pos[i] = (int32_t)i;
        s->batch.n_seq_id[i] = 1;
        s->batch.seq_id[i][0] = 0;
        s->batch.logits[i] = 1;
    }
    s->batch.n_tokens = (int32_t)count;
    if (s->llama.llama_decode(s->context, s->batch) != 0) stop("llama_decode", "failed");
    for (uint32_t i = 0; i < count; i++) {
        memcpy(logits + (size_t)i * s->vocabulary, s->llama.llama_get_logits_ith(s->context, (int32_t)i),
               s->vocabulary * sizeof *logits);
    }
}

static void run_own(struct side *s, const int32_t *ids, uint32_t count, float *logits) {
    struct sinq_error error = {0};
    sinq_session_reset(s->session);
    if (sinq_session_feed(s->session, ids, count, &error) != SINQ_OK) stop("feed", error.message);
    if (sinq_session_logits(s->session, 0, count, logits, &error) != SINQ_OK) stop("logits", error.message);
}

/* ---- text ---- */

static double score(const float *logits, uint32_t vocabulary, int32_t next) {
    double sum = 0;
    float best = logits[0];
    for (uint32_t i = 1; i < vocabulary; i++) best = fmaxf(best, logits[i]);
    for (uint32_t i = 0; i < vocabulary; i++) sum += exp((double)(logits[i] - best));
    return log(sum) + (double)best - (double)logits[next];
}

/* Windows of 512 tokens, of which the second half is predicted. */
static void compare_perplexity(struct side *s, const int32_t *ids, size_t count, float *logits[2]) {
    double sums[2] = {0, 0};
    size_t scored = 0;
    for (size_t w = 0; w < WINDOWS && (w + 1) * WINDOW <= count; w++) {
        const int32_t *const window = ids + w * WINDOW;
        run_llama(s, window, WINDOW, logits[0]);
        run_own(s, window, WINDOW, logits[1]);
        for (uint32_t i = WINDOW / 2; i + 1 < WINDOW; i++, scored++) {
            for (int k = 0; k < 2; k++) {
                sums[k] += score(logits[k] + (size_t)i * s->vocabulary, s->vocabulary, window[i + 1]);
            }
        }
    }
    const double theirs = exp(sums[0] / (double)scored), ours = exp(sums[1] / (double)scored);
    char text[200];
    (void)snprintf(text, sizeof text, "perplexity %.4f, llama.cpp's %.4f (%+.3f %%, %zu tokens)", ours, theirs,
                   100 * (ours / theirs - 1), scored);
    check(s, scored > 0 && fabs(ours / theirs - 1) < PERPLEXITY, text);
}

/* The best two. */
static void find_best(const float *logits, uint32_t vocabulary, uint32_t best[2]) {
    best[0] = best[1] = UINT32_MAX;
    for (uint32_t i = 0; i < vocabulary; i++) {
        if (best[0] == UINT32_MAX || logits[i] > logits[best[0]]) {
            best[1] = best[0];
            best[0] = i;
        } else if (best[1] == UINT32_MAX || logits[i] > logits[best[1]]) {
            best[1] = i;
        }
    }
}

static void compare_continuation(struct side *s, const int32_t *ids, float *logits[2]) {
    int32_t sequence[PROMPT + ANSWER];
    uint32_t best[2], others[2], length = 0;
    float gap = 0;
    memcpy(sequence, ids, PROMPT * sizeof *sequence);
    bool is_same = true;
    for (; length < ANSWER && is_same; length++) {
        const size_t last = (size_t)(PROMPT + length - 1) * s->vocabulary;
        run_llama(s, sequence, PROMPT + length, logits[0]);
        run_own(s, sequence, PROMPT + length, logits[1]);
        find_best(logits[0] + last, s->vocabulary, best);
        find_best(logits[1] + last, s->vocabulary, others);
        gap = fminf(logits[0][last + best[0]] - logits[0][last + best[1]],
                    logits[1][last + others[0]] - logits[1][last + others[1]]);
        if ((double)gap < CLOSE) break;
        is_same = best[0] == others[0];
        sequence[PROMPT + length] = (int32_t)best[0];
    }
    char text[200];
    (void)snprintf(text, sizeof text, "greedy continuation: %u of %u tokens the same%s", length - !is_same, ANSWER,
                   is_same && length < ANSWER ? ", then the best two are too close" : "");
    if (!is_same) printf("       at token %u the best two are %.3f apart\n", length, (double)gap);
    check(s, is_same, text);
}

/* llama.cpp's ids of a text; malloc'ed. `special`: special tokens written out in it are recognised. */
static int32_t *tokenize_there(const struct side *s, const char *text, size_t size, bool special, size_t *count) {
    int32_t *const ids = malloc((size + 16) * sizeof *ids);
    if (ids == NULL) stop("tokenizing", "out of memory");
    const int32_t made = s->llama.llama_tokenize(s->llama.llama_model_get_vocab(s->model), text, (int32_t)size, ids,
                                                 (int32_t)size + 16, special, special);
    *count = made < 0 ? 0 : (size_t)made;
    return ids;
}

/* Both sides' ids of a text, compared. */
static int32_t *compare_ids(struct side *s, const struct sinq_tokenizer *tokenizer, const char *what, const char *text,
                            size_t size, bool special, size_t *count) {
    struct sinq_tokens own = {0};
    struct sinq_error error = {0};
    const unsigned flags = special ? SINQ_TOKENIZE_SPECIAL : SINQ_TOKENIZE_LITERAL;
    if (sinq_tokenize(tokenizer, text, size, flags, &own, &error) != SINQ_OK) stop("tokenizing", error.message);
    int32_t *const ids = tokenize_there(s, text, size, special, count);
    size_t same = 0;
    while (same < own.count && same < *count && own.ids[same] == ids[same]) same++;
    char line[200];
    (void)snprintf(line, sizeof line, "%s: %zu ids of llama.cpp, %zu of sinq, the first %zu the same", what, *count,
                   own.count, same);
    check(s, *count > 0 && same == own.count && same == *count, line);
    sinq_tokens_free(&own);
    return ids;
}

static int32_t *tokenize_both(struct side *s, const char *path, const char *gguf, size_t *count) {
    static const char turns[] = "<|im_start|>user\nWhat's  12345 + 7?\r\n<|im_end|>\n<|endoftext|>\n\n<s>x</s>";
    char *text = NULL;
    size_t size = 0, ignored;
    struct sinq_error error = {0};
    struct sinq_tokenizer *tokenizer = NULL;
    if (sinq_read_file(path, 1 << 20, &text, &size, &error) != SINQ_OK) stop(path, error.message);
    if (sinq_open_tokenizer(s->source, &tokenizer, &error) != SINQ_OK) stop(gguf, error.message);
    free(compare_ids(s, tokenizer, "a chat", turns, sizeof turns - 1, true, &ignored));
    int32_t *const ids = compare_ids(s, tokenizer, "the text", text, size, false, count);
    sinq_tokenizer_free(tokenizer);
    free(text);
    return ids;
}

static void compare_text(struct side *s, const char *gguf, const char *text) {
    size_t count;
    int32_t *const ids = tokenize_both(s, text, gguf, &count);
    float *logits[2];
    for (int i = 0; i < 2; i++) {
        logits[i] = malloc((size_t)WINDOW * s->vocabulary * sizeof *logits[i]);
        if (logits[i] == NULL) stop(gguf, "out of memory");
    }
    if (count >= WINDOW) {
        compare_perplexity(s, ids, count, logits);
        compare_continuation(s, ids, logits);
    } else {
        check(s, false, "the text is too short");
    }
    free(logits[0]);
    free(logits[1]);
    free(ids);
}

/* ---- golden logits ---- */

static float *read_tensor(const struct sinq_source *golden, const char *name, struct sinq_matrix_shape *shape) {
    struct sinq_error error = {0};
    const int64_t index = sinq_source_find(golden, name);
    if (index < 0) stop(name, "the golden file has no such tensor");
    *shape = sinq_tensor_matrix_shape(sinq_source_tensor(golden, (size_t)index));
    float *const values = malloc((size_t)(shape->count * shape->rows * shape->cols) * sizeof *values);
    if (values == NULL) stop(name, "out of memory");
    if (sinq_read_rows(golden, (size_t)index, 0, shape->count * shape->rows, values, &error) != SINQ_OK) {
        stop(name, error.message);
    }
    return values;
}

static void compare_golden(struct side *s, const char *path) {
    struct sinq_source *golden = NULL;
    struct sinq_error error = {0};
    struct sinq_matrix_shape shape;
    if (sinq_open_checkpoint(path, &golden, &error) != SINQ_OK) stop(path, error.message);
    float *const input = read_tensor(golden, "input_ids", &shape);
    /* Beyond the context that the file says llama.cpp may be wrong: a window that it does not know. */
    const uint32_t trained = (uint32_t)s->llama.llama_model_n_ctx_train(s->model), all = (uint32_t)shape.cols;
    const uint32_t count = trained < all ? trained : all;
    float *const expected = read_tensor(golden, "logits", &shape);
    float *const logits = malloc((size_t)count * s->vocabulary * sizeof *logits);
    int32_t *const ids = calloc(count, sizeof *ids);
    if (logits == NULL || ids == NULL || count > WINDOW || shape.cols != s->vocabulary) stop(path, "of another shape");
    for (uint32_t i = 0; i < count; i++) ids[i] = (int32_t)input[i];
    run_llama(s, ids, count, logits);
    double worst = 0, sum = 0, squares = 0;
    const size_t values = (size_t)count * s->vocabulary;
    for (size_t i = 0; i < values; i++) {
        worst = fmax(worst, fabs((double)logits[i] - (double)expected[i]));
        sum += (double)expected[i];
        squares += (double)expected[i] * (double)expected[i];
    }
    const double deviation = sqrt(squares / (double)values - sum / (double)values * (sum / (double)values));
    char text[200];
    (void)snprintf(text, sizeof text, "logits of %u positions: at most %.2e standard deviations away", count,
                   worst / deviation);
    check(s, worst / deviation < GOLDEN, text);
    free(input);
    free(expected);
    free(logits);
    free(ids);
    sinq_source_close(golden);
}

/* ---- golden ids ---- */

/* Whether llama.cpp gives the ids of one {"text": ..., "ids": [...]}. */
static bool has_golden_ids(const struct side *s, const cJSON *golden) {
    const char *const text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(golden, "text"));
    const cJSON *const expected = cJSON_GetObjectItemCaseSensitive(golden, "ids");
    size_t count, at = 0;
    if (text == NULL) stop("golden ids", "without a text");
    int32_t *const ids = malloc((strlen(text) + 16) * sizeof *ids);
    if (ids == NULL) stop("tokenizing", "out of memory");
    const int32_t made = s->llama.llama_tokenize(s->llama.llama_model_get_vocab(s->model), text, (int32_t)strlen(text),
                                                 ids, (int32_t)strlen(text) + 16, false, true);
    count = made < 0 ? 0 : (size_t)made;
    bool is_same = count == (size_t)cJSON_GetArraySize(expected);
    const cJSON *id;
    cJSON_ArrayForEach(id, expected) is_same = is_same && id->valuedouble == (double)ids[at++];
    free(ids);
    if (!is_same && getenv("SINQ_SHOW") != NULL) printf("       %s\n", text);
    return is_same;
}

static void compare_golden_ids(struct side *s, const char *path, int most) {
    char *text = NULL;
    size_t size = 0;
    struct sinq_error error = {0};
    if (sinq_read_file(path, 1 << 24, &text, &size, &error) != SINQ_OK) stop(path, error.message);
    cJSON *const all = cJSON_ParseWithLength(text, size);
    int others = 0;
    const cJSON *golden;
    cJSON_ArrayForEach(golden, all) others += !has_golden_ids(s, golden);
    char line[200];
    (void)snprintf(line, sizeof line, "ids of %d texts: %d are not those of Hugging Face's tokenizer, %d may be",
                   cJSON_GetArraySize(all), others, most);
    check(s, cJSON_GetArraySize(all) > 0 && others <= most, line);
    cJSON_Delete(all);
    free(text);
}

int main(int argc, char **argv) {
    struct side side = {.failures = 0};
    const bool is_text = argc == 6 && strcmp(argv[2], "text") == 0;
    const bool is_ids = argc == 6 && strcmp(argv[2], "tokens") == 0;
    if (!is_text && !is_ids && !(argc == 5 && strcmp(argv[2], "golden") == 0)) {
        fputs("usage: interop LIBRARIES text GGUF MODEL TEXT | golden GGUF GOLDEN | tokens GGUF GOLDEN N\n", stderr);
        return 2;
    }
    printf("%s\n", argv[3]);
    open_llama(&side, argv[1], argv[3]);
    if (is_text) {
        open_own(&side, argv[4]);
        compare_text(&side, argv[3], argv[5]);
    } else if (is_ids) {
        compare_golden_ids(&side, argv[4], atoi(argv[5]));
    } else {
        compare_golden(&side, argv[4]);
    }
    close_both(&side);
    return side.failures == 0 ? 0 : 1;
}
