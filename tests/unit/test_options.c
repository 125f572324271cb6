/* test_options.c: parsing of command lines, from the tables that commands have. */
#include <math.h>
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/memory.c"
#include "cmd/options.c"
#include "cmd/printable.c"
#include "cmd/suggestion.c"
#include "unit.h"

struct values {
    struct sinq_common_options common;
    const char *text, *choice;
    const char *pair[2];
    double real;
    uint64_t size;
    struct sinq_number_list numbers;
    struct sinq_rule_list rules;
};

#define PLACE(member) .offset = offsetof(struct values, member)

static const struct sinq_option table[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "a heading"},
    {.name = "output", .letter = 'o', .kind = SINQ_OPTION_TEXT, .argument = "OUT", PLACE(text)},
    {.name = "group-size", .letter = 'g', .kind = SINQ_OPTION_CHOICE, .choices = "16 32 row", PLACE(choice)},
    {.name = "plot", .kind = SINQ_OPTION_PAIR, .argument = "NAME FILE", PLACE(pair)},
    {.name = "max-error", .kind = SINQ_OPTION_REAL, .most = 10, PLACE(real)},
    {.name = "max-shard-size", .kind = SINQ_OPTION_SIZE, PLACE(size)},
    {.name = "depth", .letter = 'd', .kind = SINQ_OPTION_NUMBERS, .most = 100, PLACE(numbers)},
    {.name = "include", .kind = SINQ_OPTION_RULE, .rule = SINQ_RULE_INCLUDE, PLACE(rules)},
    {.name = "exclude", .kind = SINQ_OPTION_RULE, .rule = SINQ_RULE_EXCLUDE, PLACE(rules)},
    {.name = "tensor", .kind = SINQ_OPTION_RULE, .rule = SINQ_RULE_TENSOR, PLACE(rules)},
    SINQ_COMMON_OPTIONS,
};

#define MOST_WORDS 20

struct parsed {
    char *words[MOST_WORDS + 1];
    int count, first;
    struct values values;
    struct sinq_error error;
    int status;
};

/* Parses "command" and the words of `line`, which are separated by blanks. */
static void parse(struct parsed *parsed, const char *line) {
    static char buffer[400];
    memset(parsed, 0, sizeof *parsed);
    parsed->values.real = -1.0;
    snprintf(buffer, sizeof buffer, "command %s", line);
    for (char *word = strtok(buffer, " "); word != NULL && parsed->count < MOST_WORDS; word = strtok(NULL, " "))
        parsed->words[parsed->count++] = word;
    parsed->status =
        sinq_parse_options(table, parsed->count, parsed->words, &parsed->values, &parsed->first, &parsed->error);
}

