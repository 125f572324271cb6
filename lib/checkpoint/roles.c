#include "checkpoint/roles.h"

#include <string.h>

#include "checkpoint/families.h"
#include "tensor/dtype.h"

#define SMALLEST_SIDE 32u /* of a linear layer of an unknown family */

static const char *const role_names[SINQ_ROLE_COUNT] = {
    [SINQ_ROLE_UNKNOWN] = "unknown",
    [SINQ_ROLE_EMBEDDING] = "token embedding",
    [SINQ_ROLE_POSITION_EMBEDDING] = "position embedding",
    [SINQ_ROLE_LM_HEAD] = "lm_head",
    [SINQ_ROLE_NORM] = "norm",
    [SINQ_ROLE_BIAS] = "bias",
    [SINQ_ROLE_QUERY] = "attention query",
    [SINQ_ROLE_KEY] = "attention key",
    [SINQ_ROLE_VALUE] = "attention value",
    [SINQ_ROLE_QUERY_KEY_VALUE] = "attention query, key and value",
    [SINQ_ROLE_ATTENTION_OUTPUT] = "attention output",
    [SINQ_ROLE_QUERY_A] = "attention query, first half",
    [SINQ_ROLE_QUERY_B] = "attention query, second half",
    [SINQ_ROLE_KEY_VALUE_A] = "attention key and value, first half",
    [SINQ_ROLE_KEY_VALUE_B] = "attention key and value, second half",
    [SINQ_ROLE_GATE] = "mlp gate",
    [SINQ_ROLE_UP] = "mlp up",
    [SINQ_ROLE_GATE_UP] = "mlp gate and up",
    [SINQ_ROLE_DOWN] = "mlp down",
    [SINQ_ROLE_ROUTER] = "router",
    [SINQ_ROLE_CONVOLUTION] = "convolution",
    [SINQ_ROLE_OTHER_LINEAR] = "linear layer",
    [SINQ_ROLE_OTHER] = "parameter or buffer outside linear layers",
};

const char *sinq_role_name(enum sinq_role role) {
    return (unsigned)role < SINQ_ROLE_COUNT ? role_names[role] : role_names[SINQ_ROLE_UNKNOWN];
}

/* ---- pieces of names ---- */

static bool has_text(const char *name, const char *text) { return strstr(name, text) != NULL; }

static bool begins_with(const char *name, const char *prefix) { return strncmp(name, prefix, strlen(prefix)) == 0; }

static bool ends_with(const char *name, const char *suffix) {
    const size_t size = strlen(name), suffix_size = strlen(suffix);
    return size >= suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

/* Whether one of the components, which dots separate, is `component`. */
static bool has_component(const char *name, const char *component) {
    const size_t size = strlen(component);
    for (const char *at = name; at != NULL; at = strchr(at, '.')) {
        if (*at == '.') at++;
        if (strncmp(at, component, size) == 0 && (at[size] == '.' || at[size] == '\0')) return true;
    }
    return false;
}

/* The first component that is a number of at most 8 digits, or -1. */
static int find_number(const char *name) {
    for (const char *at = name; at != NULL; at = strchr(at, '.')) {
        if (*at == '.') at++;
        const size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 8 || (at[digits] != '.' && at[digits] != '\0')) continue;
        int number = 0;
        for (size_t i = 0; i < digits; i++) number = number * 10 + (at[i] - '0');
        return number;
    }
    return -1;
}

const char *sinq_skip_wrappers(const char *name) {
    static const char *const wrappers[] = {"model.", "language_model.", "transformer.", "decoder.", "gpt_neox."};
    const size_t count = sizeof wrappers / sizeof wrappers[0];
    for (size_t i = 0; i < count; i++) {
        if (!begins_with(name, wrappers[i])) continue;
        name += strlen(wrappers[i]);
        i = (size_t)-1; /* wrappers nest in any order */
    }
    return name;
}

/* Vision and audio towers and what projects from them into the text model. */
static bool is_tower(const char *name) {
    static const char *const towers[] = {"vision",       "visual", "audio",        "multi_modal_projector",
                                         "mm_projector", "image_", "embed_vision", "embed_audio"};
    for (size_t i = 0; i < sizeof towers / sizeof towers[0]; i++) {
        if (begins_with(name, towers[i])) return true;
    }
    return false;
}

