/* Writes protobuf's wire format, also what no encoder would write. For tests. */
#ifndef UNIT_RPC_WIRE_H
#define UNIT_RPC_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WIRE_VARINT 0U
#define WIRE_64BIT 1U
#define WIRE_BYTES 2U
#define WIRE_32BIT 5U

struct wire {
    uint8_t data[256 * 1024];
    size_t length;
};

static inline void wire_raw(struct wire *wire, const void *data, size_t length)
{
    assert(wire->length + length <= sizeof(wire->data));
    memcpy(wire->data + wire->length, data, length);
    wire->length += length;
}

static inline void wire_varint(struct wire *wire, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        uint8_t byte = (uint8_t)(value | 0x80);
        wire_raw(wire, &byte, 1);
    }
    uint8_t last = (uint8_t)value;
    wire_raw(wire, &last, 1);
}

static inline void wire_tag(struct wire *wire, uint32_t number, unsigned type)
{
    wire_varint(wire, (uint64_t)number << 3 | type);
}

static inline void wire_bytes(struct wire *wire, uint32_t number, const void *data, size_t length)
{
    wire_tag(wire, number, WIRE_BYTES);
    wire_varint(wire, length);
    wire_raw(wire, data, length);
}

static inline void wire_text(struct wire *wire, uint32_t number, const char *text)
{
    wire_bytes(wire, number, text, strlen(text));
}

/* Puts all that is in `wire` into field `number` of an outer message. */
static inline void wire_wrap(struct wire *wire, uint32_t number)
{
    static struct wire inner;
    inner.length = 0;
    wire_raw(&inner, wire->data, wire->length);
    wire->length = 0;
    wire_bytes(wire, number, inner.data, inner.length);
}

static inline void wire_number(struct wire *wire, uint32_t number, uint64_t value)
{
    wire_tag(wire, number, WIRE_VARINT);
    wire_varint(wire, value);
}

#endif
