/*
 * Printing by descriptor. protobuf-c's descriptors say where each field lies in its struct; the side table
 * adds the JSON names and tells a map from a repeated message.
 *
 * The text has fields in the order of their numbers and map entries in the order in which the message holds
 * them, so that metadata comes back the way it was sent. On the wire a map may hold a key twice, and the last
 * one counts: the others are left out, as no reader would take an object with a name twice.
 *
 * Recursion is bounded by WRITER_DEPTH_MAX: every message prints an object, an array, or a single value
 * around one.
 */
#include "json/print.h"

#include <inttypes.h>
#include <math.h>

#include "google/protobuf/struct.pb-c.h"
#include "json/base64.h"
#include "json/json.h"
#include "json/map_keys.h"
#include "json/member.h"
#include "json/numbers.h"

static void print_raw(struct printer *printer, const char *text)
{
    writer_raw(&printer->writer, text, strlen(text));
}

static void print_quoted(struct printer *printer, const char *text)
{
    text = text != NULL ? text : "";
    writer_string(&printer->writer, text, strlen(text));
}

static void print_double(struct printer *printer, double value, bool is_float)
{
    if (isnan(value)) {
        print_raw(printer, "\"NaN\"");
        return;
    }
    if (isinf(value)) {
        print_raw(printer, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    char text[NUMBER_TEXT_SIZE];
    size_t length = is_float ? number_print_float((float)value, text) : number_print_double(value, text);
    writer_raw(&printer->writer, text, length);
}

/* An integer or an enum in decimal; returns the length. */
static size_t format_integer(ProtobufCType type, const void *member, char text[NUMBER_TEXT_SIZE])
{
    int64_t wide = 0;
    if (member_size(type) == sizeof(wide)) {
        memcpy(&wide, member, sizeof(wide));
    }
    switch (type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%" PRIu64,
                                member_size(type) == 4 ? (uint64_t)(uint32_t)member_int32(member)
                                                       : (uint64_t)wide);
    default:
        return (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%" PRId64,
                                member_size(type) == 4 ? (int64_t)member_int32(member) : wide);
    }
}

/* Integers of 64 bits are quoted: readers that hold numbers as doubles would lose their last digits. */
static void print_integer(struct printer *printer, ProtobufCType type, const void *member)
{
    char text[NUMBER_TEXT_SIZE];
    size_t length = format_integer(type, member, text);
    if (member_size(type) == 8) {
        writer_string(&printer->writer, text, length);
    } else {
        writer_raw(&printer->writer, text, length);
    }
}

static void print_bytes(struct printer *printer, const ProtobufCBinaryData *bytes)
{
    char *room = writer_reserve(&printer->writer, BASE64_ENCODED_SIZE(bytes->len) + 2);
    if (room == NULL) {
        return;
    }
    size_t length = base64_encode(bytes->data, bytes->len, true, room + 1);
    room[0] = '"';
    room[length + 1] = '"';
    printer->writer.length += length + 2;
}

static void print_enum(struct printer *printer, const ProtobufCEnumDescriptor *type, const void *member)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, member_int32(member));
    if (type == &google__protobuf__null_value__descriptor) {
        print_raw(printer, "null");
    } else if (value != NULL) {
        print_quoted(printer, value->name);
    } else {
        print_integer(printer, PROTOBUF_C_TYPE_ENUM, member);
    }
}

/* One value: of a field that is not repeated, or an element. `type` is that of a message field. */
// NOLINTNEXTLINE(misc-no-recursion)
static void print_value(struct printer *printer, const ProtobufCFieldDescriptor *field,
                        const struct descriptor_message *type, const void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        print_double(printer, (double)*(const float *)member, true);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        print_double(printer, *(const double *)member, false);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        print_raw(printer, *(const protobuf_c_boolean *)member ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        print_enum(printer, field->descriptor, member);
        break;
    case PROTOBUF_C_TYPE_STRING:
        print_quoted(printer, member_pointer(member));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        print_bytes(printer, member);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        json_print_message(printer, type, member_pointer(member));
        break;
    default:
        print_integer(printer, field->type, member);
        break;
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
static void print_list(struct printer *printer, const ProtobufCFieldDescriptor *field,
                       const struct descriptor_message *type, const ProtobufCMessage *message)
{
    const char *elements = member_pointer(member_of(message, field));
    size_t n = member_count(message, field);
    writer_open(&printer->writer, '[');
    for (size_t i = 0; i < n && printer->writer.status == STATUS_OK; i++) {
        writer_element(&printer->writer);
        print_value(printer, field, type, elements + i * member_size(field->type));
    }
    writer_close(&printer->writer, ']');
}

static void print_map_key(struct printer *printer, const ProtobufCFieldDescriptor *field, const void *member)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = member_pointer(member);
        writer_key(&printer->writer, text, strlen(text));
    } else if (field->type == PROTOBUF_C_TYPE_BOOL) {
        bool value = *(const protobuf_c_boolean *)member;
        writer_key(&printer->writer, value ? "true" : "false", value ? 4 : 5);
    } else {
        char text[NUMBER_TEXT_SIZE];
        size_t length = format_integer(field->type, member, text);
        writer_key(&printer->writer, text, length);
    }
}

