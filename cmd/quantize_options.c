/* quantize_options.c: the options of `sinq quantize`. */
#include <stdlib.h>
#include <string.h>

#include "quantize.h"

#define PLACE(member) .offset = offsetof(struct sinq_quantize_arguments, member)

const struct sinq_option sinq_quantize_option_table[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "Where the result goes"},
    {.name = "output",
     .letter = 'o',
     .kind = SINQ_OPTION_TEXT,
     .argument = "OUT",
     PLACE(output),
     .completion = SINQ_COMPLETE_FILES,
     .help = "write OUT (default: MODEL-sinq-<bits>bit-g<group>, MODEL-sinq-reference-<bits>bit-g<group>, "
             "MODEL-<type>.gguf or MODEL-<type>, beside MODEL); of "
             "several models, or of a file, OUT may be an existing directory to put results into"},
    {.name = "format",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = "native gguf safetensors sinq-reference",
     PLACE(format),
     .help =
         "native (safetensors in sinq's own layout), gguf, which llama.cpp, Ollama and LM Studio read, safetensors (a "
         "plain checkpoint, as Hugging Face has them), or sinq-reference (a directory that huawei-csl/SINQ and "
         "transformers load); give --type with gguf and safetensors (default: native). A model that is native or "
         "sinq-reference already becomes the other with its codes as they are"},
    {.name = "force",
     .letter = 'f',
     .kind = SINQ_OPTION_FLAG,
     PLACE(force),
     .help = "replace an existing OUT, once the new one is complete"},
    {.name = "resume",
     .kind = SINQ_OPTION_FLAG,
     PLACE(resume),
     .help = "go on where an interrupted run of the same command stopped"},
    {.name = "max-shard-size",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(max_shard_bytes),
     .help = "begin another file after SIZE bytes, for instance 4G, 500MB or 64KiB (default: 4G; of GGUF all is one "
             "file, and with this option OUT is a directory of files)"},
    {.name = "split-max-size",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(max_shard_bytes),
     .help = "llama.cpp's name for --max-shard-size"},
    {.name = "dry-run",
     .letter = 'n',
     .kind = SINQ_OPTION_FLAG,
     PLACE(dry_run),
     .help = "write nothing; print what would become of each tensor and why, sizes, and the memory needed (with -v: "
             "a line for each tensor)"},

    {.kind = SINQ_OPTION_HEADING, .help = "How weights are quantized"},
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
     .help = "columns that share a scale and a zero point: 16, 32, 64, 128, or row for all (default: the recipe's)"},
    {.name = "method",
     .letter = 'm',
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = SINQ_METHOD_CHOICES " asinq",
     PLACE(method),
     .help =
         "sinq, rtn (plain rounding), nf4, nf3 (NormalFloat levels), hqq (half-quadratic zero points), or "
         "sinq-nf4, sinq-nf3, sinq-hqq, which normalize first; search and sinq-search: scales and zero points "
         "searched for the least error; levels, sinq-levels: fitted levels and searched scales without zero points, "
         "for 2 to 4 bits; noz, sinq-noz: no zero points, coarser; asinq: sinq with column scales that --calib or "
         "--stats "
         "choose (default: the recipe's)"},
    {.name = "levels",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "KIND",
     .choices = "uniform nf fitted",
     PLACE(levels),
     .help = "in place of --method, by what codes stand for: uniform, evenly spaced (sinq-search), nf, NormalFloat "
             "(sinq-nf4 or sinq-nf3, by the bits), or fitted, tables fitted to normalized groups (sinq-levels)"},
    {.name = "effort",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "HOW",
     .choices = "fast default best",
     PLACE(effort),
     .help = "how long methods that search do so: fast, default or best"},
    {.name = "scale-type",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_SCALE_CHOICES,
     PLACE(scale_type),
     .help = "how scales and zero points are stored: f16, u8 with a second level of scales, or u6 the same in 6 bits, "
             "for methods that search (default: the recipe's)"},
    {.name = "recipe",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "NAME",
     .choices = SINQ_RECIPE_CHOICES,
     PLACE(recipe),
     .help =
         "a set of the four above: default (what loses least at a quarter of a bit beside the codes: sinq-levels in "
         "groups of 32 at 2 to 4 bits, sinq-search in groups of 64 beyond, u6; where none of them is given, tensors "
         "that matter more get more bits, others fewer), or paper (the paper's: sinq, 4 bits, groups of 64, f16)"},
    {.name = "bpw",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 1,
     .most = 32,
     PLACE(budget_bits),
     .help = "in place of --bits: choose bits and group size of each tensor, embeddings and head included, so that the "
             "model has X bits a weight and suffers least, by what is known of tensors of its kind and place"},
    {.name = "size",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(size),
     .help = "the same so that all tensors take no more than SIZE bytes, for instance 17G"},
    {.name = "fit",
     .kind = SINQ_OPTION_SIZE,
     .argument = "SIZE",
     PLACE(fit),
     .help = "the same so that the model runs within SIZE bytes of memory, of a GPU for instance: keys and values, "
             "activations and the driver's share are left room for"},
    {.name = "ctx-size",
     .letter = 'c',
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 4294967295.0,
     PLACE(context),
     .help = "of --fit: positions that prompt and answer take together (default: what the model allows, at most 8192)"},
    {.name = "kv",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_KV_CHOICES,
     PLACE(kv),
     .help = "of --fit: how keys and values are kept: f16 (default), f32 or i8"},
    {.name = "absorb",
     .kind = SINQ_OPTION_FLAG,
     PLACE(absorb),
     .help =
         "fold column scales into the norms and layers before, where the model allows it: it computes the same, and "
         "needs no column scales when it runs (--dry-run says where they go, and why some stay)"},
    {.name = "kurtosis-gate",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(kurtosis_gate),
     .help = "do not normalize a matrix whose kurtosis is above X (default: 0, which is off)"},
    {.name = "tiling",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "HOW",
     .choices = "1d 2d",
     PLACE(tiling),
     .help = "one column scale for all rows (1d), or one for each block of rows (2d), which only --format "
             "sinq-reference can hold (default: 1d)"},

    {.name = "type",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_GGUF_TYPES,
     PLACE(type),
     .help =
         "of --format gguf: what linear layers become; embeddings and the output head become q8_0 where TYPE has "
         "codes, all else f32. Of --format safetensors: what all numbers become, f16, bf16 or f32. The options above, "
         "but --absorb, are then without meaning"},
    {.name = "fallback",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "TYPE",
     .choices = SINQ_GGUF_TYPES,
     PLACE(fallback),
     .help = "of --format gguf: what a tensor becomes whose rows are no multiple of the 32 or 256 values of a block "
             "(default: that is an error)"},

    {.name = "importance",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "HOW",
     .choices = "none sinq",
     PLACE(importance),
     .help =
         "of --format gguf: errors count alike, or by 1 / t^2 of the column scale t that SINQ finds; where --absorb is "
         "not given, that costs less where columns differ much (default: none)"},

    {.kind = SINQ_OPTION_HEADING, .help = "Calibration: for methods that search, and asinq (see docs/calibration.md)"},
    {.name = "calib",
     .kind = SINQ_OPTION_TEXTS,
     .argument = "FILE",
     PLACE(calib),
     .completion = SINQ_COMPLETE_FILES,
     .help = "run the model over the text in FILE (plain or gzip; may be repeated), or over one that it writes itself "
             "with the FILE self, and round so that what its layers compute there changes least"},
    {.name = "calib-tokens",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = SINQ_CALIBRATION_WINDOW,
     .most = 1u << 24,
     PLACE(calib_tokens),
     .help =
         "of each FILE the first N tokens, in windows of 512; memory and time grow with them (default: all, of self "
         "49152)"},
    {.name = "save-stats",
     .kind = SINQ_OPTION_TEXT,
     .argument = "FILE",
     PLACE(save_stats),
     .completion = SINQ_COMPLETE_FILES,
     .help = "keep what --calib finds in FILE, for --stats"},
    {.name = "stats",
     .kind = SINQ_OPTION_TEXT,
     .argument = "FILE",
     PLACE(stats),
     .completion = SINQ_COMPLETE_FILES,
     .help = "use what --save-stats kept, in place of --calib"},

    {.kind = SINQ_OPTION_HEADING, .help = "Which tensors are quantized"},
    {.name = "include",
     .kind = SINQ_OPTION_RULE,
     .argument = "REGEX",
     .rule = SINQ_RULE_INCLUDE,
     PLACE(rules),
     .help = "quantize tensors whose name REGEX (Perl's syntax) is found in, too"},
    {.name = "exclude",
     .kind = SINQ_OPTION_RULE,
     .argument = "REGEX",
     .rule = SINQ_RULE_EXCLUDE,
     PLACE(rules),
     .help = "keep them as they are"},
    {.name = "tensor",
     .kind = SINQ_OPTION_RULE,
     .argument = "REGEX=HOW",
     .rule = SINQ_RULE_TENSOR,
     PLACE(rules),
     .help = "HOW is keep, or any of bits:N,group:N,method:NAME,scale:TYPE, or with --type type:TYPE; may be repeated, "
             "the last one that fits wins, and wins over --include and --exclude"},
    {.name = "head-bits",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "N",
     .choices = SINQ_KEEP_CHOICES,
     PLACE(head_bits),
     .help = "quantize the output head to N bits (default: keep)"},
    {.name = "embed-bits",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "N",
     .choices = SINQ_KEEP_CHOICES,
     PLACE(embed_bits),
     .help = "quantize the token embeddings to N bits (default: keep)"},
    {.name = "nonfinite",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "HOW",
     .choices = "error zero",
     PLACE(nonfinite),
     .help = "a weight that is infinite or not a number is an error, or becomes zero and is counted (default: error)"},
    {.name = "allow-requantize",
     .kind = SINQ_OPTION_FLAG,
     PLACE(allow_requantize),
     .help = "accept a model that is quantized already"},

    SINQ_COMMON_OPTIONS,
};

