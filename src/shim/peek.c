/* The wire format: https://protobuf.dev/programming-guides/encoding. What is not well formed ends the search.
 */
#include "shim/peek.h"

#include <stdbool.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct field {
    unsigned number;
    unsigned wire;
    uint64_t value;
    struct peek bytes;
};

static bool take(struct peek *rest, uint64_t length, struct peek *ret_taken)
{
    if (length > rest->length) {
        return false;
    }
    *ret_taken = (struct peek){rest->data, (size_t)length};
    rest->data += length;
    rest->length -= (size_t)length;
    return true;
}

static bool take_varint(struct peek *rest, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        struct peek byte;
        if (!take(rest, 1, &byte)) {
            return false;
        }
        value |= (uint64_t)(byte.data[0] & 0x7F) << shift;
        if (byte.data[0] < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool take_field(struct peek *rest, struct field *ret_field)
{
    uint64_t key;
    if (!take_varint(rest, &key)) {
        return false;
    }
    *ret_field = (struct field){.number = (unsigned)(key >> 3), .wire = key & 7};
    switch (ret_field->wire) {
    case WIRE_VARINT:
        return take_varint(rest, &ret_field->value);
    case WIRE_BYTES:
        return take_varint(rest, &ret_field->value) && take(rest, ret_field->value, &ret_field->bytes);
    case WIRE_64:
        return take(rest, 8, &ret_field->bytes);
    case WIRE_32:
        return take(rest, 4, &ret_field->bytes);
    default:
        return false;
    }
}

static struct field find(struct peek message, unsigned number, unsigned wire)
{
    struct field field;
    while (take_field(&message, &field)) {
        if (field.number == number && field.wire == wire) {
            return field;
        }
    }
    return (struct field){0};
}

struct peek peek_bytes(struct peek message, unsigned field)
{
    return find(message, field, WIRE_BYTES).bytes;
}

uint64_t peek_number(struct peek message, unsigned field)
{
    return find(message, field, WIRE_VARINT).value;
}
