/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that the text begins with: 1 to 4; 0 when it begins with none. */
size_t utf8_sequence(const char *text, size_t length);

/* Is all of it UTF-8, without NUL? */
bool utf8_is_text(const char *text, size_t length);

/* The longest part of the text, at most `max` bytes, that ends between characters. */
size_t utf8_cut(const char *text, size_t length, size_t max);

#endif
