/*
 * attention_ways.h: the two ways through a block of positions: tiles, for many queries, pack keys and values, a stream, for few,
 * reads them as they are.
 */
#ifndef SINQ_KERNELS_ATTENTION_WAYS_H
#define SINQ_KERNELS_ATTENTION_WAYS_H

#include "kernels/attention_pass.h"

/* Queries into place; a block's keys and the scores of one tile; its values, times shares, into the sums. */
void sinq_tiles_load_queries(const struct sinq_attention_pass *pass);
void sinq_tiles_load_keys(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);
void sinq_tiles_score(const struct sinq_attention_pass *pass, uint32_t tile, const struct sinq_attention_block *block);
void sinq_tiles_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);

/* The same; all queries are one tile. */
void sinq_stream_load_queries(const struct sinq_attention_pass *pass);
void sinq_stream_score(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);
void sinq_stream_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block);

#endif
