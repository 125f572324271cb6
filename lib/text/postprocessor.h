/* postprocessor.h: the special tokens that tokenizer.json's "post_processor" puts around a text (BOS, EOS). Immutable. */
#ifndef SINQ_TEXT_POSTPROCESSOR_H
#define SINQ_TEXT_POSTPROCESSOR_H

#include "text/component.h"

struct sinq_postprocessor {
    struct sinq_tokens before, after;
};

int sinq_read_postprocessor(const char *path, const cJSON *json, struct sinq_postprocessor *postprocessor,
                            struct sinq_error *error);
void sinq_postprocessor_free(struct sinq_postprocessor *postprocessor);

#endif
