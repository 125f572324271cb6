/*
 * latent_attention.h: multi-head latent attention (DeepSeek-V2, arXiv 2405.04434) in its absorbed form.
 *
 * A key of head h is K_h c with c a normed vector of kv_rank values that all heads share, beside a rotated part that they
 * share too; a value is V_h c. Since q . (K_h c) = (K_h^T q) . c, queries are taken to the space of c, and the cache holds c
 * and the rotated part alone, as one head; what attention finds there is taken through V_h. kv_b_proj is K_h above V_h for each
 * head.
 */
#ifndef SINQ_MODEL_LATENT_ATTENTION_H
#define SINQ_MODEL_LATENT_ATTENTION_H

#include "model/config_reader.h"
#include "model/families/decoder.h"

sinq_decoder_part_fn sinq_add_latent_attention;

/* What it needs of a decoder's wide slot. */
uint64_t sinq_latent_width(const struct sinq_model_config *config);

/* Ranks, dimensions and the scale of attention; `q_rank` where q_lora_rank is absent. */
void sinq_read_latent_attention(struct sinq_config_reader *reader, uint32_t q_rank, struct sinq_model_config *config);

#endif
