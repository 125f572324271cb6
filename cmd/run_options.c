/* run_options.c: the options of `sinq run`. */
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run.h"

#define PLACE(member) .offset = offsetof(struct sinq_run_arguments, member)

const struct sinq_option sinq_run_options[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "The prompt"},
    {.name = "prompt",
     .letter = 'p',
     .kind = SINQ_OPTION_TEXT,
     .argument = "TEXT",
     PLACE(prompt),
     .help = "the text to continue, or with --chat to answer (default: standard input; on a terminal, a dialogue)"},
    {.name = "file",
     .letter = 'f',
     .kind = SINQ_OPTION_TEXT,
     .argument = "FILE",
     .completion = SINQ_COMPLETE_FILES,
     PLACE(file),
     .help = "take the prompt from FILE, plain or gzip, '-' for standard input; one line feed at its end is dropped"},
    {.name = "token-ids",
     .kind = SINQ_OPTION_FLAG,
     PLACE(token_ids),
     .help =
         "the prompt is token ids, separated by blanks or commas, and so is what is printed; no tokenizer is needed"},
    {.name = "chat",
     .kind = SINQ_OPTION_FLAG,
     PLACE(chat),
     .help = "the prompt is a message, which the model answers by its own chat template"},
    {.name = "system",
     .kind = SINQ_OPTION_TEXT,
     .argument = "TEXT",
     PLACE(system),
     .help = "the system message of the conversation (implies --chat)"},
    {.name = "template",
     .kind = SINQ_OPTION_TEXT,
     .argument = "NAME",
     PLACE(template_name),
     .help = "chat by this template, not the model's own: chatml, llama3, mistral, gemma, phi3, deepseek, harmony and "
             "others, "
             "which an unknown name lists (implies --chat)"},
    {.name = "raw",
     .kind = SINQ_OPTION_FLAG,
     PLACE(raw),
     .help = "continue text as it stands, even where the model has a chat template"},
    {.kind = SINQ_OPTION_HEADING, .help = "What is generated"},
    {.name = "predict",
     .letter = 'n',
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e9,
     PLACE(predict),
     .help = "at most N tokens (default: until the text or the context ends)"},
    {.name = "stop",
     .kind = SINQ_OPTION_TEXTS,
     .argument = "TEXT",
     PLACE(stops),
     .help = "stop before TEXT; may be given several times"},
    {.name = "ignore-eos",
     .kind = SINQ_OPTION_FLAG,
     PLACE(ignore_eos),
     .help = "go on where the model would end the text"},
    {.name = "logprobs",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1000,
     PLACE(logprobs),
     .help = "in place of text a line for each token: its log probability before sampling, and the N best ones"},
    {.kind = SINQ_OPTION_HEADING, .help = "How tokens are chosen"},
    {.name = "temp",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1000,
     PLACE(temperature),
     .help = "temperature; 0 always takes the best token (default: 0.8)"},
    {.name = "top-k",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 0,
     .most = 1e9,
     PLACE(top_k),
     .help = "only among the N best tokens; 0: all (default: 40)"},
    {.name = "top-p",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1,
     PLACE(top_p),
     .help = "only among the best that together have this probability (default: 0.95)"},
    {.name = "min-p",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1,
     PLACE(min_p),
     .help = "only tokens of at least this share of the best one's probability (default: 0.05)"},
    {.name = "repeat-penalty",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0.01,
     .most = 100,
     PLACE(repeat_penalty),
     .help = "divide the logits of recent tokens by X (default: 1)"},
    {.name = "repeat-last",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 0,
     .most = 1e9,
     PLACE(repeat_last),
     .help = "the last N tokens are recent (default: 64)"},
    {.name = "seed",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 0,
     .most = SINQ_RANDOM_SEED - 1.0,
     PLACE(seed),
     .help = "the same seed gives the same text (default: another one each time, which -v and --json tell)"},
    {.kind = SINQ_OPTION_HEADING, .help = "Memory"},
    {.name = "ctx-size",
     .letter = 'c',
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 4294967295.0,
     PLACE(context),
     .help = "positions that prompt and answer may take together (default: what the model allows, at most 8192)"},
    SINQ_DEVICE_OPTIONS(PLACE(device), PLACE(gpu_memory)),
    {.name = "kv",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_KV_CHOICES,
     PLACE(kv),
     .help = "how keys and values are kept: f16 (default), f32 or i8"},
    {.name = "exact", .kind = SINQ_OPTION_FLAG, PLACE(exact), .help = "compute with activations in f32: slower"},
    {.name = "plan",
     .kind = SINQ_OPTION_FLAG,
     PLACE(plan),
     .help = "only say what memory running would take; with --gpu-memory, too, what of it a device's would be and what "
             "stays on the CPU"},
    {.name = "memory",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(memory),
     .help = "with --plan: exit with 3 if it would take more than SIZE, for instance 24G"},
    SINQ_COMMON_OPTIONS,
};

struct sinq_run_arguments sinq_default_run_arguments(void) {
    const struct sinq_sampling sampling = sinq_default_sampling();
    return (struct sinq_run_arguments){
        .temperature = sampling.temperature,
        .top_k = sampling.top_k,
        .top_p = sampling.top_p,
        .min_p = sampling.min_p,
        .repeat_penalty = sampling.repeat_penalty,
        .repeat_last = sampling.repeat_last,
        .seed = SINQ_RANDOM_SEED,
    };
}

void sinq_free_run_arguments(struct sinq_run_arguments *arguments) { sinq_free_texts(&arguments->stops); }

bool sinq_wants_chat(const struct sinq_run_arguments *arguments) {
    return arguments->chat || arguments->system != NULL || arguments->template_name != NULL;
}

const char *sinq_find_run_conflict(const struct sinq_run_arguments *arguments) {
    const bool wants_chat = sinq_wants_chat(arguments);
    if (arguments->prompt != NULL && arguments->file != NULL) return "--prompt and --file: one of them";
    if (arguments->raw && wants_chat)
        return "--raw continues text as it stands: it does not go with --chat, --system and --template";
    if (arguments->token_ids && wants_chat) return "--token-ids does not go with --chat, --system and --template";
    if (arguments->token_ids && arguments->stops.count > 0) return "--stop looks for text, and --token-ids prints none";
    if (arguments->memory > 0 && !arguments->plan) return "--memory needs --plan";
    return NULL;
}

/* Seeds differ between runs, also of one second; they need not be secret. */
static uint64_t draw_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t mixed = (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec * 65537u + (uint64_t)getpid();
    mixed ^= mixed >> 32;
    return mixed % SINQ_RANDOM_SEED;
}

struct sinq_sampling sinq_read_sampling(const struct sinq_run_arguments *arguments) {
    return (struct sinq_sampling){
        .temperature = arguments->temperature,
        .top_k = arguments->top_k,
        .top_p = arguments->top_p,
        .min_p = arguments->min_p,
        .repeat_penalty = arguments->repeat_penalty,
        .repeat_last = arguments->repeat_last,
        .seed = arguments->seed == SINQ_RANDOM_SEED ? draw_seed() : arguments->seed,
    };
}

struct sinq_session_options sinq_read_session_options(const struct sinq_run_arguments *arguments) {
    return (struct sinq_session_options){
        .context = arguments->context,
        .kv_type = sinq_read_kv_type(arguments->kv),
        .exact = arguments->exact,
        .threads = arguments->common.threads,
    };
}
