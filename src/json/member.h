/* Within json: the fields of a protobuf-c message, reached by descriptor. */
#ifndef JSON_MEMBER_H
#define JSON_MEMBER_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <string.h>

/* Bytes of one value of this type in the message's struct or in the array of a repeated field. */
static inline size_t member_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    }
    return 0;
}

static inline const void *member_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

static inline void *member_for_write(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)message + field->offset;
}

/* n_ of a repeated field. */
static inline size_t member_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    size_t count;
    memcpy(&count, (const char *)message + field->quantifier_offset, sizeof(count));
    return count;
}

/* The array of a repeated field, the text of a string, the message of a message field. */
static inline const void *member_pointer(const void *member)
{
    const void *pointer;
    memcpy(&pointer, member, sizeof(pointer));
    return pointer;
}

/* An enum or a 32-bit integer of either sign. */
static inline int32_t member_int32(const void *member)
{
    int32_t value;
    memcpy(&value, member, sizeof(value));
    return value;
}

#endif
