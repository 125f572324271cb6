/* layer_kinds.h: which layers of a model look at a sliding window only. */
#ifndef SINQ_MODEL_LAYER_KINDS_H
#define SINQ_MODEL_LAYER_KINDS_H

#include "model/config.h"
#include "model/config_reader.h"

/* Reads sliding_window into config->window: `fallback` (0: none) where the key is absent, none where it is null. */
void sinq_read_window(struct sinq_config_reader *reader, uint32_t fallback, struct sinq_model_config *config);

/* Without a window no layer slides; else every layer does but those of which is_full (NULL: none) says otherwise. */
typedef bool sinq_is_full_fn(uint32_t layer, uint32_t parameter);
void sinq_slide_layers(struct sinq_model_config *config, sinq_is_full_fn *is_full, uint32_t parameter);

/* layer_types where there are any ("full_attention" or "sliding_attention" for each layer), else sinq_slide_layers. */
void sinq_read_layer_types(struct sinq_config_reader *reader, sinq_is_full_fn *is_full, uint32_t parameter,
                           struct sinq_model_config *config);

/* Qwen's way: a window only with use_sliding_window, and then from layer max_window_layers on. */
void sinq_read_qwen_layers(struct sinq_config_reader *reader, struct sinq_model_config *config);

#endif
