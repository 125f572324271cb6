/* What a recipe decides: options, rules, sizes, and what it refuses. The source is made up here. */
#include "quant/recipe/recipe.h"

#include <math.h>
#include <string.h>

#include "quant/matrix/matrix.h"
#include "quant/recipe/peak_memory.h"
#include "recipe_source.h"

static const struct sinq_tensor small_model[] = {
    T2("model.embed_tokens.weight", SINQ_BF16, 320, 128),
    T2("model.layers.0.self_attn.q_proj.weight", SINQ_BF16, 128, 128),
    T2("model.layers.0.self_attn.v_proj.weight", SINQ_BF16, 64, 128),
    T2("model.layers.0.mlp.down_proj.weight", SINQ_BF16, 128, 200),
    T1("model.layers.0.input_layernorm.weight", SINQ_BF16, 128),
    T1("model.layers.0.self_attn.q_proj.bias", SINQ_BF16, 128),
    T2("model.layers.0.mlp.gate.weight", SINQ_BF16, 8, 128),
    {.name = "model.layers.0.mlp.experts.down_proj", .dtype = SINQ_BF16, .rank = 3, .shape = {8, 128, 64}},
    T2("lm_head.weight", SINQ_BF16, 320, 128),
    T2("model.layers.0.mask", SINQ_U8, 64, 64),
    T2("model.layers.0.mlp.experts.0.up_proj.weight", SINQ_BF16, 0, 128),
};
#define SMALL_COUNT (sizeof small_model / sizeof small_model[0])

/* ---- options ---- */

START_TEST(options_settle_what_is_done) {
    static const struct {
        const char *what, *recipe;
        int bits, group_size, method, scale_type;
        const char *expected; /* of q_proj */
    } cases[] = {
        {"nothing said", NULL, 0, -1, -1, -1, "quantize 4 32 sinq-levels u6"},
        {"default", "default", 0, -1, -1, -1, "quantize 4 32 sinq-levels u6"},
        {"default at 2 bits", NULL, 2, -1, -1, -1, "quantize 2 32 sinq-levels u6"},
        {"default at 5 bits", NULL, 5, -1, -1, -1, "quantize 5 64 sinq-search u6"},
        {"default with a group size", NULL, 3, 16, -1, -1, "quantize 3 16 sinq-levels u6"},
        {"default with a scale type", NULL, 0, -1, -1, SINQ_AUX_U8, "quantize 4 32 sinq-levels u8"},
        {"a method alone", NULL, 0, -1, SINQ_METHOD_SINQ, -1, "quantize 4 64 sinq u8"},
        {"paper", "paper", 0, -1, -1, -1, "quantize 4 64 sinq f16"},
        {"paper with options", "paper", 3, 128, SINQ_METHOD_RTN, SINQ_AUX_U8, "quantize 3 128 rtn u8"},
        {"whole rows", NULL, 8, (int)SINQ_GROUP_ROW, -1, -1, "quantize 8 0 sinq-search u6"},
        {"nf3 brings its width", NULL, 0, -1, SINQ_METHOD_SINQ_NF3, -1, "quantize 3 64 sinq-nf3 u8"},
        {"nf4 brings its width", NULL, 0, 16, SINQ_METHOD_NF4, -1, "quantize 4 16 nf4 u8"},
        {"nf4 with its width", NULL, 4, -1, SINQ_METHOD_SINQ_NF4, -1, "quantize 4 64 sinq-nf4 u8"},
        {"hqq at 2 bits", NULL, 2, 32, SINQ_METHOD_SINQ_HQQ, -1, "quantize 2 32 sinq-hqq u8"},
        {"levels with scales of 6 bits", NULL, 3, 32, SINQ_METHOD_SINQ_LEVELS, SINQ_AUX_U6,
         "quantize 3 32 sinq-levels u6"},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.recipe = cases[i].recipe;
        options.bits = cases[i].bits;
        options.group_size = cases[i].group_size;
        options.method = cases[i].method;
        options.scale_type = cases[i].scale_type;
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        char text[80];
        const struct sinq_recipe_summary summary = sinq_recipe_summary(recipe);
        const struct sinq_recipe_entry most = {.action = SINQ_QUANTIZE,
                                               .bits = summary.bits,
                                               .group_size = summary.group_size,
                                               .method = summary.method,
                                               .scale_type = summary.scale_type};
        ck_assert_msg(is_described(&most, cases[i].expected, text), "%s: %s", cases[i].what, text);
        const char *const first = summary.is_mixed ? "quantize" : cases[i].expected;
        ck_assert_msg(is_described(sinq_recipe_entry(recipe, 1), first, text), "%s: %s", cases[i].what, text);
        ck_assert_msg(summary.is_mixed == (i < 4), "%s", cases[i].what);
        sinq_recipe_free(recipe);
    }
}
END_TEST

