#include "quant/recipe/settings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "quant/matrix/rounding.h"
#include "tensor/method.h"

struct sinq_quantize_options sinq_default_quantize_options(void) {
    return (struct sinq_quantize_options){.group_size = -1, .method = -1, .scale_type = -1};
}

int sinq_method_bits(enum sinq_method method) {
    if (method == SINQ_METHOD_SINQ_NF4 || method == SINQ_METHOD_NF4) return 4;
    if (method == SINQ_METHOD_SINQ_NF3 || method == SINQ_METHOD_NF3) return 3;
    return 0;
}

/*
 * The default recipe: what loses least at no more than a quarter of a bit beside the codes (docs/rounding.md). A method that was
 * asked for is no part of it, and gets what every method can have.
 */
static void fill_in(struct sinq_settings *settings) {
    const bool has_levels = settings->bits <= 4;
    if (!settings->has_group_size) settings->group_size = has_levels && !settings->has_method ? 32 : 64;
    if (!settings->has_scale_type) settings->scale_type = settings->has_method ? SINQ_AUX_U8 : SINQ_AUX_U6;
    if (!settings->has_method) settings->method = has_levels ? SINQ_METHOD_SINQ_LEVELS : SINQ_METHOD_SINQ_SEARCH;
}

int sinq_apply_setting(const struct sinq_settings *base, const struct sinq_rule_setting *setting, const char *who,
                       struct sinq_settings *result, struct sinq_error *error) {
    *result = *base;
    result->has_group_size |= setting->group_size >= 0;
    result->has_method |= setting->method >= 0;
    result->has_scale_type |= setting->scale_type >= 0;
    if (setting->group_size >= 0) result->group_size = (uint32_t)setting->group_size;
    if (setting->method >= 0) result->method = (enum sinq_method)setting->method;
    if (setting->scale_type >= 0) result->scale_type = (enum sinq_aux_type)setting->scale_type;
    const int only = result->has_method ? sinq_method_bits(result->method) : 0;
    if (setting->bits != 0) {
        result->bits = setting->bits;
    } else if (setting->method >= 0 && only != 0) {
        result->bits = only;
    }
    fill_in(result);
    if (sinq_method_is_symmetric(result->method) && result->bits == 2) {
        return sinq_fail(error, SINQ_USAGE, "%s: method %s needs 3 bits or more", who,
                         sinq_method_name(result->method));
    }
    const bool has_byte_levels = sinq_method_has_byte_levels(result->method);
    if (has_byte_levels && result->bits > 4) {
        return sinq_fail(error, SINQ_USAGE, "%s: method %s is for 2, 3 or 4 bits, not for %d", who,
                         sinq_method_name(result->method), result->bits);
    }
    if (result->scale_type == SINQ_AUX_U6 && !has_byte_levels && !sinq_method_is_searched(result->method)) {
        return sinq_fail(error, SINQ_USAGE, "%s: scales of 6 bits are for methods that search them, not for %s", who,
                         sinq_method_name(result->method));
    }
    if (only == 0 || result->bits == only) return SINQ_OK;
    return sinq_fail(error, SINQ_USAGE, "%s: method %s is for %d bits, not for %d", who,
                     sinq_method_name(result->method), only, result->bits);
}

static int check_bits(const char *option, int bits, struct sinq_error *error) {
    if (bits == 0 || sinq_is_bits(bits)) return SINQ_OK;
    return sinq_fail(error, SINQ_USAGE, "%s %d: expected 2, 3, 4, 5, 6 or 8", option, bits);
}

