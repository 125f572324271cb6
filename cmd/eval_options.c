/* eval_options.c: the options of `sinq eval`. */
#include <stdarg.h>
#include <stdio.h>

#include "eval.h"

#define PLACE(member) .offset = offsetof(struct sinq_eval_arguments, member)

const struct sinq_option sinq_eval_option_table[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "What is compared"},
    {.name = "reference",
     .kind = SINQ_OPTION_TEXT,
     .argument = "REF",
     .completion = SINQ_COMPLETE_FILES,
     PLACE(reference),
     .help = "the model to compare with, usually the one that MODEL was made from"},
    {.name = "as",
     .kind = SINQ_OPTION_TEXT,
     .argument = "SETTING",
     PLACE(as),
     .help =
         "instead of --reference: compare MODEL with itself quantized in memory, and write nothing; SETTING is, in any "
         "order and part, bits:3,group:32,method:rtn,scale:f16,tiling:2d"},

    {.kind = SINQ_OPTION_HEADING, .help = "Text"},
    {.name = "text",
     .kind = SINQ_OPTION_TEXT,
     .argument = "FILE",
     .completion = SINQ_COMPLETE_FILES,
     PLACE(text),
     .help = "measure the perplexity of MODEL on a text, plain or compressed with gzip (- is standard input), and how "
             "far its predictions are from the reference's where there is one"},
    {.name = "token-ids",
     .kind = SINQ_OPTION_FLAG,
     PLACE(token_ids),
     .help = "FILE holds token ids, separated by blanks, commas or line ends, and no tokenizer is needed"},
    {.name = "window",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 2,
     .most = 1e9,
     PLACE(window),
     .help = "cut the text into windows of N tokens, each read from an empty context (default: 2048, or the model's "
             "context or the text where that is shorter); what is left at the text's end is not read"},
    {.name = "stride",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e9,
     PLACE(stride),
     .help = "a window begins every N tokens (default: the window's length); where windows overlap only the last N "
             "predictions of each count, and all of the first one's"},
    {.name = "score",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "WHICH",
     .choices = "all second-half",
     PLACE(score),
     .help = "predictions that count: all of a window (default), or those made in its second half, as llama.cpp does"},
    {.name = "max-windows",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e9,
     PLACE(max_windows),
     .help = "read only the first N windows"},
    {.name = "bos",
     .kind = SINQ_OPTION_FLAG,
     PLACE(bos),
     .help = "put the model's BOS token in place of each window's first token, for models that expect one (default: "
             "the text alone)"},
    {.name = "exact",
     .kind = SINQ_OPTION_FLAG,
     PLACE(exact),
     .help = "compute with f32 activations everywhere (default: as `sinq run` does, with 8-bit activations before "
             "quantized matrices)"},
    SINQ_DEVICE_OPTIONS(PLACE(device), PLACE(gpu_memory)),
    {.name = "kv",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_KV_CHOICES,
     PLACE(kv),
     .help = "keep keys and values as TYPE (default: f16)"},

    {.kind = SINQ_OPTION_HEADING, .help = "Weights"},
    {.name = "weights",
     .kind = SINQ_OPTION_FLAG,
     PLACE(weights),
     .help = "compare weights, tensor by tensor: relative error (of the Frobenius norm), signal to noise ratio, "
             "cosine, largest error; the worst come first"},
    {.name = "top",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e9,
     PLACE(top),
     .help = "only the N worst tensors"},

    {.kind = SINQ_OPTION_HEADING, .help = "Thresholds: exit with 3 where one is not met"},
    {.name = "max-ppl",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(max_ppl),
     .help = "the perplexity may be at most X"},
    {.name = "max-ppl-increase",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(max_ppl_increase),
     .help = "the perplexity may exceed the reference's by at most X of it, for instance 2%"},
    {.name = "max-kl",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(max_kl),
     .help = "the mean KL divergence from the reference may be at most X nats"},
    {.name = "min-same-top",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1,
     PLACE(min_same_top),
     .help = "at least the share X of predictions must have the reference's likeliest token, for instance 90%"},
    {.name = "max-error",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(max_error),
     .help = "the relative error of all quantized weights together may be at most X, for instance 0.1 or 10%"},
    SINQ_COMMON_OPTIONS,
};

const struct sinq_eval_arguments sinq_default_eval_arguments = {
    .max_error = -1.0, .max_ppl = -1.0, .max_ppl_increase = -1.0, .max_kl = -1.0, .min_same_top = -1.0};

static int refuse(struct sinq_error *error, const char *format, ...) SINQ_PRINTF(2, 3);

static int refuse(struct sinq_error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->status = SINQ_USAGE;
    return SINQ_USAGE;
}

int sinq_check_eval_arguments(const struct sinq_eval_arguments *a, struct sinq_error *error) {
    const bool has_reference = a->reference != NULL || a->as != NULL;
    const struct {
        bool is_given;
        const char *option;
        bool needs_text, needs_weights, needs_reference;
    } dependents[] = {
        {a->token_ids, "token-ids", true, false, false},
        {a->window > 0, "window", true, false, false},
        {a->stride > 0, "stride", true, false, false},
        {a->score != NULL, "score", true, false, false},
        {a->max_windows > 0, "max-windows", true, false, false},
        {a->bos, "bos", true, false, false},
        {a->exact, "exact", true, false, false},
        {a->kv != NULL, "kv", true, false, false},
        {a->device != NULL, "device", true, false, false},
        {a->gpu_memory != 0, "gpu-memory", true, false, false},
        {a->max_ppl >= 0.0, "max-ppl", true, false, false},
        {a->max_ppl_increase >= 0.0, "max-ppl-increase", true, false, true},
        {a->max_kl >= 0.0, "max-kl", true, false, true},
        {a->min_same_top >= 0.0, "min-same-top", true, false, true},
        {a->max_error >= 0.0, "max-error", false, true, true},
        {a->top > 0, "top", false, true, true},
        {a->weights, "weights", false, false, true},
    };
    if (a->text == NULL && !a->weights)
        return refuse(error, "what is to be measured? --text FILE, --weights or both are needed");
    if (a->reference != NULL && a->as != NULL)
        return refuse(error, "--reference REF and --as SETTING cannot go together");
    for (size_t i = 0; i < sizeof dependents / sizeof dependents[0]; i++) {
        if (!dependents[i].is_given) continue;
        if (dependents[i].needs_text && a->text == NULL)
            return refuse(error, "--%s needs --text FILE", dependents[i].option);
        if (dependents[i].needs_weights && !a->weights)
            return refuse(error, "--%s needs --weights", dependents[i].option);
        if (dependents[i].needs_reference && !has_reference)
            return refuse(error, "--%s needs --reference REF or --as SETTING, one of them", dependents[i].option);
    }
    return SINQ_OK;
}
