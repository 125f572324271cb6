/* bench_options.c: the options of `sinq bench`. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PLACE(member) .offset = offsetof(struct sinq_bench_arguments, member)

const struct sinq_option sinq_bench_options[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "What is measured"},
    {.name = "shape",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = SINQ_SHAPES,
     PLACE(shape),
     .help = "instead of a MODEL: weights made up in memory, in the shape of a well-known model: " SINQ_SHAPES},
    {.name = "prompt",
     .letter = 'p',
     .kind = SINQ_OPTION_NUMBERS,
     .argument = "LIST",
     .least = 0,
     .most = 1e6,
     PLACE(prompts),
     .help = "read prompts of so many tokens, separated by commas; 0: none (default: 512)"},
    {.name = "predict",
     .letter = 'n',
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 0,
     .most = 1e6,
     PLACE(predict),
     .help = "decode N tokens, one by one, each with the choice of the best; 0: none (default: 32)"},
    {.name = "depth",
     .letter = 'd',
     .kind = SINQ_OPTION_NUMBERS,
     .argument = "LIST",
     .least = 0,
     .most = 1e6,
     PLACE(depths),
     .help = "decode behind so many tokens of context, separated by commas (default: 128)"},
    {.name = "repeat",
     .letter = 'r',
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e4,
     PLACE(repeat),
     .help = "measure each N times, after once to warm up, and report the median (default: 5)"},
    {.name = "threads",
     .letter = 't',
     .kind = SINQ_OPTION_NUMBERS,
     .argument = "LIST",
     .least = 1,
     .most = 1024,
     PLACE(threads),
     .help = "with so many threads, one number after the other, separated by commas (default: OMP_NUM_THREADS, else "
             "the processors this process may use; running a model never takes more than those)"},

    {.name = "profile",
     .kind = SINQ_OPTION_FLAG,
     PLACE(profile),
     .help = "tell besides where the time goes: operations of all layers under one name, by the first thread's clock, "
             "waiting for the others included; operations that are carried out together count as one of them"},

    {.kind = SINQ_OPTION_HEADING, .help = "How made-up weights are quantized"},
    {.name = "bits",
     .letter = 'b',
     .kind = SINQ_OPTION_CHOICE,
     .argument = "N",
     .choices = SINQ_BITS_CHOICES,
     PLACE(bits),
     .help = "bits of a code: 2, 3, 4, 5, 6 or 8 (default: 4)"},
    {.name = "group-size",
     .letter = 'g',
     .kind = SINQ_OPTION_CHOICE,
     .argument = "N",
     .choices = SINQ_GROUP_CHOICES,
     PLACE(group_size),
     .help = "columns that share a scale: 16, 32, 64, 128, or row for all (default: 64)"},
    {.name = "method",
     .letter = 'm',
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = SINQ_METHOD_CHOICES,
     PLACE(method),
     .help = "as `sinq quantize` has them: those that begin with sinq have column scales, nf4 and nf3 tables of levels "
             "(default: sinq)"},
    {.name = "recipe",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = SINQ_RECIPE_CHOICES,
     PLACE(recipe),
     .help = "what is not said above and below is as this recipe of `sinq quantize` has it, the head in bf16 too; with "
             "default, tensors have forms of their own"},
    {.name = "scale-type",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_SCALE_CHOICES,
     PLACE(scale_type),
     .help = "how scales and zero points are stored: f16, or u8 with a second level of scales (default: u8)"},
    {.name = "head-bits",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "N",
     .choices = SINQ_KEEP_CHOICES,
     PLACE(head_bits),
     .help = "bits of the output head and of the embedding; keep: bf16 (default: as --bits)"},

    {.name = "small-pages",
     .kind = SINQ_OPTION_FLAG,
     PLACE(small_pages),
     .help = "keep them in pages as small as those of mapped files, which are slower to read (default: huge pages)"},

    {.kind = SINQ_OPTION_HEADING, .help = "How the model runs"},
    SINQ_DEVICE_OPTIONS(PLACE(device), PLACE(gpu_memory)),
    {.name = "kv",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_KV_CHOICES,
     PLACE(kv),
     .help = "how keys and values are kept: f16 (default), f32 or i8"},
    {.name = "exact", .kind = SINQ_OPTION_FLAG, PLACE(exact), .help = "compute with activations in f32: slower"},
    {.name = "batch",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 4096,
     PLACE(batch),
     .help = "feed prompts in batches of N tokens (default, as `sinq run`: 512, on a device 256 to 2048, as there is "
             "room)"},

    {.kind = SINQ_OPTION_HEADING, .help = "The machine's limits"},
    {.name = "no-limits",
     .kind = SINQ_OPTION_FLAG,
     PLACE(no_limits),
     .help = "do not measure what the machine could do, and report no shares of it"},
    {.name = "buffer",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(buffer),
     .help = "read so much memory to measure how fast it is read (default: 1G); a size that fits in a cache measures "
             "the cache"},

    {.kind = SINQ_OPTION_HEADING, .help = "How it is shown"},
    SINQ_DISPLAY_OPTIONS,
};

const struct sinq_bench_arguments sinq_default_bench_arguments = {.predict = 32, .repeat = 5};

const char *sinq_find_bench_conflict(const struct sinq_bench_arguments *arguments, bool has_model) {
    const bool quantizes = arguments->bits != NULL || arguments->group_size != NULL || arguments->method != NULL ||
                           arguments->recipe != NULL || arguments->scale_type != NULL || arguments->head_bits != NULL ||
                           arguments->small_pages;
    if (has_model && arguments->shape != NULL) return "--shape takes the place of a MODEL: one of them";
    if (quantizes && arguments->shape == NULL)
        return "--bits, --group-size, --method, --recipe, --scale-type, --head-bits and --small-pages are for --shape";
    if (!has_model && arguments->shape == NULL && arguments->no_limits)
        return "--no-limits leaves nothing to measure without a MODEL or --shape";
    if (arguments->buffer > 0 && arguments->no_limits) return "--buffer is for limits, and --no-limits measures none";
    return NULL;
}

static void set_default(struct sinq_number_list *list, unsigned number) {
    if (list->count > 0) return;
    list->count = 1;
    list->numbers[0] = number;
}

void sinq_complete_bench_arguments(struct sinq_bench_arguments *arguments) {
    const unsigned threads = arguments->common.threads;
    set_default(&arguments->prompts, 512);
    set_default(&arguments->depths, 128);
    set_default(&arguments->threads, threads != 0 ? threads : sinq_count_processors());
}

/* The table's choices are digits or one word that means `otherwise`. */
static int read_number(const char *text, int otherwise) {
    return text[0] >= '0' && text[0] <= '9' ? (int)strtol(text, NULL, 10) : otherwise;
}