static int check_options(const struct sinq_quantize_options *options, struct sinq_error *error) {
    if (check_bits("--bits", options->bits, error) != SINQ_OK) return SINQ_USAGE;
    if (check_bits("--head-bits", options->head_bits, error) != SINQ_OK) return SINQ_USAGE;
    if (check_bits("--embed-bits", options->embed_bits, error) != SINQ_OK) return SINQ_USAGE;
    if (options->group_size != -1 && !sinq_is_group_size(options->group_size)) {
        return sinq_fail(error, SINQ_USAGE, "--group-size %d: expected 16, 32, 64, 128 or row", options->group_size);
    }
    if (options->method < -1 || options->method >= SINQ_METHOD_COUNT) {
        return sinq_fail(error, SINQ_USAGE, "--method: found number %d, expected one below %d", options->method,
                         SINQ_METHOD_COUNT);
    }
    if (options->scale_type != -1 && options->scale_type != SINQ_AUX_F16 && options->scale_type != SINQ_AUX_U8 &&
        options->scale_type != SINQ_AUX_U6) {
        const bool is_type = options->scale_type >= 0 && options->scale_type < SINQ_AUX_COUNT;
        return sinq_fail(error, SINQ_USAGE, "--scale-type %s: expected f16, u8 or u6",
                         is_type ? sinq_aux_type_name((enum sinq_aux_type)options->scale_type) : "unknown");
    }
    if (!isfinite(options->kurtosis_gate) || options->kurtosis_gate < 0) {
        return sinq_fail(error, SINQ_USAGE, "--kurtosis-gate %g: expected a number from 0", options->kurtosis_gate);
    }
    if (options->tiling_2d && !options->is_trial && options->format != SINQ_FORMAT_REFERENCE) {
        return sinq_fail(error, SINQ_USAGE,
                         "--tiling 2d: cannot be stored, the dual-scale layout holds one column scale a matrix");
    }
    return SINQ_OK;
}

static int find_recipe(const char *name, enum sinq_format format, struct sinq_settings *settings,
                       struct sinq_error *error) {
    static const struct sinq_settings sinq = {4, 64, SINQ_METHOD_SINQ, SINQ_AUX_U8, true, true, true};
    const bool is_paper = name != NULL && strcmp(name, "paper") == 0;
    if (name != NULL && !is_paper && strcmp(name, "default") != 0) {
        return sinq_fail(error, SINQ_USAGE, "--recipe %s: expected default or paper", name);
    }
    /* The reference's layout has neither fitted levels nor scales of 6 bits. */
    *settings = is_paper || format == SINQ_FORMAT_REFERENCE ? sinq : (struct sinq_settings){.bits = 4};
    if (is_paper) settings->scale_type = SINQ_AUX_F16;
    return SINQ_OK;
}

/* The base settings at other bits; 0 bits are not asked for. */
static int change_bits(const struct sinq_settings *base, const char *option, int bits, struct sinq_settings *result,
                       struct sinq_error *error) {
    const struct sinq_rule_setting setting = {.bits = bits, .group_size = -1, .method = -1, .scale_type = -1};
    char who[40];
    (void)snprintf(who, sizeof who, "%s %d", option, bits);
    return sinq_apply_setting(base, &setting, who, result, error);
}

int sinq_settle_options(const struct sinq_quantize_options *options, struct sinq_settings *base,
                        struct sinq_settings *head, struct sinq_settings *embedding, struct sinq_error *error) {
    int status = check_options(options, error);
    struct sinq_settings recipe;
    if (status == SINQ_OK) status = find_recipe(options->recipe, options->format, &recipe, error);
    if (status != SINQ_OK) return status;
    const struct sinq_rule_setting setting = {
        .bits = options->bits,
        .group_size = options->group_size,
        .method = options->method,
        .scale_type = options->scale_type,
    };
    char who[40];
    (void)snprintf(who, sizeof who, "--bits %d", options->bits);
    if (options->bits == 0) (void)snprintf(who, sizeof who, "--scale-type u6"); /* all other bits are the method's */
    status = sinq_apply_setting(&recipe, &setting, who, base, error);
    if (status == SINQ_OK) status = change_bits(base, "--head-bits", options->head_bits, head, error);
    if (status == SINQ_OK) status = change_bits(base, "--embed-bits", options->embed_bits, embedding, error);
    return status;
}
