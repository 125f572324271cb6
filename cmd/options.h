/*
 * options.h: the options of a command. One table per command says everything about them: parsing, --help, the man page and
 * the shells' completions all come from it.
 *
 * An option's value goes to `offset` in the command's own struct of options, whose first member is struct
 * sinq_common_options. Values that are strings are borrowed from argv.
 */
#ifndef SINQ_CMD_OPTIONS_H
#define SINQ_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinq.h"

enum sinq_option_kind {
    SINQ_OPTION_END,     /* closes a table */
    SINQ_OPTION_HEADING, /* no option: `help` is a heading over those that follow */
    SINQ_OPTION_FLAG,    /* bool */
    SINQ_OPTION_TEXT,    /* const char * */
    SINQ_OPTION_CHOICE,  /* const char *, one word of `choices` */
    SINQ_OPTION_NUMBER,  /* unsigned, least..most */
    SINQ_OPTION_REAL,    /* double, least..most; "5%" is 0.05 */
    SINQ_OPTION_SIZE,    /* uint64_t: 4G, 500MB, 64KiB */
    SINQ_OPTION_NUMBERS, /* struct sinq_number_list, each of least..most: 1,2,4 */
    SINQ_OPTION_PAIR,    /* const char *[2]: takes two arguments */
    SINQ_OPTION_TEXTS,   /* struct sinq_text_list: may be given several times; none of them is empty */
    SINQ_OPTION_RULE     /* struct sinq_rule_list; `rule` is the kind */
};

/* What a shell completes an argument to, where `choices` does not say it. */
enum sinq_completion { SINQ_COMPLETE_NOTHING, SINQ_COMPLETE_FILES };

struct sinq_option {
    const char *name;
    char letter; /* or 0 */
    enum sinq_option_kind kind;
    const char *argument; /* its name in help */
    const char *choices;  /* separated by blanks */
    const char *help;     /* lower case, no full stop at the end */
    size_t offset;
    double least, most;
    int rule;
    enum sinq_completion completion;
};

/* --include, --exclude and --tensor rules in the order given. Patterns are owned by the list. */
struct sinq_rule_list {
    struct sinq_rule *rules;
    size_t count, capacity;
};
void sinq_free_rules(struct sinq_rule_list *list);

/* What an option that may be repeated was given, in order. The texts are borrowed from argv. */
struct sinq_text_list {
    const char **texts;
    size_t count, capacity;
};
void sinq_free_texts(struct sinq_text_list *list);

/* Numbers of an option that takes a list of them, in the order given. */
#define SINQ_MOST_NUMBERS 32
struct sinq_number_list {
    unsigned numbers[SINQ_MOST_NUMBERS];
    size_t count; /* 0 where the option is not given */
};

struct sinq_common_options {
    bool help, json, quiet, verbose;
    const char *progress, *color, *cpu;
    unsigned threads;
};

/* Choices that several commands offer. */
#define SINQ_BITS_CHOICES  "2 3 4 5 6 8"
#define SINQ_KEEP_CHOICES  "keep " SINQ_BITS_CHOICES
#define SINQ_GROUP_CHOICES "16 32 64 128 row"
#define SINQ_METHOD_CHOICES                                                                                            \
    "sinq sinq-search sinq-levels rtn search levels sinq-nf4 sinq-nf3 sinq-hqq sinq-noz nf4 nf3 hqq noz"
#define SINQ_SCALE_CHOICES  "f16 u8 u6"
#define SINQ_RECIPE_CHOICES "default paper"
#define SINQ_KV_CHOICES     "f16 f32 i8"
/* What a word of SINQ_KV_CHOICES means; f16 where it is NULL. */
enum sinq_kv_type sinq_read_kv_type(const char *word);
/* What a word of SINQ_SCALE_CHOICES means. */
enum sinq_aux_type sinq_read_scale_type(const char *word);