/* The table's choices are digits or one word that means `otherwise`. */
static int read_number(const char *text, int otherwise) {
    return text[0] >= '0' && text[0] <= '9' ? (int)strtol(text, NULL, 10) : otherwise;
}

enum sinq_format sinq_read_output_format(const struct sinq_quantize_arguments *arguments) {
    const char *const format = arguments->format == NULL ? "native" : arguments->format;
    if (strcmp(format, "gguf") == 0) return SINQ_FORMAT_GGUF;
    if (strcmp(format, "sinq-reference") == 0) return SINQ_FORMAT_REFERENCE;
    return strcmp(format, "safetensors") == 0 ? SINQ_FORMAT_PLAIN : SINQ_FORMAT_NATIVE;
}

static enum sinq_effort read_effort(const char *effort) {
    if (strcmp(effort, "fast") == 0) return SINQ_EFFORT_FAST;
    return strcmp(effort, "best") == 0 ? SINQ_EFFORT_BEST : SINQ_EFFORT_DEFAULT;
}

/* The method that has such levels, and normalizes first. */
static int read_levels(const char *levels, int bits) {
    if (strcmp(levels, "uniform") == 0) return SINQ_METHOD_SINQ_SEARCH;
    if (strcmp(levels, "fitted") == 0) return SINQ_METHOD_SINQ_LEVELS;
    return bits == 3 ? SINQ_METHOD_SINQ_NF3 : SINQ_METHOD_SINQ_NF4;
}

