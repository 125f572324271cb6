#include "eval/text_windows.h"

#include "base/checked.h"
#include "base/error.h"

#define DEFAULT_WINDOW 2048u

typedef unsigned long long number;

/* Windows of a length that was not asked for fit what is there. */
static uint64_t choose_length(const struct sinq_text_options *options, uint64_t tokens, uint64_t context) {
    if (options->window != 0) return options->window;
    return sinq_min_u64(DEFAULT_WINDOW, sinq_min_u64(context, tokens));
}

static int check_lengths(const struct sinq_text_windows *w, uint64_t tokens, uint64_t context,
                         struct sinq_error *error) {
    if (tokens < 2)
        return sinq_fail(error, SINQ_FAILED, "the text has %s, expected two or more: there is nothing to predict",
                         tokens == 0 ? "no tokens" : "one token");
    if (w->length < 2)
        return sinq_fail(error, SINQ_USAGE, "a window of %llu tokens, expected 2 or more", (number)w->length);
    if (w->length > context)
        return sinq_fail(error, SINQ_USAGE, "a window of %llu tokens, expected at most the model's context, %llu",
                         (number)w->length, (number)context);
    if (w->stride > w->length)
        return sinq_fail(error, SINQ_USAGE, "a stride of %llu tokens, expected at most the window, %llu",
                         (number)w->stride, (number)w->length);
    if (w->length > tokens)
        return sinq_fail(error, SINQ_FAILED, "the text has %llu tokens, expected at least a window of %llu",
                         (number)tokens, (number)w->length);
    return SINQ_OK;
}

int sinq_lay_windows(const struct sinq_text_options *options, uint64_t tokens, uint64_t context,
                     struct sinq_text_windows *windows, struct sinq_error *error) {
    struct sinq_text_windows w = {.length = choose_length(options, tokens, context)};
    w.stride = options->stride != 0 ? options->stride : w.length;
    const int status = check_lengths(&w, tokens, context, error);
    if (status != SINQ_OK) return status;
    const uint64_t predictions = w.length - 1;
    w.count = (tokens - w.length) / w.stride + 1;
    if (options->max_windows != 0) w.count = sinq_min_u64(w.count, options->max_windows);
    w.first_from = options->second_half ? w.length / 2 : 0;
    w.others_from = w.stride < predictions ? sinq_max_u64(w.first_from, predictions - w.stride) : w.first_from;
    if (w.first_from >= predictions)
        return sinq_fail(error, SINQ_USAGE, "a window of %llu tokens has no second half to score", (number)w.length);
    w.scored = predictions - w.first_from + (w.count - 1) * (predictions - w.others_from);
    *windows = w;
    return SINQ_OK;
}

struct sinq_text_window sinq_find_window(const struct sinq_text_windows *windows, uint64_t index) {
    return (struct sinq_text_window){.start = index * windows->stride,
                                     .from = index == 0 ? windows->first_from : windows->others_from,
                                     .to = windows->length - 1};
}
