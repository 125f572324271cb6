/* token_prefix.h: how much of a conversation a model has read already. */
#ifndef SINQ_CMD_TOKEN_PREFIX_H
#define SINQ_CMD_TOKEN_PREFIX_H

#include <stddef.h>
#include <stdint.h>

/* Tokens at the beginning that fed[0..fed_count) and prompt[0..count) have in common, but for the prompt's last: what comes behind it is wanted. */
static inline size_t sinq_count_common_tokens(const int32_t *fed, size_t fed_count, const int32_t *prompt,
                                              size_t count) {
    const size_t most = fed_count < count ? fed_count : count;
    size_t common = 0;
    while (common < most && fed[common] == prompt[common]) common++;
    return common < count || count == 0 ? common : count - 1;
}

#endif
