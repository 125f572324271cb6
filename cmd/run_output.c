#include "run_output.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "model_text.h"
#include "terminal.h"

bool sinq_take_text(void *user, const struct sinq_step *step) {
    struct sinq_run_output *const output = user;
    if (step->size > 0) output->last = step->text[step->size - 1];
    return sinq_write_model_text(stdout, output->is_terminal, step->text, step->size);
}

static bool take_id(void *user, const struct sinq_step *step) {
    struct sinq_run_output *const output = user;
    if (step->id < 0) return true;
    printf("%s%ld", output->taken++ > 0 ? " " : "", (long)step->id);
    output->last = '0';
    return fflush(stdout) == 0;
}

/* ---- log probabilities ------------------------------------------------------------------------------------- */

static void print_quoted(void *user, const char *text, size_t size) {
    (void)user;
    sinq_quote_model_text(stdout, text, size);
}

static void print_token(const struct sinq_generator *generator, int32_t id) {
    if (generator->tokenizer == NULL) {
        printf("%ld", (long)id);
    } else {
        sinq_write_token_text(generator->tokenizer, id, print_quoted, NULL);
    }
}

/* "-0.1234  " the"  |  " the" -0.1234  " a" -2.4011": the token chosen, and the best ones. */
static bool take_logprobs(void *user, const struct sinq_step *step) {
    struct sinq_run_output *const output = user;
    if (step->id < 0) return true;
    printf("%9.4f  ", step->logprob);
    print_token(output->generator, step->id);
    fputs("  |", stdout);
    for (size_t i = 0; i < step->best_count; i++) {
        fputs("  ", stdout);
        print_token(output->generator, step->best[i].id);
        printf(" %.4f", step->best[i].logprob);
    }
    putchar('\n');
    output->last = '\n';
    return fflush(stdout) == 0;
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */

static void collect_logprobs(struct sinq_run_output *output, const struct sinq_step *step) {
    const size_t count = output->ids.count; /* without this one */
    output->best_count = step->best_count;
    sinq_reserve(&output->logprobs, &output->logprob_capacity, count + 1, sizeof *output->logprobs);
    sinq_reserve(&output->best, &output->best_capacity, (count + 1) * step->best_count, sizeof *output->best);
    output->logprobs[count] = step->logprob;
    memcpy(output->best + count * step->best_count, step->best, step->best_count * sizeof *step->best);
}

static bool collect(void *user, const struct sinq_step *step) {
    struct sinq_run_output *const output = user;
    sinq_reserve(&output->text, &output->capacity, output->size + step->size + 1, 1);
    if (step->size > 0) memcpy(output->text + output->size, step->text, step->size);
    output->size += step->size;
    if (step->id < 0) return true;
    if (step->best_count > 0) collect_logprobs(output, step);
    sinq_reserve(&output->ids.ids, &output->ids.capacity, output->ids.count + 1, sizeof *output->ids.ids);
    output->ids.ids[output->ids.count++] = step->id;
    return true;
}

sinq_step_fn *sinq_choose_output(const struct sinq_run_arguments *arguments) {
    if (arguments->common.json) return collect;
    if (arguments->logprobs > 0) return take_logprobs;
    return arguments->token_ids ? take_id : sinq_take_text;
}

/* A line that is open: on a terminal, or where speed and memory would be told in the middle of it. */
static bool is_line_due(const struct sinq_run_output *output) {
    const struct sinq_run_arguments *const arguments = output->generator->arguments;
    if (output->last == '\0' || output->last == '\n') return false;
    return output->is_terminal || arguments->token_ids || (!arguments->common.quiet && sinq_streams_mix());
}

void sinq_finish_run_output(struct sinq_run_output *output) {
    if (is_line_due(output)) putchar('\n');
    fflush(stdout);
}

void sinq_free_run_output(struct sinq_run_output *output) {
    free(output->text);
    free(output->ids.ids);
    free(output->logprobs);
    free(output->best);
    memset(output, 0, sizeof *output);
}