START_TEST(wrong_options_are_refused_by_name) {
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    const struct sinq_quantize_options good = options_with(NULL);
    struct {
        struct sinq_quantize_options options;
        const char *part;
    } cases[] = {
        {good, "--bits 7: expected 2, 3, 4, 5, 6 or 8"},
        {good, "--bits -1: expected"},
        {good, "--group-size 48: expected 16, 32, 64, 128 or row"},
        {good, "--method: found number 14"},
        {good, "--scale-type i8: expected f16, u8 or u6"},
        {good, "--recipe papers: expected default or paper"},
        {good, "--head-bits 7: expected"},
        {good, "--embed-bits 16: expected"},
        {good, "--kurtosis-gate -1: expected"},
        {good, "--kurtosis-gate nan: expected"},
        {good, "--tiling 2d: cannot be stored, the dual-scale layout holds one column scale a matrix"},
        {good, "--bits 8: method sinq-nf4 is for 4 bits, not for 8"},
        {good, "--bits 4: method nf3 is for 3 bits, not for 4"},
        {good, "--head-bits 8: method nf4 is for 4 bits, not for 8"},
        {good, "--embed-bits 2: method sinq-nf3 is for 3 bits, not for 2"},
        {good, "--bits 6: method levels is for 2, 3 or 4 bits, not for 6"},
        {good, "--scale-type u6: scales of 6 bits are for methods that search them, not for rtn"},
    };
    cases[0].options.bits = 7;
    cases[1].options.bits = -1;
    cases[2].options.group_size = 48;
    cases[3].options.method = SINQ_METHOD_COUNT;
    cases[4].options.scale_type = SINQ_AUX_I8;
    cases[5].options.recipe = "papers";
    cases[6].options.head_bits = 7;
    cases[7].options.embed_bits = 16;
    cases[8].options.kurtosis_gate = -1;
    cases[9].options.kurtosis_gate = (double)NAN;
    cases[10].options.tiling_2d = true;
    cases[11].options.method = SINQ_METHOD_SINQ_NF4, cases[11].options.bits = 8;
    cases[12].options.method = SINQ_METHOD_NF3, cases[12].options.bits = 4;
    cases[13].options.method = SINQ_METHOD_NF4, cases[13].options.head_bits = 8;
    cases[14].options.method = SINQ_METHOD_SINQ_NF3, cases[14].options.embed_bits = 2;
    cases[15].options.method = SINQ_METHOD_LEVELS, cases[15].options.bits = 6;
    cases[16].options.method = SINQ_METHOD_RTN, cases[16].options.scale_type = SINQ_AUX_U6;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_failure(&fake, &cases[i].options, cases[i].part);
}
END_TEST

/* ---- decisions ---- */

START_TEST(default_decisions_come_with_reasons) {
    static const struct {
        const char *action, *reason;
    } expected[SMALL_COUNT] = {
        {"keep", "token embedding"},
        {"quantize", "attention query"},
        {"quantize", "attention value"},
        {"quantize", "mlp down"},
        {"keep", "norm"},
        {"keep", "bias"},
        {"keep", "router"},
        {"quantize", "mlp down"},
        {"keep", "lm_head"},
        {"keep", "not a floating-point tensor"},
        {"keep", "empty"},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    const struct sinq_quantize_options options = options_with(NULL);
    struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
    for (size_t i = 0; i < SMALL_COUNT; i++) {
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, i);
        char text[80];
        ck_assert_msg(is_described(entry, expected[i].action, text), "%s: %s", small_model[i].name, text);
        ck_assert_msg(strcmp(entry->reason, expected[i].reason) == 0, "%s: %s", small_model[i].name, entry->reason);
        ck_assert_uint_eq(entry->bytes_before, fake.tensors[i].bytes);
        if (entry->action == SINQ_KEEP) ck_assert_uint_eq(entry->bytes_after, fake.tensors[i].bytes);
    }
    sinq_recipe_free(recipe);
}
END_TEST

#define TENSOR(pattern, setting)                                                                                       \
    { pattern, SINQ_RULE_TENSOR, setting }
#define INCLUDE(pattern)                                                                                               \
    { pattern, SINQ_RULE_INCLUDE, NULL }
#define EXCLUDE(pattern)                                                                                               \
    { pattern, SINQ_RULE_EXCLUDE, NULL }

