/*
 * byte_level.h: GPT-2's names of bytes. A byte-level vocabulary writes each byte as one printable character: those of Latin-1
 * that are visible as themselves, the 68 others as U+0100 and following (openai/gpt-2, encoder.py, bytes_to_unicode).
 */
#ifndef SINQ_TEXT_BYTE_LEVEL_H
#define SINQ_TEXT_BYTE_LEVEL_H

#include "base/text.h"

/* The character that stands for a byte. */
uint32_t sinq_byte_to_character(unsigned char byte);

/* The bytes that text[0..size), which is UTF-8, stands for; at most `size`. False where a character stands for none. */
bool sinq_text_to_bytes(const char *text, size_t size, char *bytes, size_t *count);

/* Adds the characters that bytes stand as. */
void sinq_add_bytes_as_text(const char *bytes, size_t size, struct sinq_text *text);

#endif
