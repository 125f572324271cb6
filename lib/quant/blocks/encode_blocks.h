/*
 * encode_blocks.h: f32 to the tensor types of GGUF, with a search for each block's scales.
 *
 * A block's codes and scales are those with the least sum over its values of weight * (value - decoded)^2 that the search
 * finds, scales being judged as they are stored. The bytes depend on nothing but the arguments.
 */
#ifndef SINQ_QUANT_ENCODE_BLOCKS_H
#define SINQ_QUANT_ENCODE_BLOCKS_H

#include "tensor/block_types.h"

/*
 * `count` finite values, whole blocks of them (a row, or a part of one), to a type with is_written. `importance`: `count` weights
 * of columns, finite and not negative, e.g. 1 / t^2 of a column scale t (what is scaled down counts less); NULL: all count
 * alike. Nothing is allocated, rows may be encoded by different threads.
 */
void sinq_encode_blocks(const struct sinq_block_type *type, const float *values, const float *importance, size_t count,
                        uint8_t *bytes);

#endif