START_TEST(rules_have_their_precedence) {
    static const struct {
        struct sinq_rule rules[4];
        const char *tensor, *action, *reason;
    } cases[] = {
        {{EXCLUDE("q_proj")}, "q_proj.weight", "keep", "excluded by --exclude 'q_proj'"},
        {{EXCLUDE("q_proj")}, "v_proj.weight", "quantize", "attention value"},
        {{INCLUDE("q_proj")}, "q_proj.weight", "quantize", "attention query"},
        {{INCLUDE("q_proj")}, "v_proj.weight", "keep", "matches no --include"},
        {{INCLUDE("q_proj")}, "lm_head.weight", "keep", "lm_head"},
        {{INCLUDE("lm_head")}, "lm_head.weight", "keep", "lm_head"},
        {{EXCLUDE("self_attn"), INCLUDE("q_proj")}, "q_proj.weight", "quantize", "attention query"},
        {{EXCLUDE("self_attn"), INCLUDE("q_proj")}, "v_proj.weight", "keep", "excluded by --exclude 'self_attn'"},
        {{EXCLUDE("self_attn"), INCLUDE("q_proj")}, "0.mlp.down_proj.weight", "keep", "matches no --include"},
        {{INCLUDE("q_proj"), EXCLUDE("self_attn")}, "q_proj.weight", "keep", "excluded by --exclude 'self_attn'"},
        {{TENSOR("q_proj", "bits:3,group:32"), EXCLUDE("self_attn")},
         "q_proj.weight",
         "quantize 3 32 sinq-levels u6",
         "asked for by --tensor 'q_proj=bits:3,group:32'"},
        {{TENSOR("proj", "bits:3"), TENSOR("q_proj", "method:rtn")},
         "q_proj.weight",
         "quantize 4 64 rtn u8",
         "asked for by --tensor 'q_proj=method:rtn'"},
        {{TENSOR("proj", "bits:3"), TENSOR("q_proj", "method:rtn")},
         "v_proj.weight",
         "quantize 3 32 sinq-levels u6",
         "asked for by --tensor 'proj=bits:3'"},
        {{TENSOR("proj", "bits:3"), TENSOR("q_proj", "keep")},
         "q_proj.weight",
         "keep",
         "kept by --tensor 'q_proj=keep'"},
        {{TENSOR("q_proj", "keep"), TENSOR("proj", "bits:3")},
         "q_proj.weight",
         "quantize 3 32 sinq-levels u6",
         "asked for by --tensor 'proj=bits:3'"},
        {{TENSOR("q_proj", "method:nf3")},
         "q_proj.weight",
         "quantize 3 64 nf3 u8",
         "asked for by --tensor 'q_proj=method:nf3'"},
        {{TENSOR("^lm_head", "bits:8")},
         "lm_head.weight",
         "quantize 8 64 sinq-search u6",
         "asked for by --tensor '^lm_head=bits:8'"},
        {{TENSOR("mlp\\.gate\\.", "scale:f16")},
         "mlp.gate.weight",
         "quantize 4 32 sinq-levels f16",
         "asked for by --tensor 'mlp\\.gate\\.=scale:f16'"},
        {{TENSOR("layers\\.0\\.", "bits:8")}, "input_layernorm.weight", "keep", "norm"},
        {{TENSOR("layers\\.0\\.", "bits:8")}, "q_proj.bias", "keep", "bias"},
        {{TENSOR("layers\\.0\\.", "bits:8")},
         "q_proj.weight",
         "quantize 8 64 sinq-search u6",
         "asked for by --tensor 'layers\\.0\\.=bits:8'"},
        {{TENSOR("(?i)EXPERTS.*DOWN", "group:row")},
         "experts.down_proj",
         "quantize 4 0 sinq-levels u6",
         "asked for by --tensor '(?i)EXPERTS.*DOWN=group:row'"},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_quantize_options options = options_with(cases[i].rules);
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        size_t found = SMALL_COUNT;
        for (size_t t = 0; t < SMALL_COUNT && found == SMALL_COUNT; t++) {
            if (strstr(small_model[t].name, cases[i].tensor) != NULL) found = t;
        }
        ck_assert_uint_lt(found, SMALL_COUNT);
        char text[80];
        ck_assert_msg(is_described(sinq_recipe_entry(recipe, found), cases[i].action, text), "case %zu, %s: %s", i,
                      cases[i].tensor, text);
        const char *const reason = sinq_recipe_entry(recipe, found)->reason;
        ck_assert_msg(strcmp(reason, cases[i].reason) == 0, "case %zu, %s: %s", i, cases[i].tensor, reason);
        sinq_recipe_free(recipe);
    }
}
END_TEST

