/*
 * attention_ways.h: the two ways through a block of positions: tiles, for many queries, pack keys and values, a stream, for few,
 * reads them as they are.
 */
#ifndef SINQ_KERNELS_ATTENTION_WAYS_H
#define SINQ_KERNELS_ATTENTION_WAYS_H

#include "kernels/attention_pass.h"

/* Each: queries into place; a block's scores; its values, times shares, into the sums. */
void sinq_tiles_load(const struct sinq_attention_pass *pass);
void sinq_tiles_score(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);
void sinq_tiles_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);
void sinq_stream_load(const struct sinq_attention_pass *pass);
void sinq_stream_score(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);
void sinq_stream_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);

#endif
