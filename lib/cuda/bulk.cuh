/*
 * bulk.cuh: copies into shared memory that run on their own, and barriers that say when their bytes are there. Compute capability 9.0
 * and later; elsewhere nothing may call it.
 */
#ifndef SINQ_CUDA_BULK_CUH
#define SINQ_CUDA_BULK_CUH

#include <stdint.h>

static __device__ __forceinline__ uint32_t shared_address(const void *at) {
    return (uint32_t)__cvta_generic_to_shared(at);
}
static __device__ __forceinline__ void init_barrier(uint64_t *barrier, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count));
}
/* Makes barriers known to copies. */
static __device__ __forceinline__ void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
static __device__ __forceinline__ void wait_barrier(uint64_t *barrier, uint32_t phase) {
    asm volatile("{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra done;\n"
                 "bra again;\ndone:\n}" ::"r"(shared_address(barrier)),
                 "r"(phase)
                 : "memory");
}
static __device__ __forceinline__ void arrive_barrier(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
static __device__ __forceinline__ void expect_bytes(uint64_t *barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
/* Both ends on 16 bytes, and so `bytes`. */
static __device__ __forceinline__ void copy_bulk(uint8_t *to, const uint8_t *from, uint32_t bytes, uint64_t *barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

/* 16 bytes that one thread copies while it goes on, and what arrives when all of its copies have. */
static __device__ __forceinline__ void copy_async(uint8_t *to, const uint8_t *from) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
static __device__ __forceinline__ void arrive_copied(uint64_t *barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier)) : "memory");
}

#endif