START_TEST(rules_that_cannot_be_are_refused) {
    static const struct {
        struct sinq_rule rules[3];
        const char *part;
    } cases[] = {
        {{EXCLUDE("k_proj")}, "--exclude 'k_proj': matches no tensor of made-up"},
        {{INCLUDE("k_proj")}, "--include 'k_proj': matches no tensor of made-up"},
        {{TENSOR("k_proj", "bits:3")}, "--tensor 'k_proj=bits:3': matches no tensor of made-up"},
        {{TENSOR("norm", "bits:3")},
         "--tensor 'norm=bits:3': cannot quantize tensor model.layers.0.input_layernorm.weight of made-up: neither 2-D "
         "nor 3-D"},
        {{TENSOR("mask", "bits:3")}, "tensor model.layers.0.mask of made-up: not a floating-point tensor"},
        {{TENSOR("experts\\.0", "bits:3")}, "up_proj.weight of made-up: empty"},
        {{EXCLUDE("q_proj"), EXCLUDE("(")},
         "--exclude '(': not a regular expression: missing closing parenthesis (at byte 1)"},
        {{TENSOR("a[", "keep")},
         "--tensor 'a[': not a regular expression: missing terminating ] for character class (at byte 2)"},
        {{EXCLUDE("\\C")}, "not a regular expression"},
        {{EXCLUDE("\xff")}, "not a regular expression"},
        {{TENSOR("q_proj", "bits:9")}, "--tensor 'q_proj=bits:9': found \"bits:9\""},
        {{TENSOR("q_proj", "method:nf4,bits:3")},
         "--tensor 'q_proj=method:nf4,bits:3': method nf4 is for 4 bits, not for 3"},
        {{EXCLUDE("^(([a-z_.0]+)*)*[XY]")}, "match limit exceeded"},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_quantize_options options = options_with(cases[i].rules);
        expect_failure(&fake, &options, cases[i].part);
    }
    static const struct sinq_rule empty[] = {EXCLUDE("")};
    struct sinq_quantize_options options = options_with(NULL);
    options.rules = empty;
    options.rule_count = 1;
    expect_failure(&fake, &options, "--exclude: an empty rule");
}
END_TEST

START_TEST(head_and_embedding_bits_reach_their_tensors) {
    struct fake fake;
    struct sinq_quantize_options options = options_with(NULL);
    options.head_bits = 8;
    char text[80];
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    struct sinq_recipe *recipe = expect_recipe(&fake, &options);
    describe_entry(sinq_recipe_entry(recipe, 8), text);
    ck_assert_str_eq(text, "quantize 8 64 sinq-search u6");
    ck_assert_str_eq(sinq_recipe_entry(recipe, 0)->reason, "token embedding");
    ck_assert(!sinq_recipe_entry(recipe, 8)->is_linear);
    sinq_recipe_free(recipe);

    fill_fake(&fake, "qwen3_moe", small_model, 8); /* tied: no lm_head */
    recipe = expect_recipe(&fake, &options);
    ck_assert_int_eq(sinq_recipe_entry(recipe, 0)->action, SINQ_KEEP);
    ck_assert_ptr_nonnull(strstr(sinq_recipe_entry(recipe, 0)->reason, "--embed-bits"));
    sinq_recipe_free(recipe);

    options.embed_bits = 6;
    options.method = SINQ_METHOD_RTN;
    recipe = expect_recipe(&fake, &options);
    describe_entry(sinq_recipe_entry(recipe, 0), text);
    ck_assert_str_eq(text, "quantize 6 64 rtn u8");
    sinq_recipe_free(recipe);
}
END_TEST

START_TEST(block_scales_follow_their_tensor) {
    static const struct sinq_tensor model[] = {
        T1("model.norm.weight", SINQ_BF16, 256),
        {.name = "model.layers.0.self_attn.q_proj.weight",
         .dtype = SINQ_F8_E4M3,
         .rank = 2,
         .shape = {256, 256},
         .scale_tensor = 2},
        {.name = "model.layers.0.self_attn.q_proj.weight_scale_inv",
         .dtype = SINQ_F32,
         .rank = 2,
         .shape = {2, 2},
         .is_block_scale = true},
        {.name = "model.layers.0.self_attn.k_proj.weight",
         .dtype = SINQ_F8_E4M3,
         .rank = 2,
         .shape = {256, 256},
         .scale_tensor = 4},
        {.name = "model.layers.0.self_attn.k_proj.weight_scale_inv",
         .dtype = SINQ_F32,
         .rank = 2,
         .shape = {2, 2},
         .is_block_scale = true},
    };
    static const struct sinq_rule rules[] = {EXCLUDE("k_proj"), {NULL, SINQ_RULE_TENSOR, NULL}};
    struct fake fake;
    fill_fake(&fake, "deepseek_v3", model, 5);
    const struct sinq_quantize_options options = options_with(rules);
    struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
    const enum sinq_action expected[] = {SINQ_KEEP, SINQ_QUANTIZE, SINQ_DROP, SINQ_KEEP, SINQ_KEEP};
    for (size_t i = 0; i < 5; i++) ck_assert_int_eq(sinq_recipe_entry(recipe, i)->action, expected[i]);
    ck_assert_uint_eq(sinq_recipe_entry(recipe, 2)->bytes_after, 0);
    ck_assert_str_eq(sinq_recipe_entry(recipe, 4)->reason, "block scale of an FP8 tensor");
    const struct sinq_recipe_summary summary = sinq_recipe_summary(recipe);
    ck_assert_uint_eq(summary.quantized, 1);
    ck_assert_uint_eq(summary.kept, 3);
    ck_assert_uint_eq(summary.dropped, 1);
    sinq_recipe_free(recipe);

    static const struct sinq_rule only_scales[] = {TENSOR("scale_inv", "bits:4"), {NULL, SINQ_RULE_TENSOR, NULL}};
    const struct sinq_quantize_options refused = options_with(only_scales);
    expect_failure(&fake, &refused, "--tensor 'scale_inv=bits:4': matches no tensor");
}
END_TEST

