#include "vocabulary.h"

#include <stdio.h>

int sinq_check_vocabulary(const char *path, uint32_t tokenizer_size, uint32_t vocabulary, struct sinq_error *error) {
    if (tokenizer_size <= vocabulary || tokenizer_size - vocabulary <= vocabulary / 100) return SINQ_OK;
    snprintf(error->message, sizeof error->message,
             "%.600s: the tokenizer has %lu tokens and the model %lu: it is another model's", path,
             (unsigned long)tokenizer_size, (unsigned long)vocabulary);
    error->status = SINQ_FAILED;
    return SINQ_FAILED;
}
