/*
 * normal_form.h: Unicode's normal forms C, D, KC and KD (UAX 15), by utf8proc's tables.
 *
 * Most text is normal already. A table says of each character whether it is inert: unchanged by the form, of combining class 0 and
 * never the second half of a composition. Only stretches from an inert character to the next with others between are rewritten.
 */
#ifndef SINQ_TEXT_NORMAL_FORM_H
#define SINQ_TEXT_NORMAL_FORM_H

#include "base/text.h"

struct sinq_normal_form {
    bool composes, is_compatible;
    uint8_t *inert; /* a bit for each character below SINQ_INERT_LIMIT; the others count as not inert */
};
#define SINQ_INERT_LIMIT 0x20000u

/* "NFC", "NFD", "NFKC" or "NFKD"; false when out of memory. */
bool sinq_make_normal_form(const char *name, struct sinq_normal_form *form);
void sinq_normal_form_free(struct sinq_normal_form *form);

/* Adds the normal form of text[0..size), which is valid UTF-8, to *out; or leaves *out alone and returns false where the text is normal. */
bool sinq_normalize(const struct sinq_normal_form *form, const char *text, size_t size, struct sinq_text *out);

#endif
