/*
 * normal_form.h: Unicode's normal forms C, D, KC and KD (UAX 15), by utf8proc's tables.
 *
 * Most text is normal already. Of each character it is asked whether it is inert: unchanged by the form, of combining class 0 and never
 * the second half of a composition. Only stretches from an inert character to the next with others between are rewritten.
 */
#ifndef SINQ_TEXT_NORMAL_FORM_H
#define SINQ_TEXT_NORMAL_FORM_H

#include "base/text.h"

struct sinq_normal_form {
    bool composes, is_compatible;
};

/* "NFC", "NFD", "NFKC" or "NFKD". */
struct sinq_normal_form sinq_name_normal_form(const char *name);

/* Scratch of one call: which characters are known to be inert. All zero at first; free `known`. */
struct sinq_inert_characters {
    uint8_t *known;
};

/* Adds the normal form of text[0..size), which is valid UTF-8, to *out; or leaves *out alone and returns false where the text is normal. */
bool sinq_normalize(const struct sinq_normal_form *form, struct sinq_inert_characters *inert, const char *text,
                    size_t size, struct sinq_text *out);

#endif
