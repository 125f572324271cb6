/*
 * compute_template.h: the bodies of compute.h, written once over sixteen lanes. An instruction set's file defines the lane
 * operations (simd_*.h, lanes_*.h) and KERNELS, the name of its table, and includes this.
 */
#include "kernels/attention_template.h"
#include "kernels/coded_template.h"
#include "kernels/dense_template.h"
#include "kernels/int8_template.h"
#include "kernels/math_template.h"
#include "kernels/one_token_template.h"
#include "kernels/rowwise_template.h"
#include "kernels/stream_template.h"

const struct sinq_compute_kernels KERNELS = {
    .f32_tile = F32_TILE,
    .int8_tile = INT8_TILE,
    .levels_tile = LEVELS_TILE,
    .multiply_f32 = multiply_f32,
    .multiply_shares = multiply_shares,
    .pack_f32 = pack_f32,
    .pack_f16 = pack_f16,
    .pack_bf16 = pack_bf16,
    .pack_i8 = pack_i8,
    .pack_tile = pack_tile,
    .dot_f32 = dot_f32,
    .dot_f16 = dot_f16,
    .dot_bf16 = dot_bf16,
    .spread_entries = spread_entries,
    .expand_aux = expand_aux,
    .find_largest = find_largest,
    .decode = {[2] = decode_2, [3] = decode_3, [4] = decode_4, [5] = decode_5, [6] = decode_6, [8] = decode_8},
    .quantize_group = quantize_group,
    .unpack = {[2] = unpack_2, [3] = unpack_3, [4] = unpack_4, [5] = unpack_5, [6] = unpack_6, [8] = unpack_8},
    .multiply_packed = {[2] = multiply_packed_2,
                        [3] = multiply_packed_3,
                        [4] = multiply_packed_4,
                        [5] = multiply_packed_5,
                        [6] = multiply_packed_6,
                        [8] = multiply_packed_8},
    .multiply_lines = multiply_lines,
    .write_sums = write_sums,
    .narrow_f16 = narrow_f16,
    .narrow_i8 = narrow_i8,
    .widen_f16 = widen_f16,
    .widen_i8 = widen_i8,
    .widen_e4m3 = widen_e4m3,
    .widen_e5m2 = widen_e5m2,
    .score_rows = {[SINQ_KV_F32] = score_rows_f32, [SINQ_KV_F16] = score_rows_f16, [SINQ_KV_I8] = score_rows_i8},
    .add_rows = {[SINQ_KV_F32] = add_rows_f32, [SINQ_KV_F16] = add_rows_f16, [SINQ_KV_I8] = add_rows_i8},
    .update_softmax = update_softmax,
    .norm_row = norm_row,
    .rotate_halves = rotate_halves,
    .silu = silu_row,
    .gelu_tanh = gelu_tanh_row,
    .gelu = gelu_row,
    .gpt_oss = gpt_oss_row,
    .add_row = add_row,
    .softcap_row = softcap_row,
    .softmax_row = softmax_row,
    .copy_scores = copy_scores,
};
