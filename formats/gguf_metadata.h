/* gguf_metadata.h: the metadata of a GGUF file: keys and values, as they stand in its header. */
#ifndef SINQ_FORMATS_GGUF_METADATA_H
#define SINQ_FORMATS_GGUF_METADATA_H

#include "gguf_cursor.h"
#include "gguf_file.h"

/*
 * Reads `count` keys and values. The values' bytes are NULL until sinq_gguf_place_values, since the header moves in memory while it
 * grows.
 */
int sinq_read_gguf_metadata(struct sinq_gguf_cursor *cursor, uint64_t count, struct sinq_gguf_file *file);

/* Lets values point into the header, which does not move any more. */
void sinq_gguf_place_values(struct sinq_gguf_file *file);

#endif
