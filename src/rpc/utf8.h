/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef RPC_UTF8_H
#define RPC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the sequence that begins at `s`, of which `left` bytes (at least 1) may be read; 0 when it is
 * none. */
size_t utf8_sequence(const uint8_t *s, size_t left);

/* Is all of it UTF-8, without NUL? */
bool utf8_is_text(const uint8_t *s, size_t length);

#endif
