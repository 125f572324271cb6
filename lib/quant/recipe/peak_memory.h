/*
 * peak_memory.h: how much memory quantizing takes, known before anything is read. Numbers saturate instead of overflowing. No state.
 */
#ifndef SINQ_QUANT_PEAK_MEMORY_H
#define SINQ_QUANT_PEAK_MEMORY_H

#include <stdint.h>

#include "tensor/dtype.h"

/* Memory for code, thread stacks, the list of tensors, and what the sink holds. */
#define SINQ_BASE_MEMORY ((uint64_t)64 << 20)

/* Two matrices, as they are held and with their blobs, are in memory at once where they take no more than this together. */
#define SINQ_OVERLAP_MEMORY ((uint64_t)512 << 20)

/* Bytes for each element of a matrix in hand: bf16 stays, all else becomes f32; a quantized one has its blob too. */
uint64_t sinq_held_bytes(enum sinq_dtype dtype);

/* What one matrix takes as it is held, and its blob. */
uint64_t sinq_matrix_memory(uint64_t rows, uint64_t cols, enum sinq_dtype dtype, uint64_t blob_bytes);

/*
 * An upper bound on the bytes of memory while a matrix of `rows` x `cols` is in hand, rows and columns rounded up to 32:
 *
 *   rows * cols * element_bytes              the matrix; element_bytes as the job holds it, 2 for bf16 and 4 for most others
 *   units * 512                              beside each unit, a run of max(group, 32) columns
 *   rows * groups * 8 + cols * 4             zeros before they are stored, and what wider scales and zeros would take
 *   blob_bytes                               the quantized matrix
 *   workers * (rows + unit) * 256            workers = min(threads, units): what normalizing and rounding a unit takes
 *   threads * (5 MiB + longest side * 12)    what is being read; kept tensors stream through it too
 *   SINQ_BASE_MEMORY
 *
 * With more than one thread the matrix and its blob count twice, but not beyond SINQ_OVERLAP_MEMORY, for the next one.
 * It saturates instead of overflowing. Without a matrix (rows = cols = 0) it is what keeping tensors takes.
 */
uint64_t sinq_estimate_peak_memory(uint64_t rows, uint64_t cols, uint64_t element_bytes, uint32_t group_size,
                                   uint64_t blob_bytes, unsigned threads);

/* What rounding a matrix of `cols` inputs with statistics of them takes besides. */
uint64_t sinq_estimate_feedback_memory(uint64_t cols, unsigned threads);

#endif