START_TEST(refused_lines) {
    static const struct {
        const char *name, *line, *message;
    } cases[] = {
        {"unknown long option", "--xyzzy", "unknown option '--xyzzy'"},
        {"unknown with a likely one", "--jsn", "unknown option '--jsn'; did you mean --json?"},
        {"exchanged letters", "--verbsoe", "unknown option '--verbsoe'; did you mean --verbose?"},
        {"underscores are suggested as dashes", "--group_szie=4",
         "unknown option '--group_szie=4'; did you mean --group-size?"},
        {"unknown letter", "-z", "unknown option '-z'"},
        {"unknown letter behind a known one", "-qz", "unknown option '-z'"},
        {"ambiguous beginning", "--max 3", "option '--max' could mean --max-error or --max-shard-size"},
        {"flag with an argument", "--json=yes", "--json takes no argument"},
        {"missing argument", "--output", "-o/--output needs an argument: OUT"},
        {"missing argument of a letter", "-o", "-o/--output needs an argument: OUT"},
        {"missing both of a pair", "--plot", "--plot needs two arguments: NAME FILE"},
        {"missing second of a pair", "--plot x", "--plot needs two arguments: NAME FILE"},
        {"not a choice", "-g 17", "-g/--group-size: '17' is none of: 16 32 row"},
        {"beginning of a choice", "-g ro", "-g/--group-size: 'ro' is none of: 16 32 row"},
        {"choice with more behind it", "-g 166", "-g/--group-size: '166' is none of: 16 32 row"},
        {"number with a letter", "-t 4x", "-t/--threads: '4x' is not a whole number from 1 to 1024"},
        {"number too small", "-t 0", "-t/--threads: '0' is not a whole number from 1 to 1024"},
        {"number too large", "-t 1025", "-t/--threads: '1025' is not a whole number from 1 to 1024"},
        {"number that overflows", "-t 99999999999999999999",
         "-t/--threads: '99999999999999999999' is not a whole number from 1 to 1024"},
        {"negative number", "-t -1", "-t/--threads: '-1' is not a whole number from 1 to 1024"},
        {"number with a plus", "-t +1", "-t/--threads: '+1' is not a whole number from 1 to 1024"},
        {"real with a letter", "--max-error 1x", "--max-error: '1x' is not a number of zero or more"},
        {"real that is no number", "--max-error nan", "--max-error: 'nan' is not a number of zero or more"},
        {"infinite real", "--max-error inf", "--max-error: 'inf' is not a number of zero or more"},
        {"real that overflows", "--max-error 1e999", "--max-error: '1e999' is not a number of zero or more"},
        {"real too large", "--max-error 11", "--max-error: '11' is not a number from 0 to 10"},
        {"size of nothing", "--max-shard-size 0", "--max-shard-size: '0' is not a size such as 4G, 500MB or 64KiB"},
        {"size with an unknown unit", "--max-shard-size 4X",
         "--max-shard-size: '4X' is not a size such as 4G, 500MB or 64KiB"},
        {"size that overflows", "--max-shard-size 99999999T",
         "--max-shard-size: '99999999T' is not a size such as 4G, 500MB or 64KiB"},
        {"size without a number", "--max-shard-size G",
         "--max-shard-size: 'G' is not a size such as 4G, 500MB or 64KiB"},
        {"list with a gap", "-d 1,,2",
         "-d/--depth: '1,,2' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list that ends in a comma", "-d 1,",
         "-d/--depth: '1,' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list that begins with one", "-d ,1",
         "-d/--depth: ',1' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list with a letter", "-d 1,2x",
         "-d/--depth: '1,2x' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list with a negative number", "-d 1,-2",
         "-d/--depth: '1,-2' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list with a number too large", "-d 1,101",
         "-d/--depth: '1,101' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list with a number that overflows", "-d 99999999999999999999",
         "-d/--depth: '99999999999999999999' is not a list of at most 32 whole numbers from 0 to 100, as in 1,2,4"},
        {"list of too many", "-d 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
         "-d/--depth: '1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1' is not a list of at most 32 "
         "whole numbers from 0 to 100, as in 1,2,4"},
        {"rule without a setting", "--tensor abc",
         "--tensor: 'abc' is not REGEX=SETTING, as in 'q_proj=bits:3' or 'lm_head=keep'"},
        {"rule with an empty setting",
         "--tensor abc=", "--tensor: 'abc=' is not REGEX=SETTING, as in 'q_proj=bits:3' or 'lm_head=keep'"},
        {"rule with an empty pattern", "--tensor =keep",
         "--tensor: '=keep' is not REGEX=SETTING, as in 'q_proj=bits:3' or 'lm_head=keep'"},
        {"control characters do not reach the terminal", "--\033[31m", "unknown option '--?[31m'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        ck_assert_msg(parsed.status == SINQ_USAGE, "%s: status %d", cases[i].name, parsed.status);
        ck_assert_msg(strcmp(parsed.error.message, cases[i].message) == 0, "%s: found: %s", cases[i].name,
                      parsed.error.message);
        sinq_free_rules(&parsed.values.rules);
    }
}
END_TEST

START_TEST(lists_of_numbers) {
    static const struct {
        const char *line;
        size_t count;
        unsigned numbers[4];
    } cases[] = {
        {"", 0, {0}},
        {"-d 7", 1, {7}},
        {"--depth=0,100,3", 3, {0, 100, 3}},
        {"-d 1,2 -d 4", 1, {4}}, /* the last one counts */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        ck_assert_msg(parsed.status == SINQ_OK, "%s: %s", cases[i].line, parsed.error.message);
        ck_assert_uint_eq(parsed.values.numbers.count, cases[i].count);
        for (size_t k = 0; k < cases[i].count; k++)
            ck_assert_uint_eq(parsed.values.numbers.numbers[k], cases[i].numbers[k]);
    }
}
END_TEST

START_TEST(sizes) {
    static const struct {
        const char *line;
        uint64_t bytes;
    } cases[] = {
        {"--max-shard-size 1", 1},
        {"--max-shard-size 7B", 7},
        {"--max-shard-size 4G", 4ull << 30},
        {"--max-shard-size=4GiB", 4ull << 30},
        {"--max-shard-size 4Gi", 4ull << 30},
        {"--max-shard-size 4GB", 4000000000ull},
        {"--max-shard-size 64k", 64u << 10},
        {"--max-shard-size 64KB", 64000},
        {"--max_shard_size 3M", 3u << 20},
        {"--max-shard-size 2T", 2ull << 40},
        {"--max-s 16383T", 16383ull << 40},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        ck_assert_msg(parsed.status == SINQ_OK, "%s: %s", cases[i].line, parsed.error.message);
        ck_assert_msg(parsed.values.size == cases[i].bytes, "%s: %llu", cases[i].line,
                      (unsigned long long)parsed.values.size);
    }
}
END_TEST

START_TEST(reals) {
    static const struct {
        const char *line;
        double value;
    } cases[] = {
        {"--max-error 0", 0.0},   {"--max-error .5", 0.5},       {"--max-error=1e-3", 1e-3},
        {"--max-error 10%", 0.1}, {"--max_error 0.25%", 0.0025}, {"--max-e 10", 10.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        parse(&parsed, cases[i].line);
        ck_assert_msg(parsed.status == SINQ_OK, "%s: %s", cases[i].line, parsed.error.message);
        ck_assert_msg(fabs(parsed.values.real - cases[i].value) < 1e-15, "%s: %g", cases[i].line, parsed.values.real);
    }
}
END_TEST

START_TEST(options_and_operands_mix) {
    static const struct {
        const char *name, *line, *operands;
    } cases[] = {
        {"options first", "-q -o x a b", "a b"},
        {"operands first", "a b -q -o x", "a b"},
        {"between", "a -q b -ox", "a b"},
        {"with =", "a --output=x b -q", "a b"},
        {"a lone dash is an operand", "-q - -o x", "-"},
        {"two dashes end options", "-q -o x -- -b --json", "-b --json"},
        {"an argument may look like an option", "-o x --plot --json -q a", "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        char operands[100] = "";
        parse(&parsed, cases[i].line);
        ck_assert_msg(parsed.status == SINQ_OK, "%s: %s", cases[i].name, parsed.error.message);
        for (int k = parsed.first; k < parsed.count; k++) {
            if (k > parsed.first) strcat(operands, " ");
            strcat(operands, parsed.words[k]);
        }
        ck_assert_msg(strcmp(operands, cases[i].operands) == 0, "%s: operands '%s'", cases[i].name, operands);
        ck_assert_msg(strcmp(parsed.values.text, "x") == 0, "%s", cases[i].name);
        ck_assert_msg(!parsed.values.common.json, "%s", cases[i].name);
    }
}
END_TEST

START_TEST(values_reach_their_place) {
    struct parsed parsed;
    parse(&parsed, "--plot name file -g row -t 7 --json a --color never --cpu c,avx2");
    ck_assert_msg(parsed.status == SINQ_OK, "%s", parsed.error.message);
    ck_assert_str_eq(parsed.values.pair[0], "name");
    ck_assert_str_eq(parsed.values.pair[1], "file");
    ck_assert_str_eq(parsed.values.choice, "row");
    ck_assert_uint_eq(parsed.values.common.threads, 7);
    ck_assert(parsed.values.common.json && !parsed.values.common.quiet);
    ck_assert_str_eq(parsed.values.common.color, "never");
    ck_assert_str_eq(parsed.values.common.cpu, "c,avx2");
    ck_assert_int_eq(parsed.first, parsed.count - 1);
}
END_TEST

START_TEST(the_last_of_two_wins) {
    struct parsed parsed;
    parse(&parsed, "-g 16 -o a --group_size=32 --output b");
    ck_assert_int_eq(parsed.status, SINQ_OK);
    ck_assert_str_eq(parsed.values.choice, "32");
    ck_assert_str_eq(parsed.values.text, "b");
}
END_TEST

START_TEST(rules_keep_their_order) {
    static const struct {
        const char *pattern, *setting;
        int kind;
    } expected[] = {
        {"attn", NULL, SINQ_RULE_INCLUDE},
        {"q=?proj", "bits:3,group:32", SINQ_RULE_TENSOR},
        {"layers\\.0\\.", NULL, SINQ_RULE_EXCLUDE},
        {"norm", "keep", SINQ_RULE_TENSOR},
    };
    struct parsed parsed;
    parse(&parsed, "--include attn --tensor q=?proj=bits:3,group:32 --exclude layers\\.0\\. --tensor=norm=keep");
    ck_assert_msg(parsed.status == SINQ_OK, "%s", parsed.error.message);
    ck_assert_uint_eq(parsed.values.rules.count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct sinq_rule *const rule = &parsed.values.rules.rules[i];
        ck_assert_str_eq(rule->pattern, expected[i].pattern);
        ck_assert_int_eq((int)rule->kind, expected[i].kind);
        if (expected[i].setting == NULL)
            ck_assert_ptr_null(rule->setting);
        else
            ck_assert_str_eq(rule->setting, expected[i].setting);
    }
    sinq_free_rules(&parsed.values.rules);
    ck_assert_uint_eq(parsed.values.rules.count, 0);
}
END_TEST

START_TEST(distances) {
    static const struct {
        const char *from, *to;
        size_t distance;
    } cases[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "abc", 0},
        {"abc", "acb", 1},
        {"bits", "bit", 1},
        {"bits", "bots", 1},
        {"quantise", "quantize", 1},
        {"ab", "ba", 1},
        {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_msg(sinq_word_distance(cases[i].from, cases[i].to) == cases[i].distance, "%s, %s", cases[i].from,
                      cases[i].to);
        ck_assert_msg(sinq_word_distance(cases[i].to, cases[i].from) == cases[i].distance, "%s, %s", cases[i].to,
                      cases[i].from);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    ck_assert_uint_eq(sinq_word_distance(longest, "a"), 62);
}
END_TEST

UNIT_MAIN("options", refused_lines, lists_of_numbers, sizes, reals, options_and_operands_mix, values_reach_their_place,
          the_last_of_two_wins, rules_keep_their_order, distances)
