#include "kernels/rowwise.h"

#include "kernels/compute.h"

void sinq_norm_row(const float *in, const float *weight, uint32_t width, float eps, float *out) {
    sinq_get_compute_kernels()->norm_row(in, weight, width, eps, out);
}

void sinq_rotate_head(const float *in, const float *cosines, const float *sines, uint32_t dims, bool interleaved,
                      float *out) {
    if (!interleaved) {
        sinq_get_compute_kernels()->rotate_halves(in, cosines, sines, dims / 2, out);
        return;
    }
    for (uint32_t i = 0; i < dims / 2; i++) {
        const float a = in[2 * i], b = in[2 * i + 1];
        out[2 * i] = a * cosines[i] - b * sines[i];
        out[2 * i + 1] = b * cosines[i] + a * sines[i];
    }
}

void sinq_silu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    sinq_get_compute_kernels()->silu(gate, up, width, step, out);
}

void sinq_gelu_tanh_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    sinq_get_compute_kernels()->gelu_tanh(gate, up, width, step, out);
}

void sinq_gelu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    sinq_get_compute_kernels()->gelu(gate, up, width, step, out);
}

void sinq_gpt_oss_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    sinq_get_compute_kernels()->gpt_oss(gate, up, width, step, out);
}

void sinq_add_row(const float *in, float factor, uint32_t width, float *out) {
    sinq_get_compute_kernels()->add_row(in, factor, width, out);
}

void sinq_softcap_row(float *in_out, uint32_t width, float cap) {
    sinq_get_compute_kernels()->softcap_row(in_out, width, cap);
}

void sinq_softmax_row(float *in_out, uint32_t width) { sinq_get_compute_kernels()->softmax_row(in_out, width); }

void sinq_copy_scores(const float *logits, uint32_t count, float *scores, float *peaks) {
    sinq_get_compute_kernels()->copy_scores(logits, count, scores, peaks);
}