/* All numbers get the type, FP8 loses its scales; what is no number stays, and what a rule says. */
START_TEST(plain_checkpoints_have_numbers_of_one_type) {
    static const struct sinq_tensor model[] = {
        T1("model.norm.weight", SINQ_F32, 256),
        {.name = "model.layers.0.self_attn.q_proj.weight",
         .dtype = SINQ_F8_E4M3,
         .rank = 2,
         .shape = {256, 256},
         .scale_tensor = 2},
        {.name = "model.layers.0.self_attn.q_proj.weight_scale_inv",
         .dtype = SINQ_F32,
         .rank = 2,
         .shape = {2, 2},
         .is_block_scale = true},
        T2("model.layers.0.self_attn.k_proj.weight", SINQ_DUAL_SCALE, 256, 256),
        T2("model.layers.0.self_attn.v_proj.weight", SINQ_F64, 1, 3),
        T1("model.layers.0.ids", SINQ_I64, 4),
        T2("model.layers.0.empty", SINQ_F16, 0, 4),
        {.name = "model.layers.0.scalar", .dtype = SINQ_F32},
        T2("model.layers.0.self_attn.o_proj.weight", SINQ_F16, 8, 8),
        T1("model.layers.0.q_norm.weight", SINQ_BF16, 2),
        T2("lm_head.weight", SINQ_F32, 2, 2),
    };
    static const struct sinq_rule rules[] = {
        TENSOR("o_proj", "keep"), TENSOR("q_norm", "type:f32"), EXCLUDE("lm_head"), {NULL, SINQ_RULE_TENSOR, NULL}};
    static const struct {
        const char *type;
        uint64_t bytes;
    } expected[] = {{"bf16", 512}, {"bf16", 131072}, {NULL, 0},    {"bf16", 131072}, {"bf16", 6}, {NULL, 32},
                    {NULL, 0},     {"bf16", 2},      {"f16", 128}, {"f32", 8},       {"f32", 16}};
    struct fake fake;
    fill_fake(&fake, "llama", model, sizeof model / sizeof model[0]);
    struct sinq_quantize_options options = options_with(rules);
    options.format = SINQ_FORMAT_PLAIN;
    options.type = "bf16";
    options.allow_requantize = true;
    struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, i);
        const bool is_type = expected[i].type == NULL
                                 ? entry->type == NULL
                                 : entry->type != NULL && strcmp(entry->type, expected[i].type) == 0;
        ck_assert_msg(is_type && entry->action == (i == 2 ? SINQ_DROP : SINQ_KEEP), "%s", model[i].name);
        ck_assert_msg(entry->bytes_after == expected[i].bytes, "%s", model[i].name);
    }
    sinq_recipe_free(recipe);
}
END_TEST