static bool is_linear_role(enum sinq_role role) {
    return (role >= SINQ_ROLE_QUERY && role <= SINQ_ROLE_DOWN) || role == SINQ_ROLE_OTHER_LINEAR;
}

static bool is_weight_dtype(enum sinq_dtype dtype) { return dtype == SINQ_DUAL_SCALE || sinq_dtype_is_float(dtype); }

/* ---- known families ---- */

static struct sinq_pattern_match match_suffix(const struct sinq_family *family, const char *name, const char *suffix,
                                              unsigned flags) {
    if (!ends_with(name, suffix)) return (struct sinq_pattern_match){NULL, -1, -1};
    return sinq_match_family(family, name, strlen(name) - strlen(suffix), flags);
}

/* The role of the tensor that a family's table gives its name; SINQ_ROLE_UNKNOWN where no pattern fits. */
static struct sinq_tensor_role classify_known(const struct sinq_family *family, const char *name) {
    bool is_bias = false;
    struct sinq_pattern_match match = match_suffix(family, name, "", SINQ_PATTERN_RAW | SINQ_PATTERN_STACK);
    if (match.pattern == NULL) match = match_suffix(family, name, ".weight", 0);
    if (match.pattern == NULL) {
        match = match_suffix(family, name, ".bias", 0);
        if (match.pattern == NULL) match = match_suffix(family, name, "_bias", SINQ_PATTERN_STACK);
        is_bias = match.pattern != NULL && match.pattern->role != SINQ_ROLE_NORM;
    }
    if (match.pattern == NULL) return (struct sinq_tensor_role){.layer = -1, .expert = -1};
    const unsigned flags = match.pattern->flags;
    return (struct sinq_tensor_role){
        .role = is_bias ? SINQ_ROLE_BIAS : match.pattern->role,
        .layer = match.layer,
        .expert = match.expert,
        .is_expert = match.expert >= 0 || (flags & SINQ_PATTERN_STACK) != 0,
        .is_shared_expert = (flags & SINQ_PATTERN_SHARED) != 0,
        .is_transposed = !is_bias && (flags & SINQ_PATTERN_TRANSPOSED) != 0,
    };
}

/* ---- unknown families ---- */

/* The last component is "gate" or a gate of a shared expert, and it is not one expert's own gate. */
static bool is_expert_gate(const char *name) {
    if (ends_with(name, "shared_expert_gate.weight")) return true;
    return ends_with(name, ".gate.weight") && !has_text(name, "experts.") && !has_text(name, "expert.");
}

/* What a name says is kept, by the patterns that roles.h lists; SINQ_ROLE_UNKNOWN where it says nothing. */
static enum sinq_role find_kept_role(const char *name) {
    if (has_text(name, "lm_head") || has_text(name, "embed_out")) return SINQ_ROLE_LM_HEAD;
    if (ends_with(name, ".bias") || ends_with(name, "_bias")) return SINQ_ROLE_BIAS;
    if (has_component(name, "wpe") || has_text(name, "embed_pos") || has_text(name, "position_embed"))
        return SINQ_ROLE_POSITION_EMBEDDING;
    if (has_component(name, "wte") || has_text(name, "embed")) return SINQ_ROLE_EMBEDDING;
    if (has_text(name, "norm")) return SINQ_ROLE_NORM;
    if (has_text(name, "router") || is_expert_gate(name)) return SINQ_ROLE_ROUTER;
    if (has_text(name, "conv")) return SINQ_ROLE_CONVOLUTION;
    if (has_text(name, "bias")) return SINQ_ROLE_BIAS;
    return SINQ_ROLE_UNKNOWN;
}

/* The purpose of a linear layer whose module has a usual name; only reports depend on it. */
static enum sinq_role guess_linear_role(const char *name) {
    static const struct {
        const char *module;
        enum sinq_role role;
    } usual[] = {
        {"q_proj", SINQ_ROLE_QUERY},
        {"k_proj", SINQ_ROLE_KEY},
        {"v_proj", SINQ_ROLE_VALUE},
        {"o_proj", SINQ_ROLE_ATTENTION_OUTPUT},
        {"out_proj", SINQ_ROLE_ATTENTION_OUTPUT},
        {"qkv_proj", SINQ_ROLE_QUERY_KEY_VALUE},
        {"query_key_value", SINQ_ROLE_QUERY_KEY_VALUE},
        {"gate_proj", SINQ_ROLE_GATE},
        {"up_proj", SINQ_ROLE_UP},
        {"gate_up_proj", SINQ_ROLE_GATE_UP},
        {"down_proj", SINQ_ROLE_DOWN},
        {"w1", SINQ_ROLE_GATE},
        {"w3", SINQ_ROLE_UP},
        {"w2", SINQ_ROLE_DOWN},
    };
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (has_component(name, usual[i].module)) return usual[i].role;
    }
    return SINQ_ROLE_OTHER_LINEAR;
}

