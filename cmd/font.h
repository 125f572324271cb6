/* font.h: the letters that pictures are labelled with. */
#ifndef SINQ_CMD_FONT_H
#define SINQ_CMD_FONT_H

#include <stdint.h>

#define SINQ_FONT_WIDTH  5
#define SINQ_FONT_HEIGHT 7

/* Rows of a printable ASCII letter, bit 4 the leftmost pixel; '?' for others. */
const uint8_t *sinq_find_glyph(char letter);
/* How many pixels below the others a letter stands: those with a tail. */
unsigned sinq_glyph_drop(char letter);

#endif
