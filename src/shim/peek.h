/*
 * Single fields of a packed message, found without unpacking it: for when there is no memory to unpack. The
 * message is one that this server has packed. Of a field that is there more than once the first counts.
 */
#ifndef SHIM_PEEK_H
#define SHIM_PEEK_H

#include <stddef.h>
#include <stdint.h>

struct peek {
    const uint8_t *data;
    size_t length;
};

/* A string, bytes or message field, within the message; data NULL when it is not there. */
struct peek peek_bytes(struct peek message, unsigned field);

/* An integer field other than sint; 0 when it is not there. */
uint64_t peek_number(struct peek message, unsigned field);

#endif