/* Why a tensor of an unknown family cannot be taken for a linear layer; NULL if it can. */
static const char *find_obstacle(const struct sinq_tensor *tensor, const char *name) {
    if (!is_weight_dtype(tensor->dtype)) return "not a floating-point tensor";
    if (tensor->rank == 0) return "a single value";
    if (tensor->rank == 1) return "1-D";
    if (tensor->rank > 3) return "more than 3 dimensions";
    if (tensor->rank == 3 && !has_text(name, "experts")) return "3-D and not named as experts";
    if (tensor->rank == 2 && !ends_with(name, ".weight")) return "not named as a weight";
    const uint64_t rows = tensor->shape[tensor->rank - 2], cols = tensor->shape[tensor->rank - 1];
    if (rows < SMALLEST_SIDE) return "fewer than 32 rows";
    if (cols < SMALLEST_SIDE) return "fewer than 32 columns";
    return NULL;
}

static void classify_unknown(const struct sinq_tensor *tensor, const char *name, struct sinq_tensor_role *role) {
    const char *const experts = strstr(name, "experts.");
    role->layer = find_number(name);
    role->expert = experts != NULL ? find_number(experts) : -1;
    role->is_shared_expert = has_text(name, "shared_expert");
    role->is_expert = !role->is_shared_expert && has_text(name, "experts");
    role->role = find_kept_role(name);
    if (role->role != SINQ_ROLE_UNKNOWN) return;
    role->reason = find_obstacle(tensor, name);
    if (role->reason == NULL) role->role = guess_linear_role(name);
}

/* ---- all ---- */

/* Why a linear layer stays as it is by its type or shape; NULL if it need not. */
static const char *find_unfit(const struct sinq_tensor *tensor, const struct sinq_tensor_role *role) {
    if (tensor->rank < 2) return "1-D";
    if (tensor->rank > 3) return "more than 3 dimensions";
    if (tensor->rank == 3 && !role->is_expert) return "3-D and not a stack of experts";
    return NULL;
}

/* Codes and scales of other quantized formats, which this program does not read as weights. */
static const char *find_foreign_reason(const struct sinq_tensor *tensor) {
    if (tensor->is_block_scale) return "block scale of an FP8 tensor";
    if (tensor->dtype == SINQ_U8 && ends_with(tensor->name, "_blocks")) return "MXFP4 codes, quantized already";
    if (tensor->dtype == SINQ_U8 && ends_with(tensor->name, "_scales")) return "MXFP4 scales, quantized already";
    if (!is_weight_dtype(tensor->dtype)) return "not a floating-point tensor";
    return NULL;
}

struct sinq_tensor_role sinq_classify_tensor(const char *model_type, const struct sinq_tensor *tensor) {
    const struct sinq_family *const family = sinq_find_family(model_type);
    const char *const name = sinq_skip_wrappers(tensor->name);
    const bool is_vision = is_tower(name);
    struct sinq_tensor_role role = {.layer = -1, .expert = -1};
    if (family != NULL && !is_vision) role = classify_known(family, name);
    if (role.role == SINQ_ROLE_UNKNOWN) classify_unknown(tensor, name, &role);
    role.is_known_family = family != NULL;
    role.is_vision = is_vision;

    const char *const foreign = find_foreign_reason(tensor);
    if (foreign != NULL) {
        role.reason = foreign;
    } else if (is_vision) {
        role.reason = "part of a vision or audio tower";
    } else if (role.reason == NULL && is_linear_role(role.role)) {
        role.reason = find_unfit(tensor, &role);
        role.is_linear = role.reason == NULL;
    }
    if (role.reason == NULL) role.reason = sinq_role_name(role.role);
    return role;
}