static unsigned find_most(const struct sinq_number_list *list) {
    unsigned most = 0;
    for (size_t i = 0; i < list->count; i++) most = list->numbers[i] > most ? list->numbers[i] : most;
    return most;
}

struct sinq_quantize_options sinq_read_bench_quantizing(const struct sinq_bench_arguments *arguments) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    if (arguments->method != NULL) {
        options.method = sinq_method_from_name(arguments->method);
    } else if (arguments->recipe == NULL) {
        options.method = SINQ_METHOD_SINQ;
    }
    options.recipe = arguments->recipe;
    if (arguments->bits != NULL) options.bits = read_number(arguments->bits, 0);
    if (arguments->group_size != NULL) options.group_size = read_number(arguments->group_size, (int)SINQ_GROUP_ROW);
    if (arguments->scale_type != NULL) options.scale_type = sinq_read_scale_type(arguments->scale_type);
    const bool has_three = arguments->method != NULL && strstr(arguments->method, "nf3") != NULL;
    const int bits = options.bits != 0 ? options.bits : has_three ? 3 : 4;
    options.head_bits = arguments->head_bits != NULL ? read_number(arguments->head_bits, 0)
                        : arguments->recipe != NULL  ? 0
                                                     : bits;
    options.embed_bits = options.head_bits;
    options.threads = find_most(&arguments->threads);
    return options;
}

struct sinq_session_options sinq_read_bench_session(const struct sinq_bench_arguments *arguments, unsigned threads) {
    const unsigned decoded = arguments->predict == 0 ? 0 : find_most(&arguments->depths) + arguments->predict;
    const unsigned prompt = find_most(&arguments->prompts), context = prompt > decoded ? prompt : decoded;
    return (struct sinq_session_options){
        .context = context == 0 ? 1 : context,
        .batch = arguments->batch,
        .kv_type = sinq_read_kv_type(arguments->kv),
        .exact = arguments->exact,
        .threads = threads,
        .profile = arguments->profile,
    };
}
