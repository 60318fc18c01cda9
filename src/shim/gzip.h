/* gzip (RFC 1952) with hard bounds, out of zlib, in arenas. */
#ifndef SHIM_GZIP_H
#define SHIM_GZIP_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

/*
 * OUT_OF_RANGE as soon as the content is longer than `max`, however much is still to come; INVALID_ARGUMENT
 * for what is not one whole gzip member and nothing else; RESOURCE_EXHAUSTED when an arena is full. diag says
 * which. The content, with a NUL behind, goes into `arena`, and what zlib needs meanwhile into `scratch`.
 */
MUST_USE enum status gzip_inflate(const char *data, size_t length, size_t max, struct arena *arena,
                                  struct arena *scratch, const char **ret_content, size_t *ret_length,
                                  struct diag *diag);

/* RESOURCE_EXHAUSTED when the arena is full. What cannot be made smaller comes out a little longer. */
MUST_USE enum status gzip_deflate(const char *data, size_t length, struct arena *arena,
                                  const char **ret_content, size_t *ret_length);

#endif
