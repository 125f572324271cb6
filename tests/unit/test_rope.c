/*
 * test_rope.c: ropes of every type, read from parameters as transformers 4 and 5 write them, against the formulas of
 * modeling_rope_utils written out here once more, position by position, in f64.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "model/rope_config.h"
#include "unit.h"

#define PI        3.14159265358979323846
#define POSITIONS 4000u
#define PAIRS     8u

/* f32 rounding of a cosine, and what f64 loses at angles of some thousands. */
#define BOUND 1.2e-7

/* ---- the formulas once more: the frequency of pair i of `dims` values ---- */

struct formula {
    double theta, factor, original, context;
    double low, high;      /* llama3 */
    double fast, slow;     /* yarn */
    bool is_not_truncated; /* yarn */
    double divisor[2];     /* longrope: short and long divisors are divisor + pair / 10 */
    double length;         /* of the sequence */
};

typedef double frequency_fn(const struct formula *f, unsigned i, unsigned dims);

static double plain(const struct formula *f, unsigned i, unsigned dims) {
    return 1.0 / pow(f->theta, (double)(2 * i) / dims);
}

static double linear(const struct formula *f, unsigned i, unsigned dims) { return plain(f, i, dims) / f->factor; }

static double dynamic(const struct formula *f, unsigned i, unsigned dims) {
    const double length = f->length > f->context ? f->length : f->context;
    const double base = f->theta * pow(f->factor * length / f->context - (f->factor - 1), dims / (dims - 2.0));
    return 1.0 / pow(base, (double)(2 * i) / dims);
}

static double llama3(const struct formula *f, unsigned i, unsigned dims) {
    const double frequency = plain(f, i, dims), wave = 2 * PI / frequency;
    if (wave < f->original / f->high) return frequency;
    if (wave > f->original / f->low) return frequency / f->factor;
    const double smooth = (f->original / wave - f->low) / (f->high - f->low);
    return (1 - smooth) * frequency / f->factor + smooth * frequency;
}

static double yarn_dimension(const struct formula *f, double rotations, unsigned dims) {
    return dims * log(f->original / (rotations * 2 * PI)) / (2 * log(f->theta));
}

static double yarn(const struct formula *f, unsigned i, unsigned dims) {
    double low = yarn_dimension(f, f->fast, dims), high = yarn_dimension(f, f->slow, dims);
    if (!f->is_not_truncated) {
        low = floor(low);
        high = ceil(high);
    }
    if (low < 0) low = 0;
    if (high > dims - 1) high = dims - 1;
    if (low == high) high += 0.001;
    double ramp = (i - low) / (high - low);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    const double extrapolated = plain(f, i, dims), interpolated = extrapolated / f->factor, keep = 1 - ramp;
    return interpolated * (1 - keep) + extrapolated * keep;
}

static double longrope(const struct formula *f, unsigned i, unsigned dims) {
    const double divisor = f->divisor[f->length > f->original] + i / 10.0;
    return 1.0 / (divisor * pow(f->theta, (double)(2 * i) / dims));
}

/* ---- cases ---- */

#define SHORT_FACTORS "\"short_factor\":[1,1.1,1.2,1.3,1.4,1.5,1.6,1.7]"
#define LONG_FACTORS  "\"long_factor\":[2,2.1,2.2,2.3,2.4,2.5,2.6,2.7]"

