/* gemma.h: what Gemma 2 and 3 share. */
#ifndef SINQ_MODEL_GEMMA_H
#define SINQ_MODEL_GEMMA_H

#include "model/config_reader.h"
#include "model/families/decoder.h"

/* Scales and soft caps: `attention_cap` and `final_cap` where the keys are absent, none where they are null. */
void sinq_read_gemma(struct sinq_config_reader *reader, double attention_cap, double final_cap,
                     struct sinq_model_config *config);

/* Four norms a layer, all stored as w and used as 1 + w. */
void sinq_build_gemma(struct sinq_graph *graph, const struct sinq_model_config *config, bool norms_queries_and_keys);

#endif