/* Where a model runs: places of the members for its name and for the most of its memory, which is 0 where it is not given. */
#define SINQ_DEVICE_OPTIONS(name_place, memory_place)                                                                  \
    {.name = "device",                                                                                                 \
     .kind = SINQ_OPTION_TEXT,                                                                                         \
     .argument = "NAME",                                                                                               \
     name_place,                                                                                                       \
     .help = "run on NAME: cpu, cuda, cuda:N for the N-th CUDA device from 0, or auto: a CUDA device where the "       \
             "plug-in and a driver for it are there, else the CPU (default: SINQ_DEVICE, else auto)"},                 \
    {                                                                                                                  \
        .name = "gpu-memory", .kind = SINQ_OPTION_SIZE, .argument = "SIZE", memory_place,                              \
        .help = "take at most SIZE of a device's memory, for instance 24G, all that its driver takes included; "       \
                "layers that do not fit stay on the CPU (default: all there is)"                                       \
    }

/* What most commands' tables end with. */
#define SINQ_COMMON_OPTIONS                                                                                            \
    {.kind = SINQ_OPTION_HEADING, .help = "How it is done and shown"}, SINQ_THREADS_OPTION, SINQ_DISPLAY_OPTIONS

#define SINQ_THREADS_OPTION                                                                                            \
    {                                                                                                                  \
        .name = "threads", .letter = 't', .kind = SINQ_OPTION_NUMBER, .argument = "N", .least = 1, .most = 1024,       \
        .offset = offsetof(struct sinq_common_options, threads),                                                       \
        .help = "use N threads (default: OMP_NUM_THREADS, else the processors this process may use; running a model "  \
                "never takes more than those); the result does not depend on it"                                       \
    }

/* The end of every table. */
#define SINQ_DISPLAY_OPTIONS                                                                                           \
    {.name = "cpu",                                                                                                    \
     .kind = SINQ_OPTION_TEXT,                                                                                         \
     .argument = "LIST",                                                                                               \
     .offset = offsetof(struct sinq_common_options, cpu),                                                              \
     .help = "use the best of these instruction sets: c, sse2, avx2, avx2-vnni, avx512-vnni, neon, separated "         \
             "by commas (default: SINQ_CPU, else all)"},                                                               \
        {.name = "json",                                                                                               \
         .kind = SINQ_OPTION_FLAG,                                                                                     \
         .offset = offsetof(struct sinq_common_options, json),                                                         \
         .help = "print the result as JSON, one object for each MODEL"},                                               \
        {.name = "quiet",                                                                                              \
         .letter = 'q',                                                                                                \
         .kind = SINQ_OPTION_FLAG,                                                                                     \
         .offset = offsetof(struct sinq_common_options, quiet),                                                        \
         .help = "print nothing but errors, and what --json asks for"},                                                \
        {.name = "verbose",                                                                                            \
         .letter = 'v',                                                                                                \
         .kind = SINQ_OPTION_FLAG,                                                                                     \
         .offset = offsetof(struct sinq_common_options, verbose),                                                      \
         .help = "print more about what is done"},                                                                     \
        {.name = "progress",                                                                                           \
         .kind = SINQ_OPTION_CHOICE,                                                                                   \
         .argument = "WHEN",                                                                                           \
         .choices = "auto never json",                                                                                 \
         .offset = offsetof(struct sinq_common_options, progress),                                                     \
         .help = "how far the work is, on stderr: auto (on a terminal), never, or json (one event a line)"},           \
        {.name = "color",                                                                                              \
         .kind = SINQ_OPTION_CHOICE,                                                                                   \
         .argument = "WHEN",                                                                                           \
         .choices = "auto always never",                                                                               \
         .offset = offsetof(struct sinq_common_options, color),                                                        \
         .help = "auto (on a terminal, unless NO_COLOR is set or TERM is dumb), always or never"},                     \
        {.name = "help",                                                                                               \
         .letter = 'h',                                                                                                \
         .kind = SINQ_OPTION_FLAG,                                                                                     \
         .offset = offsetof(struct sinq_common_options, help),                                                         \
         .help = "print this and exit"},                                                                               \
    {                                                                                                                  \
        .kind = SINQ_OPTION_END                                                                                        \
    }

/*
 * Parses argv[1..argc): argv[0] is the command's name. Options and operands may be mixed (argv is reordered, options
 * first), "--" ends options, '_' is as good as '-' in a long name. *first_operand becomes the index of the first operand.
 * SINQ_USAGE with a message that names the offending argument otherwise.
 */
int sinq_parse_options(const struct sinq_option *options, int argc, char **argv, void *values, int *first_operand,
                       struct sinq_error *error);

#endif