static const struct rope_case {
    const char *name, *parameters; /* NULL: none */
    struct sinq_rope_model model;
    unsigned dims;
    frequency_fn *frequency;
    struct formula formula;
    double attention_factor;
} cases[] = {
    {.name = "no parameters",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = plain,
     .formula = {.theta = 10000},
     .attention_factor = 1},
    {.name = "rope_theta among the parameters",
     .parameters = "{\"rope_type\":\"default\",\"rope_theta\":500000.0}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = plain,
     .formula = {.theta = 500000},
     .attention_factor = 1},
    {.name = "half of a head",
     .parameters = "{\"rope_type\":\"default\",\"partial_rotary_factor\":0.5}",
     .model = {.width = 32, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = plain,
     .formula = {.theta = 10000},
     .attention_factor = 1},
    {.name = "half of a head, said outside",
     .model = {.width = 32, .theta = 10000, .rotary_share = 0.5, .context = 4096},
     .dims = 16,
     .frequency = plain,
     .formula = {.theta = 10000},
     .attention_factor = 1},
    {.name = "linear, with the old key",
     .parameters = "{\"type\":\"linear\",\"factor\":8}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = linear,
     .formula = {.theta = 10000, .factor = 8},
     .attention_factor = 1},
    {.name = "dynamic, within the context",
     .parameters = "{\"type\":\"dynamic\",\"factor\":4.0}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = dynamic,
     .formula = {.theta = 10000, .factor = 4, .context = 4096, .length = 4000},
     .attention_factor = 1},
    {.name = "dynamic, beyond the context",
     .parameters = "{\"rope_type\":\"dynamic\",\"factor\":4.0}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 1024},
     .dims = 16,
     .frequency = dynamic,
     .formula = {.theta = 10000, .factor = 4, .context = 1024, .length = 4000},
     .attention_factor = 1},
    {.name = "llama3",
     .parameters = "{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                   "\"original_max_position_embeddings\":512}",
     .model = {.width = 16, .theta = 500000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = llama3,
     .formula = {.theta = 500000, .factor = 8, .original = 512, .low = 1, .high = 4},
     .attention_factor = 1},
    {.name = "yarn",
     .parameters = "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":1024}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 10000, .factor = 4, .original = 1024, .fast = 32, .slow = 1},
     .attention_factor = 1.1386294361119891}, /* 0.1 ln 4 + 1 */
    {.name = "yarn, its factor left to the contexts",
     .parameters = "{\"rope_type\":\"yarn\",\"original_max_position_embeddings\":1024}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 10000, .factor = 4, .original = 1024, .fast = 32, .slow = 1},
     .attention_factor = 1.1386294361119891},
    {.name = "yarn of gpt-oss: not truncated",
     .parameters = "{\"rope_type\":\"yarn\",\"factor\":32.0,\"beta_fast\":32.0,\"beta_slow\":1.0,\"truncate\":false,"
                   "\"original_max_position_embeddings\":4096}",
     .model = {.width = 16, .theta = 150000, .rotary_share = 1, .context = 131072},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 150000, .factor = 32, .original = 4096, .fast = 32, .slow = 1, .is_not_truncated = true},
     .attention_factor = 1.3465735902799727}, /* 0.1 ln 32 + 1 */
    {.name = "yarn of DeepSeek-V2: mscale and mscale_all_dim cancel",
     .parameters = "{\"type\":\"yarn\",\"factor\":40,\"beta_fast\":32,\"beta_slow\":1,\"mscale\":0.707,"
                   "\"mscale_all_dim\":0.707,\"original_max_position_embeddings\":4096}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 163840},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 10000, .factor = 40, .original = 4096, .fast = 32, .slow = 1},
     .attention_factor = 1},
    {.name = "yarn, mscale alone counts for nothing",
     .parameters = "{\"type\":\"yarn\",\"factor\":40,\"mscale\":0.707,\"original_max_position_embeddings\":4096}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 163840},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 10000, .factor = 40, .original = 4096, .fast = 32, .slow = 1},
     .attention_factor = 1.3688879454113936}, /* 0.1 ln 40 + 1 */
    {.name = "yarn with an attention_factor and other betas",
     .parameters = "{\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":1024,"
                   "\"attention_factor\":0.5,\"beta_fast\":16,\"beta_slow\":2}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096},
     .dims = 16,
     .frequency = yarn,
     .formula = {.theta = 10000, .factor = 4, .original = 1024, .fast = 16, .slow = 2},
     .attention_factor = 0.5},
    {.name = "longrope, short",
     .parameters = "{\"rope_type\":\"longrope\"," SHORT_FACTORS "," LONG_FACTORS "}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 131072, .original_context = 4096},
     .dims = 16,
     .frequency = longrope,
     .formula = {.theta = 10000, .original = 4096, .divisor = {1, 2}, .length = 4096},
     .attention_factor = 1.1902380714238083}, /* sqrt(1 + ln 32 / ln 4096) */
    {.name = "longrope, long, with its old name",
     .parameters = "{\"type\":\"su\"," SHORT_FACTORS "," LONG_FACTORS "}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 131072, .original_context = 1024},
     .dims = 16,
     .frequency = longrope,
     .formula = {.theta = 10000, .original = 1024, .divisor = {1, 2}, .length = 4000},
     .attention_factor = 1.3038404810405297}, /* sqrt(1 + ln 128 / ln 1024) */
    {.name = "longrope, the original context among the parameters, an attention_factor",
     .parameters = "{\"rope_type\":\"longrope\",\"original_max_position_embeddings\":2048,\"attention_factor\":1.25,"
                   "\"factor\":1.5," SHORT_FACTORS "," LONG_FACTORS "}",
     .model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 131072},
     .dims = 16,
     .frequency = longrope,
     .formula = {.theta = 10000, .original = 2048, .divisor = {1, 2}, .length = 4000},
     .attention_factor = 1.25},
};

