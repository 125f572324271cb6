/* safetensors_layout.h: operations of struct sinq_layout_ops that all layouts of safetensors files share. */
#ifndef SINQ_FORMATS_SAFETENSORS_LAYOUT_H
#define SINQ_FORMATS_SAFETENSORS_LAYOUT_H

#include "layout.h"

int sinq_safetensors_prepare(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor,
                             struct sinq_error *error);
int sinq_safetensors_begin_shard(struct sinq_layout *layout, struct sinq_error *error);
bool sinq_safetensors_fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                                 const struct sinq_layout_tensor *tensor);
uint64_t sinq_safetensors_measure_shard(const struct sinq_layout *layout, size_t first, size_t *end);
int sinq_safetensors_print_header(const struct sinq_layout *layout, size_t shard, const char *quantization,
                                  struct sinq_text *text, struct sinq_error *error);
void sinq_safetensors_fill_head(const struct sinq_layout_shard *shard, const struct sinq_text *text, uint8_t *head);
int sinq_safetensors_check_head(const struct sinq_layout *layout, size_t shard, const char *path, const uint8_t *head,
                                struct sinq_error *error);

#endif
