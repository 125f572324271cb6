#include "run_report.h"

#include <stdio.h>
#include <string.h>

#include "device_report.h"
#include "json.h"
#include "machine_memory.h"
#include "model_text.h"
#include "quantity.h"

static double divide(double amount, double seconds) { return seconds > 0.0 ? amount / seconds : 0.0; }

static double measure_prompt_speed(const struct sinq_answer *answer) {
    return divide((double)answer->fed_tokens, answer->prompt_seconds);
}

static double measure_speed(const struct sinq_answer *answer) {
    return divide((double)answer->passes, answer->seconds);
}

/* Bytes of weights that are read each second. */
static double measure_traffic(const struct sinq_generator *generator, const struct sinq_answer *answer) {
    return (double)generator->facts.active_bytes * measure_speed(answer);
}

void sinq_report_run(const struct sinq_generator *generator, const struct sinq_answer *answer, const char *outcome) {
    char traffic[SINQ_QUANTITY_SIZE], memory[SINQ_QUANTITY_SIZE];
    const uint64_t fed = answer->fed_tokens;
    fprintf(stderr, "prompt %llu token%s, %.4g/s; ", (unsigned long long)fed, fed == 1 ? "" : "s",
            measure_prompt_speed(answer));
    fprintf(stderr, "generated %llu", (unsigned long long)answer->generated);
    if (answer->passes > 0)
        fprintf(stderr, ", %.4g/s, %s/s of weights", measure_speed(answer),
                sinq_format_bytes(traffic, (uint64_t)measure_traffic(generator, answer)));
    fprintf(stderr, "; memory %s", sinq_format_bytes(memory, sinq_peak_memory()));
    sinq_print_device_peak(generator->model);
    fprintf(stderr, "; %s\n", outcome);
}

/* ---- JSON -------------------------------------------------------------------------------------------------- */

static void write_ids(struct sinq_json_writer *json, const char *key, const int32_t *ids, size_t count) {
    sinq_write_open_inline(json, key, '[');
    for (size_t i = 0; i < count; i++) sinq_write_count(json, NULL, (uint64_t)ids[i]);
    sinq_write_close(json, ']');
}

static void write_token_field(void *user, const char *text, size_t size) {
    struct sinq_json_writer *const json = user;
    sinq_write_sized_text(json, "text", text, size);
}

static void write_token(struct sinq_json_writer *json, const struct sinq_generator *generator, int32_t id,
                        double logprob) {
    sinq_write_count(json, "id", (uint64_t)id);
    if (generator->tokenizer != NULL) sinq_write_token_text(generator->tokenizer, id, write_token_field, json);
    sinq_write_real(json, "logprob", logprob);
}

static void write_logprobs(struct sinq_json_writer *json, const struct sinq_run_output *output) {
    sinq_write_open(json, "logprobs", '[');
    for (size_t i = 0; i < output->ids.count; i++) {
        sinq_write_open_inline(json, NULL, '{');
        write_token(json, output->generator, output->ids.ids[i], output->logprobs[i]);
        sinq_write_open(json, "best", '[');
        for (size_t k = 0; k < output->best_count; k++) {
            const struct sinq_candidate *const best = &output->best[i * output->best_count + k];
            sinq_write_open(json, NULL, '{');
            write_token(json, output->generator, best->id, best->logprob);
            sinq_write_close(json, '}');
        }
        sinq_write_close(json, ']');
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
}

static void write_speed(struct sinq_json_writer *json, const struct sinq_generator *generator,
                        const struct sinq_answer *answer) {
    sinq_write_open(json, "speed", '{');
    sinq_write_real(json, "prompt_seconds", answer->prompt_seconds);
    sinq_write_real(json, "prompt_tokens_per_second", measure_prompt_speed(answer));
    sinq_write_count(json, "passes", answer->passes);
    sinq_write_real(json, "seconds", answer->seconds);
    if (answer->passes > 0) {
        sinq_write_real(json, "tokens_per_second", measure_speed(answer));
        sinq_write_real(json, "weight_bytes_per_second", measure_traffic(generator, answer));
    } else {
        sinq_write_null(json, "tokens_per_second");
        sinq_write_null(json, "weight_bytes_per_second");
    }
    sinq_write_close(json, '}');
}

static void write_memory(struct sinq_json_writer *json, const struct sinq_generator *generator) {
    const struct sinq_plan *const plan = &generator->plan.plan;
    sinq_write_open(json, "memory", '{');
    sinq_write_count(json, "context", sinq_session_context(generator->session));
    sinq_write_text(json, "kv_type", generator->plan.kv_type);
    sinq_write_count(json, "weight_bytes", plan->weight_bytes);
    sinq_write_count(json, "owned_weight_bytes", generator->facts.owned_bytes);
    sinq_write_count(json, "kv_bytes", plan->kv_bytes);
    sinq_write_count(json, "scratch_bytes", plan->scratch_bytes);
    sinq_write_count(json, "peak_bytes", sinq_peak_memory());
    sinq_write_close(json, '}');
}

void sinq_report_run_json(const struct sinq_run_output *output, const int32_t *prompt,
                          const struct sinq_answer *answer) {
    const struct sinq_generator *const generator = output->generator;
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.run/1");
    sinq_write_text(&json, "model", sinq_source_path(generator->source));
    sinq_write_text(&json, "family", generator->facts.family);
    sinq_write_text(&json, "template", generator->chat != NULL ? sinq_chat_template_name(generator->chat) : NULL);
    sinq_write_count(&json, "seed", generator->sampling.seed);
    sinq_write_count(&json, "prompt_tokens", answer->prompt_tokens);
    write_ids(&json, "prompt_ids", prompt, (size_t)answer->prompt_tokens);
    sinq_write_count(&json, "generated_tokens", answer->generated);
    write_ids(&json, "ids", output->ids.ids, output->ids.count);
    if (generator->tokenizer != NULL) {
        sinq_write_sized_text(&json, "text", output->text, output->size);
    } else {
        sinq_write_null(&json, "text");
    }
    sinq_write_text(&json, "stop", sinq_stop_reason_name(answer->reason));
    if (answer->end_id >= 0) {
        sinq_write_count(&json, "end_id", (uint64_t)answer->end_id);
    } else {
        sinq_write_null(&json, "end_id");
    }
    if (generator->arguments->logprobs > 0) write_logprobs(&json, output);
    write_speed(&json, generator, answer);
    write_memory(&json, generator);
    sinq_write_device(&json, generator->model);
    sinq_write_close(&json, '}');
}