static struct sinq_config_reader open_reader(cJSON *object, struct sinq_error *error) {
    return (struct sinq_config_reader){
        .object = object, .path = "config.json", .inside = "rope_scaling.", .status = SINQ_OK, .error = error};
}

static void check_case(const struct rope_case *c) {
    struct sinq_error error = {0};
    struct sinq_rope rope;
    float cosines[PAIRS], sines[PAIRS];
    cJSON *const object = c->parameters == NULL ? NULL : cJSON_Parse(c->parameters);
    ck_assert(c->parameters == NULL || object != NULL);
    struct sinq_config_reader reader = open_reader(object, &error);
    sinq_read_rope(&reader, &c->model, &rope);
    cJSON_Delete(object);
    ck_assert_msg(reader.status == SINQ_OK, "%s: %s", c->name, error.message);
    ck_assert_uint_eq(rope.dims, c->dims);
    ck_assert_msg(fabs(rope.attention_factor - c->attention_factor) < 1e-12, "%s: attention factor %.17g", c->name,
                  rope.attention_factor);
    const uint64_t length = c->formula.length == 0 ? POSITIONS : (uint64_t)c->formula.length;
    for (unsigned position = 0; position <= POSITIONS; position++) {
        sinq_rope_rotation(&rope, position, length, cosines, sines);
        for (unsigned i = 0; i < c->dims / 2; i++) {
            const double angle = position * c->frequency(&c->formula, i, c->dims);
            const double cosine = cos(angle) * c->attention_factor, sine = sin(angle) * c->attention_factor;
            ck_assert_msg(fabs(cosine - cosines[i]) <= BOUND && fabs(sine - sines[i]) <= BOUND,
                          "%s: position %u, pair %u: (%.9g, %.9g), expected (%.9g, %.9g)", c->name, position, i,
                          cosines[i], sines[i], cosine, sine);
        }
    }
    sinq_rope_free(&rope);
    ck_assert_ptr_null(rope.frequencies);
}

START_TEST(rotations_are_those_of_the_formulas) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check_case(&cases[i]);
}
END_TEST

/*
 * Llama 3.1's: of 64 waves those up to pair 28 are shorter than 8192 / 4 positions and stay, those from pair 35 on are longer
 * than 8192 and are stretched by 8; between them by what the ramp says (worked out by hand).
 */
START_TEST(known_values) {
    static const struct {
        unsigned pair;
        double share; /* of the plain frequency */
    } llama31[] = {{0, 1.0}, {28, 1.0}, {29, 0.8281684}, {34, 0.1902107}, {35, 0.125}, {63, 0.125}};
    const struct sinq_rope_model model = {.width = 128, .theta = 500000, .rotary_share = 1, .context = 131072};
    struct sinq_error error = {0};
    struct sinq_rope rope;
    cJSON *const object = cJSON_Parse("{\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                                      "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}");
    struct sinq_config_reader reader = open_reader(object, &error);
    sinq_read_rope(&reader, &model, &rope);
    cJSON_Delete(object);
    ck_assert_int_eq(reader.status, SINQ_OK);
    for (size_t i = 0; i < sizeof llama31 / sizeof llama31[0]; i++) {
        const double plain_frequency = pow(500000.0, -2.0 * llama31[i].pair / 128);
        const double share = rope.frequencies[llama31[i].pair] / plain_frequency;
        ck_assert_msg(fabs(share - llama31[i].share) < 1e-6, "pair %u: %.9g of the plain frequency", llama31[i].pair,
                      share);
    }
    sinq_rope_free(&rope);
}
END_TEST

