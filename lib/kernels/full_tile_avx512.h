/*
 * full_tile_avx512.h: whole groups of two panels times a full tile of eight tokens, the inner loop of prompts, in assembler: what
 * gcc makes of it takes a twelfth longer, for it moves sums between registers and keeps addresses on the stack.
 */
#ifndef SINQ_KERNELS_FULL_TILE_AVX512_H
#define SINQ_KERNELS_FULL_TILE_AVX512_H

#include "kernels/compute.h"

#define HAS_FULL_TILE

#define STEP(BY, POINTER) "addq " BY ", %[" #POINTER "]\n\t"

/* One quad of a token: the sums are zmm0 to 7 of the first panel, 8 to 15 of the second. */
#define DOT_TOKEN(QUAD, TOKEN, FIRST, SECOND)                                                                          \
    "vpbroadcastd 32*" #QUAD "+4*" #TOKEN "(%[x]), %%zmm18\n\t"                                                        \
    "vpdpbusd %%zmm18, %%zmm16, %%zmm" #FIRST "\n\t"                                                                   \
    "vpdpbusd %%zmm18, %%zmm17, %%zmm" #SECOND "\n\t"
#define DOT_QUAD(QUAD)                                                                                                 \
    "vmovdqu64 64*" #QUAD "(%[lines]), %%zmm16\n\t"                                                                    \
    "vmovdqu64 64*" #QUAD "(%[lines],%[line_stride]), %%zmm17\n\t" DOT_TOKEN(QUAD, 0, 0, 8) DOT_TOKEN(QUAD, 1, 1, 9)   \
        DOT_TOKEN(QUAD, 2, 2, 10) DOT_TOKEN(QUAD, 3, 3, 11) DOT_TOKEN(QUAD, 4, 4, 12) DOT_TOKEN(QUAD, 5, 5, 13)        \
            DOT_TOKEN(QUAD, 6, 6, 14) DOT_TOKEN(QUAD, 7, 7, 15)

#define DOT_FOUR_QUADS DOT_QUAD(0) DOT_QUAD(1) DOT_QUAD(2) DOT_QUAD(3) STEP("$256", lines) STEP("$128", x)

#define ALL_TOKENS(OF_TOKEN)                                                                                           \
    OF_TOKEN(0, 0, 8)                                                                                                  \
    OF_TOKEN(1, 1, 9)                                                                                                  \
    OF_TOKEN(2, 2, 10) OF_TOKEN(3, 3, 11) OF_TOKEN(4, 4, 12) OF_TOKEN(5, 5, 13) OF_TOKEN(6, 6, 14) OF_TOKEN(7, 7, 15)

#define CLEAR(SUM)             "vpxord %%zmm" #SUM ", %%zmm" #SUM ", %%zmm" #SUM "\n\t"
#define CLEAR_FOUR(A, B, C, D) CLEAR(A) CLEAR(B) CLEAR(C) CLEAR(D)
#define CLEAR_ALL              CLEAR_FOUR(0, 1, 2, 3) CLEAR_FOUR(4, 5, 6, 7) CLEAR_FOUR(8, 9, 10, 11) CLEAR_FOUR(12, 13, 14, 15)

/* The same as add_group(), of one token. */
#define END_TOKEN(TOKEN, FIRST, SECOND)                                                                                \
    "vbroadcastss 4*" #TOKEN "(%[x_scales]), %%zmm18\n\t"                                                              \
    "vbroadcastss 4*" #TOKEN "(%[x_sums]), %%zmm19\n\t"                                                                \
    "vcvtdq2ps %%zmm" #FIRST ", %%zmm" #FIRST "\n\t"                                                                   \
    "vcvtdq2ps %%zmm" #SECOND ", %%zmm" #SECOND "\n\t"                                                                 \
    "vmulps %%zmm18, %%zmm20, %%zmm24\n\t"                                                                             \
    "vmulps %%zmm18, %%zmm21, %%zmm25\n\t"                                                                             \
    "vfnmadd231ps %%zmm19, %%zmm22, %%zmm" #FIRST "\n\t"                                                               \
    "vfnmadd231ps %%zmm19, %%zmm23, %%zmm" #SECOND "\n\t"                                                              \
    "vfmadd213ps 64*" #TOKEN "(%[sums]), %%zmm24, %%zmm" #FIRST "\n\t"                                                 \
    "vfmadd213ps 64*" #TOKEN "(%[sums],%[sums_stride]), %%zmm25, %%zmm" #SECOND "\n\t"                                 \
    "vmovups %%zmm" #FIRST ", 64*" #TOKEN "(%[sums])\n\t"                                                              \
    "vmovups %%zmm" #SECOND ", 64*" #TOKEN "(%[sums],%[sums_stride])\n\t"

