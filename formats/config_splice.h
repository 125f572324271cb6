/* config_splice.h: changing single members of config.json without touching anything else of it. */
#ifndef SINQ_FORMATS_CONFIG_SPLICE_H
#define SINQ_FORMATS_CONFIG_SPLICE_H

#include "base/text.h"

/*
 * Appends `config` to *text with the member `name` of the outermost object set to `value` (JSON text): replaced where it is, else
 * added as the last one; with `value` NULL taken out. All other bytes stay. `config` NULL counts as "{}". `path` is for messages.
 */
int sinq_splice_member(const char *config, const char *name, const char *value, const char *path,
                       struct sinq_text *text, struct sinq_error *error);

/*
 * What config.json says of a checkpoint whose numbers are all of one type ("bfloat16"): no quantization_config, and that type as
 * dtype and torch_dtype, where it has one of them; else as torch_dtype, which every version of transformers reads.
 */
int sinq_splice_plain(const char *config, const char *dtype, const char *path, struct sinq_text *text,
                      struct sinq_error *error);

#endif
