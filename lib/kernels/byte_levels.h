/*
 * byte_levels.h: the inner loops of products of levels of bytes and one token's int8 activations, one version an instruction set,
 * behind multiply_byte_levels.c. A table of its own, so that one version more costs little.
 */
#ifndef SINQ_KERNELS_BYTE_LEVELS_H
#define SINQ_KERNELS_BYTE_LEVELS_H

#include "kernels/compute.h"

/* Levels in the order in which an instruction set looks them up, by codes and what is beside them. */
struct sinq_level_tables {
    _Alignas(64) uint8_t bytes[6][64];
};

/* Whole blocks of panels one behind the other, from one place or from two, and one token. */
struct sinq_byte_level_part {
    const uint8_t *lines;
    size_t line_stride; /* from one place to the other */
    size_t panel_bytes; /* from one panel of a place to the next */
    const struct sinq_level_tables *tables;
    const int8_t *x;
    size_t blocks, groups; /* groups: only those that have columns count */
    size_t group_blocks;   /* blocks of a group; 0: a block is two groups */
    const float *centres;  /* [group]: the levels' centre times the sum of x */
};

struct sinq_byte_level_kernels {
    /* [group] of low and step times the activations' scale; in place. */
    void (*fold_ranges)(size_t groups, const float *x_scales, float *ranges);
    /* By bits. */
    void (*place_levels[5])(const uint8_t levels[16], struct sinq_level_tables *tables);
    /*
     * By bits: sums[panel][place][16] += the product. scales[place]: magnitudes, and signs in bit 7, or packed; their ranges are as
     * fold_ranges leaves them.
     */
    void (*multiply[5])(const struct sinq_byte_level_part *part, const struct sinq_packed_aux *scales, unsigned places,
                        size_t panels, float *sums);
};

/* The table of the level in use (kernels/cpu.h). */
const struct sinq_byte_level_kernels *sinq_get_byte_level_kernels(void);

extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_c;
#if defined(__x86_64__)
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_sse2;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_ssse3;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_avx2;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_avx2vnni;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_avx512;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_avx512vbmi;
#elif defined(__aarch64__)
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_neon;
extern const struct sinq_byte_level_kernels sinq_byte_level_kernels_neondot;
#endif

#endif