// NOLINTNEXTLINE(misc-no-recursion)
static void print_map(struct printer *printer, const ProtobufCFieldDescriptor *field,
                      const struct descriptor_message *entry_type, const ProtobufCMessage *message)
{
    ProtobufCMessage *const *entries = member_pointer(member_of(message, field));
    size_t n = member_count(message, field);
    bool *superseded = n > 0 ? map_keys_find_superseded(entries, n, printer->writer.arena) : NULL;
    if (n > 0 && superseded == NULL) {
        writer_fail(&printer->writer, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    const ProtobufCFieldDescriptor *fields = entry_type->descriptor->fields;
    writer_open(&printer->writer, '{');
    for (size_t i = 0; i < n && printer->writer.status == STATUS_OK; i++) {
        if (!superseded[i]) {
            print_map_key(printer, &fields[0], member_of(entries[i], &fields[0]));
            print_value(printer, &fields[1], entry_type->fields[1].message,
                        member_of(entries[i], &fields[1]));
        }
    }
    writer_close(&printer->writer, '}');
}

// NOLINTNEXTLINE(misc-no-recursion)
void json_print_field(struct printer *printer, const struct descriptor_message *type, unsigned index,
                      const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = &type->descriptor->fields[index];
    const struct descriptor_message *field_type = type->fields[index].message;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        print_value(printer, field, field_type, member_of(message, field));
    } else if (field_type != NULL && field_type->is_map_entry) {
        print_map(printer, field, field_type, message);
    } else {
        print_list(printer, field, field_type, message);
    }
}

/* Whether a field without presence differs from its default. A zero with a sign does. */
static bool is_not_default(const ProtobufCFieldDescriptor *field, const void *member)
{
    static const char zero[8];
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = member_pointer(member);
        return text != NULL && text[0] != 0;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)member)->len > 0;
    }
    return memcmp(member, zero, member_size(field->type)) != 0;
}

static bool has_presence(const ProtobufCFieldDescriptor *field)
{
    return field->label != PROTOBUF_C_LABEL_REPEATED &&
           (field->label != PROTOBUF_C_LABEL_NONE || field->type == PROTOBUF_C_TYPE_MESSAGE ||
            (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0);
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *member = member_of(message, field);
    const void *quantifier = (const char *)message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return member_count(message, field) > 0;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return (uint32_t)member_int32(quantifier) == field->id;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return member_pointer(member) != NULL;
    }
    if (field->label == PROTOBUF_C_LABEL_OPTIONAL) {
        return field->type == PROTOBUF_C_TYPE_STRING ? member_pointer(member) != NULL
                                                     : *(const protobuf_c_boolean *)quantifier;
    }
    return field->label == PROTOBUF_C_LABEL_REQUIRED || is_not_default(field, member);
}

// NOLINTNEXTLINE(misc-no-recursion)
void json_print_members(struct printer *printer, const struct descriptor_message *type,
                        const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < type->descriptor->n_fields && printer->writer.status == STATUS_OK; i++) {
        const ProtobufCFieldDescriptor *field = &type->descriptor->fields[i];
        if (is_set(message, field) || (printer->defaults && !has_presence(field))) {
            const char *name = type->fields[i].json_name;
            writer_key(&printer->writer, name, strlen(name));
            json_print_field(printer, type, i, message);
        }
    }
}

/* A map entry on the wire may lack its value, which then is a message with nothing set. */
static const ProtobufCMessage *make_empty(struct printer *printer, const struct descriptor_message *type)
{
    ProtobufCMessage *message = arena_alloc(printer->writer.arena, type->descriptor->sizeof_message);
    if (message == NULL) {
        writer_fail(&printer->writer, STATUS_RESOURCE_EXHAUSTED);
        return NULL;
    }
    protobuf_c_message_init(type->descriptor, message);
    return message;
}

// NOLINTNEXTLINE(misc-no-recursion)
void json_print_message(struct printer *printer, const struct descriptor_message *type,
                        const ProtobufCMessage *message)
{
    message = message != NULL ? message : make_empty(printer, type);
    if (message == NULL) {
        return;
    }
    if (type->well_known != WELL_KNOWN_NONE) {
        json_print_well_known(printer, type, message);
        return;
    }
    writer_open(&printer->writer, '{');
    json_print_members(printer, type, message);
    writer_close(&printer->writer, '}');
}

enum status json_print(const ProtobufCMessage *message, const struct json_print_options *options,
                       struct arena *arena, struct json_text *ret_text)
{
    const struct descriptor_message *type = descriptor_table_message(message->descriptor->name);
    if (type == NULL) {
        return STATUS_UNIMPLEMENTED;
    }
    struct printer printer = {.defaults = options != NULL && options->defaults};
    writer_init(&printer.writer, arena, options != NULL && options->pretty);
    json_print_message(&printer, type, message);
    writer_raw(&printer.writer, "", 1);
    if (printer.writer.status != STATUS_OK) {
        return printer.writer.status;
    }
    *ret_text = (struct json_text){.data = printer.writer.text, .length = printer.writer.length - 1};
    return STATUS_OK;
}
