/* config_splice.h: putting quantization_config into config.json without touching anything else of it. */
#ifndef SINQ_FORMATS_CONFIG_SPLICE_H
#define SINQ_FORMATS_CONFIG_SPLICE_H

#include "base/text.h"

/*
 * Appends `config` to *text with the member "quantization_config" of the outermost object set to `value` (JSON text): replaced
 * where it is, else added as the last one. All other bytes stay. `config` NULL counts as "{}". `path` is for messages.
 */
int sinq_splice_quantization(const char *config, const char *value, const char *path, struct sinq_text *text,
                             struct sinq_error *error);

#endif
