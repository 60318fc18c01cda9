/*
 * Fields of protobuf messages written by hand, for the few places where packing a whole message would copy
 * what is there already (https://protobuf.dev/programming-guides/encoding). Fields may come in any order, so
 * what is known later is simply put behind; the default value of a number, and an empty text, is left out.
 *
 * The sizes are those that the put functions of the same kind write, for field numbers below 16.
 */
#ifndef RPC_ENCODE_H
#define RPC_ENCODE_H

#include <stddef.h>
#include <stdint.h>

/* Longest number field. */
#define ENCODE_NUMBER_MAX 11

static inline size_t encode_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7) {
        size++;
    }
    return size;
}

static inline uint8_t *encode_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        *at++ = (uint8_t)(value | 0x80);
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline size_t encode_number_size(uint64_t value)
{
    return value > 0 ? 1 + encode_varint_size(value) : 0;
}

/* Any of the integer types but sint, and bool; written also for 0. */
static inline uint8_t *encode_any_number(uint8_t *at, unsigned field, uint64_t value)
{
    *at++ = (uint8_t)(field << 3);
    return encode_varint(at, value);
}

static inline uint8_t *encode_number(uint8_t *at, unsigned field, uint64_t value)
{
    return value > 0 ? encode_any_number(at, field, value) : at;
}

/* The head of a string, bytes or message field whose `length` bytes are to follow; written also for 0. */
static inline size_t encode_head_size(size_t length)
{
    return 1 + encode_varint_size(length);
}

static inline uint8_t *encode_head(uint8_t *at, unsigned field, size_t length)
{
    *at++ = (uint8_t)(field << 3 | 2);
    return encode_varint(at, length);
}

#endif
