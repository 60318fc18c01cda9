/*
 * Printing google.protobuf.Any: "@type" and the members of what is packed in it, or "value" where that has a
 * form of its own. Its type is looked up in the side tables by the name behind the last '/' of the URL.
 *
 * The payload is a stranger's bytes that no guard has looked into, for it is only bytes to the message around
 * it; and protobuf-c's unpack recurses without a limit. So its nesting is measured first, by walking the wire
 * format (Protocol Buffers, "Encoding") along the descriptors, as deep as PAYLOAD_DEPTH_MAX, and the number
 * of its fields is bounded, each of which may cost an allocation many times its size. Memory is the arena's,
 * up to its cap.
 */
#include "google/protobuf/any.pb-c.h"
#include "json/any.h"
#include "json/print.h"

/* A Struct that the reader took, three messages to each of its JSON_DEPTH_MAX levels, must fit. */
#define PAYLOAD_DEPTH_MAX 128
#define PAYLOAD_ELEMENTS_MAX 16384

struct walk {
    unsigned depth;
    unsigned elements;
};

static bool read_varint(const uint8_t **next, const uint8_t *end, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && *next < end; shift += 7) {
        uint8_t byte = *(*next)++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* The bytes that a field of this wire type occupies behind its tag, and behind its length if it has one. */
static bool read_extent(const uint8_t **next, const uint8_t *end, unsigned wire_type, uint64_t *ret_length)
{
    uint64_t ignored;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        *ret_length = 0;
        return read_varint(next, end, &ignored);
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        *ret_length = 8;
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        *ret_length = 4;
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!read_varint(next, end, ret_length)) {
            return false;
        }
        break;
    default:
        return false;
    }
    return *ret_length <= (uint64_t)(end - *next);
}

// NOLINTNEXTLINE(misc-no-recursion)
static bool is_payload_bounded(const ProtobufCMessageDescriptor *type, const uint8_t *next,
                               const uint8_t *end, struct walk *walk)
{
    if (++walk->depth > PAYLOAD_DEPTH_MAX) {
        return false;
    }
    while (next < end) {
        uint64_t tag;
        uint64_t length;
        if (!read_varint(&next, end, &tag) || !read_extent(&next, end, tag & 7, &length) ||
            ++walk->elements > PAYLOAD_ELEMENTS_MAX) {
            return false;
        }
        const ProtobufCFieldDescriptor *field =
            tag >> 3 <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3))
                                   : NULL;
        if (field != NULL && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            !is_payload_bounded(field->descriptor, next, next + length, walk)) {
            return false;
        }
        next += length;
    }
    walk->depth--;
    return true;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void free_nothing(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static ProtobufCMessage *unpack(const struct descriptor_message *type, const ProtobufCBinaryData *payload,
                                struct arena *arena)
{
    struct walk walk = {0};
    if (payload->len > 0 &&
        !is_payload_bounded(type->descriptor, payload->data, payload->data + payload->len, &walk)) {
        return NULL;
    }
    ProtobufCAllocator allocator = {.alloc = allocate, .free = free_nothing, .allocator_data = arena};
    return protobuf_c_message_unpack(type->descriptor, &allocator, payload->len, payload->data);
}

const struct descriptor_message *any_type(const char *type_url)
{
    const char *slash = strrchr(type_url, '/');
    return slash != NULL && slash != type_url ? descriptor_table_message(slash + 1) : NULL;
}

// NOLINTNEXTLINE(misc-no-recursion)
void json_print_any(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)message;
    struct writer *writer = &printer->writer;
    writer_open(writer, '{');
    if (any->type_url[0] != 0 || any->value.len > 0) {
        const struct descriptor_message *type = any_type(any->type_url);
        ProtobufCMessage *content = type != NULL ? unpack(type, &any->value, writer->arena) : NULL;
        if (content == NULL) {
            writer_fail(writer, STATUS_INVALID_ARGUMENT);
            return;
        }
        writer_key(writer, "@type", 5);
        writer_string(writer, any->type_url, strlen(any->type_url));
        if (type->well_known != WELL_KNOWN_NONE) {
            writer_key(writer, "value", 5);
            json_print_message(printer, type, content);
        } else {
            json_print_members(printer, type, content);
        }
    }
    writer_close(writer, '}');
}