struct sinq_quantize_options sinq_read_quantize_options(const struct sinq_quantize_arguments *arguments) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    if (arguments->recipe != NULL) options.recipe = arguments->recipe;
    if (arguments->bits != NULL) options.bits = read_number(arguments->bits, 0);
    if (arguments->group_size != NULL) options.group_size = read_number(arguments->group_size, (int)SINQ_GROUP_ROW);
    if (arguments->method != NULL) options.method = sinq_method_from_name(arguments->method);
    if (arguments->method != NULL && strcmp(arguments->method, "asinq") == 0) {
        options.method = SINQ_METHOD_SINQ;
        options.scales_inputs = true;
    }
    if (arguments->levels != NULL) options.method = read_levels(arguments->levels, options.bits);
    if (arguments->effort != NULL) options.effort = read_effort(arguments->effort);
    if (arguments->scale_type != NULL) options.scale_type = sinq_read_scale_type(arguments->scale_type);
    if (arguments->head_bits != NULL) options.head_bits = read_number(arguments->head_bits, 0);
    if (arguments->embed_bits != NULL) options.embed_bits = read_number(arguments->embed_bits, 0);
    options.budget_bits = arguments->budget_bits;
    options.kurtosis_gate = arguments->kurtosis_gate;
    options.tiling_2d = arguments->tiling != NULL && strcmp(arguments->tiling, "2d") == 0;
    options.replace_nonfinite = arguments->nonfinite != NULL && strcmp(arguments->nonfinite, "zero") == 0;
    options.allow_requantize = arguments->allow_requantize;
    options.format = sinq_read_output_format(arguments);
    options.type = arguments->type;
    options.fallback = arguments->fallback;
    options.weighs_columns = arguments->importance != NULL && strcmp(arguments->importance, "sinq") == 0;
    options.absorb = arguments->absorb;
    options.rules = arguments->rules.rules;
    options.rule_count = arguments->rules.count;
    options.threads = arguments->common.threads;
    return options;
}