#define LOAD(PLACE, FROM) "vmovups " FROM ", %%zmm" #PLACE "\n\t"
#define LOAD_ALL                                                                                                       \
    LOAD(20, "(%[scales])")                                                                                            \
    LOAD(21, "(%[scales],%[panel_stride])") LOAD(22, "(%[zeros])") LOAD(23, "(%[zeros],%[panel_stride])")
#define END_GROUP                                                                                                      \
    LOAD_ALL ALL_TOKENS(END_TOKEN) STEP("%[step]", scales) STEP("%[step]", zeros) STEP("$32", x_scales)                \
        STEP("$32", x_sums)

/* Groups that all are part->group_blocks blocks, one or more: sums[panel][8][16] +=, panels sums_stride floats apart. */
static void multiply_full_tile(const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux, float *sums,
                               size_t sums_stride) {
    const uint8_t *lines = part->lines;
    const int8_t *x = part->x;
    const float *scales = aux->scales, *zeros = aux->zeros, *x_scales = part->x_scales, *x_sums = part->x_sums;
    size_t groups = part->groups, left;
    const size_t fours = 2 * part->group_blocks, step = aux->stride * sizeof(float); /* of four quads each */
    __asm__ volatile(
        "1:\n\t" CLEAR_ALL "movq %[fours], %[left]\n\t"
        "2:\n\t" DOT_FOUR_QUADS "decq %[left]\n\t"
        "jnz 2b\n\t" END_GROUP "decq %[groups]\n\t"
        "jnz 1b\n\t"
        : [lines] "+r"(lines), [x] "+r"(x), [scales] "+r"(scales), [zeros] "+r"(zeros), [x_scales] "+r"(x_scales),
          [x_sums] "+r"(x_sums), [groups] "+r"(groups), [left] "=&r"(left)
        : [line_stride] "r"(part->line_stride), [panel_stride] "r"(aux->panel_stride * sizeof(float)), [sums] "r"(sums),
          [sums_stride] "r"(sums_stride * sizeof(float)), [fours] "r"(fours), [step] "r"(step)
        : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
          "xmm23", "xmm24", "xmm25");
}

/* ---- small groups whose sums begin with the zero point's share ---- */

#define BEGIN_TOKEN(TOKEN, FIRST, SECOND)                                                                              \
    "vpbroadcastd 4*" #TOKEN "(%[starts]), %%zmm" #FIRST "\n\t"                                                        \
    "vmovdqa64 %%zmm" #FIRST ", %%zmm" #SECOND "\n\t"

/* The same as end_small_group(), of one token: `partial` has panels of eight times sixteen. */
#define TO_FLOAT(FIRST, SECOND)                                                                                        \
    "vcvtdq2ps %%zmm" #FIRST ", %%zmm" #FIRST "\n\t"                                                                   \
    "vcvtdq2ps %%zmm" #SECOND ", %%zmm" #SECOND "\n\t"
#define SCALE_DOT(FIRST, SECOND)                                                                                       \
    "vmulps %%zmm" #FIRST ", %%zmm20, %%zmm" #FIRST "\n\t"                                                             \
    "vmulps %%zmm" #SECOND ", %%zmm21, %%zmm" #SECOND "\n\t"
#define ADD_PARTIAL(TOKEN, FIRST, SECOND)                                                                              \
    "vfmadd213ps 64*" #TOKEN "(%[partial]), %%zmm20, %%zmm" #FIRST "\n\t"                                              \
    "vfmadd213ps 512+64*" #TOKEN "(%[partial]), %%zmm21, %%zmm" #SECOND "\n\t"
#define KEEP_PARTIAL(TOKEN, FIRST, SECOND)                                                                             \
    "vmovaps %%zmm" #FIRST ", 64*" #TOKEN "(%[partial])\n\t"                                                           \
    "vmovaps %%zmm" #SECOND ", 512+64*" #TOKEN "(%[partial])\n\t"