START_TEST(only_longrope_switches_and_only_on_crossing) {
    struct sinq_rope rope = {.type = SINQ_ROPE_LONGROPE, .original_context = 100, .context = 1000};
    ck_assert(!sinq_rope_switches(&rope, 0, 200)); /* no keys yet */
    ck_assert(!sinq_rope_switches(&rope, 50, 100));
    ck_assert(sinq_rope_switches(&rope, 100, 101));
    ck_assert(sinq_rope_switches(&rope, 1, 1000));
    ck_assert(!sinq_rope_switches(&rope, 101, 102));
    rope.type = SINQ_ROPE_YARN;
    ck_assert(!sinq_rope_switches(&rope, 100, 101));
}
END_TEST

/* Parameters that cannot be, and what the message must say. */
START_TEST(faults_are_named) {
    static const struct {
        const char *parameters, *message;
    } bad[] = {
        {"{\"rope_type\":\"ntk\"}",
         "config.json: rope_scaling.rope_type is \"ntk\", expected default, linear, dynamic"},
        {"{\"rope_type\":7}", "rope_scaling.rope_type is 7, expected a string"},
        {"{\"rope_type\":\"linear\"}", "rope_scaling.factor is missing"},
        {"{\"rope_type\":\"linear\",\"factor\":0}", "rope_scaling.factor is 0, expected a number from 0.001"},
        {"{\"rope_type\":\"linear\",\"factor\":\"8\"}", "rope_scaling.factor is \"8\""},
        {"{\"rope_theta\":-1}", "rope_scaling.rope_theta is -1"},
        {"{\"rope_theta\":1}", "rope_scaling.rope_theta is 1, expected"},
        {"{\"partial_rotary_factor\":1.5}", "rope_scaling.partial_rotary_factor is 1.5"},
        {"{\"partial_rotary_factor\":0}", "0 of a head's 16 values turn"},
        {"{\"partial_rotary_factor\":0.2}", "3 of a head's 16 values turn, expected an even number"},
        {"{\"rope_type\":\"dynamic\",\"factor\":2,\"partial_rotary_factor\":0.125}", "2 of a head's 16 values turn"},
        {"{\"rope_type\":\"yarn\",\"factor\":4,\"original_max_position_embeddings\":0}",
         "rope_scaling.original_max_position_embeddings is 0"},
        {"{\"rope_type\":\"yarn\",\"factor\":4,\"truncate\":1}", "rope_scaling.truncate is 1, expected true or false"},
        {"{\"rope_type\":\"llama3\",\"factor\":4,\"low_freq_factor\":4,\"high_freq_factor\":4}",
         "low_freq_factor is 4, expected less than high_freq_factor, which is 4"},
        {"{\"rope_type\":\"longrope\"," SHORT_FACTORS "}",
         "rope_scaling.long_factor is missing, expected an array of 8"},
        {"{\"rope_type\":\"longrope\"," SHORT_FACTORS ",\"long_factor\":[1,2]}",
         "rope_scaling.long_factor is [1,2], expected an array of 8 numbers from 1e-09"},
        {"{\"rope_type\":\"longrope\"," LONG_FACTORS ",\"short_factor\":[1,1,1,1,1,1,1,0]}",
         "rope_scaling.short_factor is [1,1,1,1,1,1,1,0]"},
        {"{\"rope_type\":\"longrope\"," LONG_FACTORS ",\"short_factor\":3}", "rope_scaling.short_factor is 3"},
    };
    const struct sinq_rope_model model = {.width = 16, .theta = 10000, .rotary_share = 1, .context = 4096};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sinq_error error = {0};
        struct sinq_rope rope;
        cJSON *const object = cJSON_Parse(bad[i].parameters);
        ck_assert_ptr_nonnull(object);
        struct sinq_config_reader reader = open_reader(object, &error);
        sinq_read_rope(&reader, &model, &rope);
        cJSON_Delete(object);
        ck_assert_msg(reader.status == SINQ_FAILED, "%s is accepted", bad[i].parameters);
        ck_assert_msg(strstr(error.message, bad[i].message) != NULL, "%s: %s", bad[i].parameters, error.message);
        ck_assert_ptr_null(rope.frequencies);
        ck_assert_ptr_null(rope.long_frequencies);
    }
}
END_TEST

UNIT_MAIN("rope", rotations_are_those_of_the_formulas, known_values, only_longrope_switches_and_only_on_crossing,
          faults_are_named)
