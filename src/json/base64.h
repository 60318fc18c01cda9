/*
 * Base64 (RFC 4648). Written with the standard alphabet; read in either alphabet, with or without padding.
 * Also what the Connect protocol needs for binary headers and error details.
 */
#ifndef JSON_BASE64_H
#define JSON_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Bytes that base64_encode() writes for `length` bytes, padded; no NUL counted. */
#define BASE64_ENCODED_SIZE(length) (((length) + 2) / 3 * 4)
/* Bytes that base64_decode() writes at most for `length` characters. */
#define BASE64_DECODED_SIZE_MAX(length) ((length) / 4 * 3 + 3)

/* Writes the text without a NUL and returns its length, which without padding is the shorter for it. */
size_t base64_encode(const uint8_t *data, size_t length, bool padded, char *text);

/* INVALID_ARGUMENT: a character of neither alphabet, a length that cannot be, or misplaced padding. */
MUST_USE enum status base64_decode(const char *text, size_t length, uint8_t *data, size_t *ret_length);

#endif