START_TEST(plain_checkpoints_have_few_options) {
    static const struct sinq_rule coded[] = {TENSOR("q_proj", "type:q4_0"), {NULL, SINQ_RULE_TENSOR, NULL}};
    static const struct sinq_rule bits[] = {TENSOR("q_proj", "bits:4"), {NULL, SINQ_RULE_TENSOR, NULL}};
    struct {
        struct sinq_quantize_options options;
        const char *part;
    } cases[] = {
        {options_with(NULL), "--type q4_0: expected one of f16 bf16 f32"},
        {options_with(NULL), "--type: what numbers become, is missing"},
        {options_with(NULL), "--bits: a plain checkpoint has types instead"},
        {options_with(NULL), "--fallback: a plain checkpoint has types instead"},
        {options_with(coded), "--tensor 'q_proj=type:q4_0': a plain checkpoint has the types f16 bf16 f32 alone"},
        {options_with(bits), "--tensor 'q_proj=bits:4': a plain checkpoint has types instead, for instance type:f32"},
        {options_with(NULL), "--type: our own layout has none"},
    };
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cases[i].options.format = SINQ_FORMAT_PLAIN;
        cases[i].options.type = "bf16";
    }
    cases[0].options.type = "q4_0";
    cases[1].options.type = NULL;
    cases[2].options.bits = 4;
    cases[3].options.fallback = "f16";
    cases[6].options.format = SINQ_FORMAT_NATIVE;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_failure(&fake, &cases[i].options, cases[i].part);
    struct sinq_quantize_options options = options_with(NULL);
    struct sinq_recipe *recipe;
    struct sinq_error error = {0};
    options.format = SINQ_FORMAT_PLAIN;
    options.type = "f16";
    fake.source.quantization = (char *)(uintptr_t) "{\"quant_method\":\"gptq\"}";
    ck_assert_int_eq(sinq_make_recipe(&fake.source, &options, &recipe, &error), SINQ_FAILED);
    ck_assert_str_eq(error.message, "made-up: tensor model.layers.0.mask: U8 codes of a quantization that is not read, "
                                    "expected the original weights");
}
END_TEST

START_TEST(quantized_sources_need_permission) {
    static const struct sinq_tensor model[] = {
        T1("model.norm.weight", SINQ_BF16, 256),
        T2("model.layers.0.self_attn.q_proj.weight", SINQ_DUAL_SCALE, 256, 256),
    };
    struct fake fake;
    fill_fake(&fake, "llama", model, 2);
    struct sinq_quantize_options options = options_with(NULL);
    expect_failure(&fake, &options, "made-up: tensor model.layers.0.self_attn.q_proj.weight is quantized already");
    options.allow_requantize = true;
    struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
    ck_assert_int_eq(sinq_recipe_entry(recipe, 1)->action, SINQ_QUANTIZE);
    sinq_recipe_free(recipe);
}
END_TEST

/* ---- sizes ---- */

START_TEST(sizes_are_exact) {
    /* header + codes + scales + their ranges + column scales + levels + zeros, each on 64 bytes; by hand. */
    static const struct {
        const char *what, *model_type;
        struct sinq_tensor tensor;
        int bits, group_size, method, scale_type;
        uint64_t bytes;
        double most_bits;
    } cases[] = {
        {"4096 x 4096, u8", "llama", T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 4096, 4096), 4, 64,
         SINQ_METHOD_SINQ, SINQ_AUX_U8, 128 + 8388608 + 262144 + 32768 + 8192 + 262144, 4.28},
        {"4096 x 4096, f16", "llama", T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 4096, 4096), 4, 64,
         SINQ_METHOD_SINQ, SINQ_AUX_F16, 128 + 8388608 + 524288 + 8192 + 524288, 4.51},
        {"rtn has no column scales", "llama", T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 4096, 4096), 4, 64,
         SINQ_METHOD_RTN, SINQ_AUX_F16, 128 + 8388608 + 524288 + 524288, 4.51},
        {"nf3 has levels", "llama", T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 4096, 4096), 3, 64,
         SINQ_METHOD_SINQ_NF3, SINQ_AUX_F16, 128 + 6291456 + 524288 + 8192 + 64 + 524288, 3.51},
        {"a stack stored [in, out]",
         "gpt_oss",
         {.name = "model.layers.0.mlp.experts.down_proj", .dtype = SINQ_BF16, .rank = 3, .shape = {2, 100, 48}},
         3,
         32,
         SINQ_METHOD_SINQ,
         SINQ_AUX_U8,
         2 * (128 + 2304 + 192 + 64 + 256 + 192),
         6.0},
        {"one row", "llama", T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, 1, 64), 8, 0, SINQ_METHOD_SINQ,
         SINQ_AUX_U8, 128 + 2 * 512 + 64 + 64 + 128 + 64, 184.0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fake fake;
        fill_fake(&fake, cases[i].model_type, &cases[i].tensor, 1);
        struct sinq_quantize_options options = options_with(NULL);
        options.bits = cases[i].bits;
        options.group_size = cases[i].group_size;
        options.method = cases[i].method;
        options.scale_type = cases[i].scale_type;
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        const struct sinq_recipe_summary summary = sinq_recipe_summary(recipe);
        ck_assert_msg(summary.bytes_after == cases[i].bytes, "%s: %llu bytes, expected %llu", cases[i].what,
                      (unsigned long long)summary.bytes_after, (unsigned long long)cases[i].bytes);
        ck_assert_msg(summary.linear_bits_per_weight <= cases[i].most_bits, "%s: %g bits", cases[i].what,
                      summary.linear_bits_per_weight);
        const double exact = (double)cases[i].bytes * 8 / (double)summary.weights_quantized;
        ck_assert_msg(fabs(summary.linear_bits_per_weight - exact) < 1e-12, "%s: %g bits", cases[i].what, exact);
        sinq_recipe_free(recipe);
    }
}
END_TEST

