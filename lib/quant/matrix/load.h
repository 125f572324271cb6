/*
 * load.h: reading tensors for the quantize job: in chunks, by several threads, hashed while they pass.
 *
 * A tensor's source hash is that of its chunks' hashes, in order; where chunks begin depends on its shape alone, so the hash
 * does not depend on the number of threads.
 */
#ifndef SINQ_QUANT_LOAD_H
#define SINQ_QUANT_LOAD_H

#include "base/hash.h"
#include "quant/matrix/matrix.h"
#include "sinq.h"

struct sinq_loader {
    const struct sinq_source *source;
    unsigned threads;
    bool replace_nonfinite;
    _Atomic uint64_t nonfinite_replaced; /* so far */
    uint8_t *buffers;                    /* one chunk a thread; grows as needed */
    uint64_t buffer_capacity;
    struct sinq_hash *hashes; /* one a chunk */
    uint64_t hash_capacity;
    bool has_indirect; /* the last tensor whose matrices are not read row by row, and its hash */
    size_t indirect_tensor;
    struct sinq_hash indirect_hash;
};

void sinq_free_loader(struct sinq_loader *loader);

/* Matrix `index` of the stack that `tensor` is, into `units`; *hash becomes that of its stored bytes. */
int sinq_load_matrix(struct sinq_loader *loader, size_t tensor, uint64_t index, bool transposed, uint32_t group_size,
                     struct sinq_unit_matrix *units, struct sinq_hash *hash, struct sinq_error *error);

/*
 * The same in steps, so that a caller's threads can do other work beside it: begin; each chunk once, from any thread; end,
 * which frees the load. A loader has one load at a time.
 */
struct sinq_matrix_load;
int sinq_load_begin(struct sinq_loader *loader, size_t tensor, uint64_t index, bool transposed, uint32_t group_size,
                    struct sinq_unit_matrix *units, struct sinq_matrix_load **load, struct sinq_error *error);
uint64_t sinq_load_chunk_count(const struct sinq_matrix_load *load);
void sinq_load_chunk(struct sinq_matrix_load *load, uint64_t chunk, unsigned worker);
int sinq_load_end(struct sinq_matrix_load *load, struct sinq_hash *hash, struct sinq_error *error);

/*
 * Passes the stored bytes of a tensor on, in order, through `write` (NULL: only hashes them). Float values are checked, and
 * replaced where that is asked for.
 */
typedef int sinq_write_fn(void *user, const void *bytes, uint64_t size, struct sinq_error *error);
int sinq_copy_tensor(struct sinq_loader *loader, size_t tensor, sinq_write_fn *write, void *user,
                     struct sinq_hash *hash, struct sinq_error *error);

/* The hash that loading every matrix of `tensor`, or copying it, gives: to see whether a source is still the same. */
int sinq_hash_matrices(struct sinq_loader *loader, size_t tensor, struct sinq_hash *hash, struct sinq_error *error);

#endif
