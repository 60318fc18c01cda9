/*
 * Writes JSON text into an arena: commas, line breaks and escapes are its business, names and values its
 * caller's.
 *
 *     writer_open(w, '{');
 *     writer_key(w, "a", 1);
 *     writer_raw(w, "1", 1);
 *     writer_close(w, '}');
 *
 * The first failure stays in `status`; what is written after it goes nowhere, so only the end has to look.
 */
#ifndef JSON_WRITER_H
#define JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"

/* Objects and arrays in one another. More than the reader takes, so that what was read can be shown inside a
 * reply. */
#define WRITER_DEPTH_MAX 64

struct writer {
    struct arena *arena;
    bool pretty;
    enum status status;
    char *text;
    size_t length;
    size_t size;
    unsigned depth;
    /* Nothing has been written yet in the innermost object or array. */
    bool is_first;
};

void writer_init(struct writer *writer, struct arena *arena, bool pretty);

/* Keeps the first failure. */
void writer_fail(struct writer *writer, enum status status);

/* '{' or '['; fails with INVALID_ARGUMENT beyond WRITER_DEPTH_MAX. Each has its '}' or ']'. */
void writer_open(struct writer *writer, char bracket);
void writer_close(struct writer *writer, char bracket);

/* Before each member of an object. */
void writer_key(struct writer *writer, const char *key, size_t length);
/* Before each element of an array. */
void writer_element(struct writer *writer);

/* Text as it is. */
void writer_raw(struct writer *writer, const char *text, size_t length);
/* A quoted string. Bytes that are not UTF-8 become U+FFFD: a text with a broken name is better than no text.
 */
void writer_string(struct writer *writer, const char *text, size_t length);

/* Room for `size` more bytes, which the caller fills and counts into `length`; NULL after a failure. */
char *writer_reserve(struct writer *writer, size_t size);

#endif