#define ADD_TO_SUMS(TOKEN, FIRST, SECOND)                                                                              \
    "vbroadcastss 4*" #TOKEN "(%[x_scales]), %%zmm18\n\t"                                                              \
    "vfmadd213ps 64*" #TOKEN "(%[sums]), %%zmm18, %%zmm" #FIRST "\n\t"                                                 \
    "vfmadd213ps 64*" #TOKEN "(%[sums],%[sums_stride]), %%zmm18, %%zmm" #SECOND "\n\t"                                 \
    "vmovups %%zmm" #FIRST ", 64*" #TOKEN "(%[sums])\n\t"                                                              \
    "vmovups %%zmm" #SECOND ", 64*" #TOKEN "(%[sums],%[sums_stride])\n\t"

#define END_ONLY(TOKEN, FIRST, SECOND)                                                                                 \
    TO_FLOAT(FIRST, SECOND) SCALE_DOT(FIRST, SECOND) ADD_TO_SUMS(TOKEN, FIRST, SECOND)
#define END_FIRST(TOKEN, FIRST, SECOND)                                                                                \
    TO_FLOAT(FIRST, SECOND) SCALE_DOT(FIRST, SECOND) KEEP_PARTIAL(TOKEN, FIRST, SECOND)
#define END_NEXT(TOKEN, FIRST, SECOND)                                                                                 \
    TO_FLOAT(FIRST, SECOND) ADD_PARTIAL(TOKEN, FIRST, SECOND) KEEP_PARTIAL(TOKEN, FIRST, SECOND)
#define END_LAST(TOKEN, FIRST, SECOND)                                                                                 \
    TO_FLOAT(FIRST, SECOND) ADD_PARTIAL(TOKEN, FIRST, SECOND) ADD_TO_SUMS(TOKEN, FIRST, SECOND)

/* A group; its loop has a label of its own. */
#define SMALL_GROUP(LABEL, END)                                                                                        \
    ALL_TOKENS(BEGIN_TOKEN)                                                                                            \
    "movq %[fours], %[left]\n\t" #LABEL ":\n\t" DOT_FOUR_QUADS "decq %[left]\n\t"                                      \
    "jnz " #LABEL "b\n\t" LOAD(20, "(%[scales])") LOAD(21, "(%[scales],%[panel_stride])") ALL_TOKENS(END)              \
        STEP("%[step]", scales) STEP("$32", starts)

/*
 * Groups of `fours` times four quads. Those that share an activation scale, `shared` of them or what is left, are a first one, next ones
 * and a last one, or only one.
 */
static void multiply_full_small_groups(const struct sinq_int8_part *part, size_t fours,
                                       const struct sinq_expanded_aux *aux, float *sums, size_t sums_stride) {
    const uint8_t *lines = part->lines;
    const int8_t *x = part->x;
    const float *scales = aux->scales, *x_scales = part->x_scales;
    const int32_t *starts = part->starts;
    _Alignas(64) float partial[2 * 8 * 16];
    const size_t step = aux->stride * sizeof(float);
    for (size_t groups = part->groups, some; groups > 0; groups -= some) {
        some = groups < part->shared ? groups : part->shared;
        size_t left, next = some;
        __asm__ volatile("cmpq $1, %[next]\n\t"
                         "je 5f\n\t" SMALL_GROUP(
                             1, END_FIRST) "subq $2, %[next]\n\t"
                                           "jz 4f\n\t"
                                           "2:\n\t" SMALL_GROUP(3, END_NEXT) "decq %[next]\n\t"
                                                                             "jnz 2b\n\t"
                                                                             "4:\n\t" SMALL_GROUP(
                                                                                 6, END_LAST) "jmp 8f\n\t"
                                                                                              "5:\n\t" SMALL_GROUP(
                                                                                                  7, END_ONLY) "8:\n\t"
                         : [lines] "+r"(lines), [x] "+r"(x), [scales] "+r"(scales), [starts] "+r"(starts),
                           [next] "+r"(next), [left] "=&r"(left)
                         : [line_stride] "r"(part->line_stride), [panel_stride] "r"(aux->panel_stride * sizeof(float)),
                           [sums] "r"(sums), [sums_stride] "r"(sums_stride * sizeof(float)), [x_scales] "r"(x_scales),
                           [partial] "r"(partial), [fours] "m"(fours), [step] "m"(step)
                         : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
                           "xmm20", "xmm21");
        x_scales += 8;
    }
}

#endif