/* What the quantizer makes has the size that the recipe foretold, for every method and storage. */
START_TEST(foretold_sizes_are_those_made) {
    enum { ROWS = 70, COLS = 152 };
    static const int groups[] = {16, 64, (int)SINQ_GROUP_ROW};
    static float values[ROWS][COLS];
    uint32_t state = 1;
    struct sinq_unit_matrix units = {0};
    struct sinq_blob blob = {0};
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) {
        state = state * 1664525u + 1013904223u;
        values[i / COLS][i % COLS] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    static const struct sinq_tensor tensor = T2("model.layers.0.mlp.up_proj.weight", SINQ_F32, ROWS, COLS);
    struct fake fake;
    fill_fake(&fake, "llama", &tensor, 1);
    for (int i = 0; i < SINQ_METHOD_COUNT * 2 * 3; i++) {
        struct sinq_quantize_options options = options_with(NULL);
        options.method = i % SINQ_METHOD_COUNT;
        options.scale_type = i / SINQ_METHOD_COUNT % 2 == 0 ? SINQ_AUX_U8 : SINQ_AUX_F16;
        options.group_size = groups[i / SINQ_METHOD_COUNT / 2];
        struct sinq_recipe *const recipe = expect_recipe(&fake, &options);
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, 0);
        struct sinq_dual_scale matrix;
        struct sinq_dual_scale_sizes sizes;
        struct sinq_matrix_outcome outcome = {0};
        struct sinq_error error = {0};
        const struct sinq_matrix_method method = {.method = entry->method, .bits = (unsigned)entry->bits, .threads = 1};
        ck_assert_int_eq(sinq_shape_units(&units, ROWS, COLS, entry->group_size, false, &error), SINQ_OK);
        for (uint64_t r = 0; r < ROWS; r++) sinq_put_row(&units, r, values[r]);
        units.largest = 1.0f;
        sinq_finish_units(&units, 1);
        sinq_describe_matrix(entry, ROWS, COLS, &matrix);
        ck_assert_int_eq(sinq_quantize_packed(&units, &method, &matrix, &blob, &outcome, &error), SINQ_OK);
        ck_assert(sinq_dual_scale_measure(&matrix, &sizes));
        ck_assert_msg(!outcome.was_widened && sizes.bytes == entry->bytes_after,
                      "%s %s group %u: %llu bytes, foretold %llu", sinq_method_name(entry->method),
                      sinq_aux_type_name(entry->scale_type), entry->group_size, (unsigned long long)sizes.bytes,
                      (unsigned long long)entry->bytes_after);
        sinq_recipe_free(recipe);
    }
    free(blob.bytes);
    sinq_free_units(&units);
}
END_TEST

START_TEST(impossible_sizes_are_refused) {
    static const struct sinq_tensor huge =
        T2("model.layers.0.mlp.up_proj.weight", SINQ_BF16, UINT64_C(1) << 40, UINT64_C(1) << 40);
    struct fake fake;
    fill_fake(&fake, "llama", &huge, 1);
    const struct sinq_quantize_options options = options_with(NULL);
    struct sinq_recipe *recipe;
    struct sinq_error error = {0};
    ck_assert_int_eq(sinq_make_recipe(&fake.source, &options, &recipe, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "up_proj.weight: 1 matrices of 1099511627776 x 1099511627776") != NULL, "%s",
                  error.message);
}
END_TEST

