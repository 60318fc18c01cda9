/*
 * Ids: 128-bit UUIDs (RFC 9562), compared and stored as their 16 bytes in network order.
 *
 * id_new_v7() makes version 7: 48 bits of Unix milliseconds, 12 bits of the fraction of that millisecond (RFC
 * 9562, section 6.2, method 3), 62 random bits from the kernel. Ids made one after the other sort almost in
 * that order.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

#define ID_TEXT_SIZE 37 /* 36 characters and the NUL */

struct id {
    uint8_t bytes[16];
};

/* A new version 7 id for the given wall time in µs. Any thread. */
struct id id_new_v7(int64_t wall_us);

/* Reads the 36-character form, either case. INVALID_ARGUMENT for anything else, the nil UUID included. */
MUST_USE enum status id_parse(const char *text, struct id *ret_id);

/* Lower case with hyphens. Returns `text`. */
const char *id_format(const struct id *id, char text[ID_TEXT_SIZE]);

static inline bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static inline bool id_is_nil(const struct id *id)
{
    static const struct id nil;
    return id_equal(id, &nil);
}

#endif
