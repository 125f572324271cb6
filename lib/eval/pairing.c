#include "eval/pairing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "eval/same_bytes.h"

/* "[1024, 768]" */
static const char *print_shape(const struct sinq_tensor *tensor, char *text, size_t size) {
    size_t used = 0;
    text[used++] = '[';
    for (uint32_t i = 0; i < tensor->rank && used < size; i++) {
        const int added =
            snprintf(text + used, size - used, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)tensor->shape[i]);
        used += added > 0 ? (size_t)added : 0;
    }
    (void)snprintf(text + (used < size ? used : size - 1), used < size ? size - used : 1, "]");
    return text;
}

static bool is_same_shape(const struct sinq_tensor *a, const struct sinq_tensor *b) {
    return a->rank == b->rank && memcmp(a->shape, b->shape, a->rank * sizeof a->shape[0]) == 0;
}

static int check_shapes(const struct sinq_source *model, const struct sinq_tensor *a,
                        const struct sinq_source *reference, const struct sinq_tensor *b, struct sinq_error *error) {
    char of_model[200], of_reference[200];
    if (is_same_shape(a, b)) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%.250s: tensor %.200s is %s, in %.250s it is %s", sinq_source_path(model),
                     a->name, print_shape(a, of_model, sizeof of_model), sinq_source_path(reference),
                     print_shape(b, of_reference, sizeof of_reference));
}

static enum sinq_role find_role(const struct sinq_source *source, const struct sinq_tensor *tensor) {
    return sinq_classify_tensor(sinq_source_model_type(source), tensor).role;
}

/* Whether `index` is an lm_head that only repeats the embeddings. */
static int find_tied(const struct sinq_source *source, size_t index, bool *tied, struct sinq_error *error) {
    const struct sinq_tensor *const head = sinq_source_tensor(source, index);
    *tied = false;
    if (find_role(source, head) != SINQ_ROLE_LM_HEAD) return SINQ_OK;
    for (size_t i = 0; i < sinq_source_tensor_count(source) && !*tied; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        if (find_role(source, tensor) != SINQ_ROLE_EMBEDDING || tensor->dtype != head->dtype ||
            !is_same_shape(tensor, head)) {
            continue;
        }
        const int status = sinq_is_same_bytes(source, i, source, index, tied, error);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

static int note_missing(struct sinq_pairing *pairing, const struct sinq_source *source, size_t index,
                        struct sinq_error *error) {
    bool tied;
    const int status = find_tied(source, index, &tied, error);
    if (status != SINQ_OK || tied) return status;
    if (pairing->missing++ == 0) pairing->first_missing = sinq_source_tensor(source, index)->name;
    return SINQ_OK;
}

static int pair_model(const struct sinq_source *model, const struct sinq_source *reference,
                      struct sinq_pairing *pairing, struct sinq_error *error) {
    for (size_t i = 0; i < sinq_source_tensor_count(model); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(model, i);
        if (tensor->is_block_scale) continue;
        const int64_t found = sinq_source_find(reference, tensor->name);
        int status;
        if (found < 0) {
            status = note_missing(pairing, model, i, error);
        } else {
            status = check_shapes(model, tensor, reference, sinq_source_tensor(reference, (size_t)found), error);
            pairing->pairs[pairing->count++] =
                (struct sinq_weight_error){.tensor = i, .reference_tensor = (size_t)found};
        }
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

int sinq_pair_tensors(const struct sinq_source *model, const struct sinq_source *reference,
                      struct sinq_pairing *pairing, struct sinq_error *error) {
    const size_t most = sinq_source_tensor_count(model);
    *pairing = (struct sinq_pairing){.pairs = calloc(most + 1, sizeof *pairing->pairs)};
    if (pairing->pairs == NULL) return sinq_fail_memory(error, "a comparison", most * sizeof *pairing->pairs);
    int status = pair_model(model, reference, pairing, error);
    for (size_t i = 0; i < sinq_source_tensor_count(reference) && status == SINQ_OK; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(reference, i);
        if (tensor->is_block_scale || sinq_source_find(model, tensor->name) >= 0) continue;
        status = note_missing(pairing, reference, i, error);
    }
    if (status == SINQ_OK) return SINQ_OK;
    free(pairing->pairs);
    *pairing = (struct sinq_pairing){0};
    return status;
}
