/* deepseek.h: what DeepSeek-V2 and V3 share: latent attention, routed and shared experts behind the first layers. */
#ifndef SINQ_MODEL_DEEPSEEK_H
#define SINQ_MODEL_DEEPSEEK_H

#include "model/config_reader.h"
#include "model/families/decoder.h"

struct sinq_deepseek_defaults {
    uint32_t experts, chosen, shared, expert_ffn, first_dense, groups, top_groups;
    double share_scale;
    bool normalized;
};

/* All but how experts are chosen. */
void sinq_read_deepseek(struct sinq_config_reader *reader, const struct sinq_deepseek_defaults *defaults,
                        struct sinq_model_config *config);

/* `choice_bias` as in struct sinq_expert_form. */
void sinq_add_deepseek_mlp(struct sinq_decoder *decoder, uint32_t layer, const char *choice_bias);

uint64_t sinq_deepseek_width(const struct sinq_model_config *config);

#endif