START_TEST(peak_memory_is_that_of_the_largest_matrix) {
    const uint64_t reading = (5u << 20) + 4096 * 12;
    const uint64_t few = sinq_estimate_peak_memory(4096, 4096, 2, 64, 9000000, 1);
    ck_assert_uint_eq(few, SINQ_BASE_MEMORY + 4096 * 4096 * 2 + 64 * 512 + 4096 * 64 * 8 + 4096 * 4 + 9000000 +
                               (4096 + 64) * 256 + reading);
    const uint64_t next = 4096 * 4096 * 2 + 9000000; /* is read, and the one before written, by more threads than one */
    ck_assert_uint_eq(sinq_estimate_peak_memory(4096, 4096, 2, 64, 9000000, 8),
                      few + next + 7 * ((4096 + 64) * 256 + reading));
    ck_assert_uint_eq(sinq_estimate_peak_memory(4096, 4096, 2, SINQ_GROUP_ROW, 9000000, 2) -
                          sinq_estimate_peak_memory(4096, 4096, 2, SINQ_GROUP_ROW, 9000000, 1),
                      next + reading);  /* one unit is one thread's */
    const uint64_t wide = 4096 * 49152; /* twice that is more than two matrices may take */
    ck_assert_uint_eq(sinq_estimate_peak_memory(4096, 49152, 2, SINQ_GROUP_ROW, 0, 2) -
                          sinq_estimate_peak_memory(4096, 49152, 2, SINQ_GROUP_ROW, 0, 1),
                      SINQ_OVERLAP_MEMORY - 2 * wide + (5u << 20) + 49152 * 12);
    ck_assert_uint_eq(sinq_estimate_peak_memory(0, 0, 2, 64, 0, 4), SINQ_BASE_MEMORY + (20u << 20));
    ck_assert_uint_eq(sinq_estimate_peak_memory(UINT64_MAX, UINT64_MAX, 8, 16, UINT64_MAX, 9), UINT64_MAX);
    ck_assert_uint_eq(sinq_estimate_peak_memory(UINT64_C(1) << 40, UINT64_C(1) << 40, 8, 16, 0, 9), UINT64_MAX);

    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    struct sinq_quantize_options options = options_with(NULL);
    struct sinq_recipe *recipe = expect_recipe(&fake, &options);
    const uint64_t small = sinq_recipe_summary(recipe).peak_memory;
    ck_assert_uint_gt(small, SINQ_BASE_MEMORY);
    sinq_recipe_free(recipe);
    options.embed_bits = 8; /* larger than any linear layer of it */
    recipe = expect_recipe(&fake, &options);
    ck_assert_uint_gt(sinq_recipe_summary(recipe).peak_memory, small);
    sinq_recipe_free(recipe);
}
END_TEST

/* ---- the text for fingerprints ---- */

static void print_recipe(const struct fake *fake, const struct sinq_quantize_options *options, struct sinq_text *text) {
    struct sinq_recipe *const recipe = expect_recipe(fake, options);
    sinq_recipe_text(recipe, text);
    ck_assert(!text->failed);
    sinq_recipe_free(recipe);
}

START_TEST(text_tells_recipes_apart) {
    static const struct sinq_rule same[] = {TENSOR("q_proj\\.weight", "bits:4"), {NULL, SINQ_RULE_TENSOR, NULL}};
    static const struct sinq_rule other[] = {TENSOR("q_proj\\.weight", "bits:5"), {NULL, SINQ_RULE_TENSOR, NULL}};
    struct fake fake;
    fill_fake(&fake, "qwen3_moe", small_model, SMALL_COUNT);
    struct sinq_quantize_options plain = options_with(NULL);
    plain.method = SINQ_METHOD_SINQ; /* the default recipe spends what a rule leaves on others */
    struct {
        struct sinq_quantize_options options;
        bool is_equal;
    } cases[] = {
        {plain, true},
        {options_with(same), true},
        {options_with(other), false},
        {plain, false},
        {plain, false},
        {plain, false},
        {plain, false},
        {plain, true},
    };
    cases[1].options.method = cases[2].options.method = plain.method;
    cases[3].options.kurtosis_gate = 5;
    cases[4].options.replace_nonfinite = true;
    cases[5].options.scale_type = SINQ_AUX_F16;
    cases[6].options.group_size = 32;
    cases[7].options.threads = 7;
    struct sinq_text reference = {0};
    print_recipe(&fake, &plain, &reference);
    ck_assert_ptr_nonnull(strstr(reference.data, "\"lm_head.weight\" keep\n"));
    ck_assert_ptr_nonnull(strstr(reference.data, "q_proj.weight\" quantize bits 4 group 64 method sinq scale u8\n"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_text text = {0};
        print_recipe(&fake, &cases[i].options, &text);
        ck_assert_msg((strcmp(text.data, reference.data) == 0) == cases[i].is_equal, "case %zu", i);
        sinq_text_free(&text);
    }
    sinq_text_free(&reference);
}
END_TEST

UNIT_MAIN("recipe", options_settle_what_is_done, wrong_options_are_refused_by_name, default_decisions_come_with_reasons,
          rules_have_their_precedence, rules_that_cannot_be_are_refused, head_and_embedding_bits_reach_their_tensors,
          block_scales_follow_their_tensor, plain_checkpoints_have_numbers_of_one_type,
          plain_checkpoints_have_few_options, quantized_sources_need_permission, sizes_are_exact,
          foretold_sizes_are_those_made, impossible_sizes_are_refused, peak_memory_is_that_of_the_largest_matrix,
          text_tells_recipes_apart)
