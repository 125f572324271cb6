#include "model/profile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_NAMES 64u /* more different ones than any family has */

struct sinq_profile *sinq_profile_create(const struct sinq_graph *graph) {
    struct sinq_profile *const profile = malloc(sizeof *profile);
    double *const seconds = calloc(graph->operation_count + 1, sizeof *seconds);
    if (profile == NULL || seconds == NULL) {
        free(profile);
        free(seconds);
        return NULL;
    }
    *profile = (struct sinq_profile){.operations = graph->operations, .seconds = seconds};
    return profile;
}

void sinq_profile_free(struct sinq_profile *profile) {
    if (profile == NULL) return;
    free(profile->seconds);
    free(profile);
}

/* "layers.3.mlp.experts.7.up_proj" without its numbers and "layers": "mlp.experts.up_proj". */
static void shorten_module(const char *module, char *name, size_t size) {
    size_t used = 0;
    if (strncmp(module, "layers.", strlen("layers.")) == 0) module += strlen("layers.");
    while (*module != '\0') {
        const size_t length = strcspn(module, ".");
        if (isdigit((unsigned char)*module) == 0 && used + length + 2 < size) {
            used += (size_t)snprintf(name + used, size - used, "%s%.*s", used > 0 ? "." : "", (int)length, module);
        }
        module += length + (module[length] == '.');
    }
}

static void name_operation(const struct sinq_graph *graph, const struct sinq_operation *op, char *name, size_t size) {
    static const char *const names[SINQ_OP_KIND_COUNT] = {
        [SINQ_OP_EMBED] = "embedding",   [SINQ_OP_NORM] = "norm",       [SINQ_OP_ROTATION] = "rotation",
        [SINQ_OP_ROPE] = "rope",         [SINQ_OP_STORE] = "store",     [SINQ_OP_ATTENTION] = "attention",
        [SINQ_OP_ACTIVATE] = "activate", [SINQ_OP_ADD] = "add",         [SINQ_OP_SOFTCAP] = "softcap",
        [SINQ_OP_ROUTE] = "route",       [SINQ_OP_COMBINE] = "combine",
    };
    uint32_t weight = SINQ_NO_WEIGHT;
    if (op->kind == SINQ_OP_LINEAR) weight = op->linear.weight;
    if (op->kind == SINQ_OP_HEAD_LINEAR) weight = op->head_linear.weight;
    if (op->kind == SINQ_OP_EXPERT_LINEAR) weight = op->expert_linear.first_weight;
    if (weight == SINQ_NO_WEIGHT) {
        (void)snprintf(name, size, "%s", names[op->kind]);
    } else if (op->for_logits) {
        (void)snprintf(name, size, "head");
    } else {
        shorten_module(graph->wants[weight].module, name, size);
    }
}

/* The entry of that name, or a new one. */
static struct sinq_profile_entry *find_entry(struct sinq_profile_entry *entries, size_t *count, const char *name) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(entries[i].name, name) == 0) return &entries[i];
    }
    if (*count == MOST_NAMES) return &entries[MOST_NAMES - 1];
    struct sinq_profile_entry *const entry = &entries[(*count)++];
    *entry = (struct sinq_profile_entry){.seconds = 0};
    (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    return entry;
}

size_t sinq_profile_take(struct sinq_profile *profile, const struct sinq_graph *graph,
                         struct sinq_profile_entry *entries, size_t most) {
    struct sinq_profile_entry all[MOST_NAMES];
    size_t count = 0;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        char name[sizeof all->name];
        name_operation(graph, &graph->operations[i], name, sizeof name);
        struct sinq_profile_entry *const entry = find_entry(all, &count, name);
        entry->seconds += profile->seconds[i];
        entry->operations++;
        profile->seconds[i] = 0;
    }
    for (size_t i = 0; i < count && i < most; i++) entries[i] = all[i];
    return count;
}
