/*
 * Parsing google.protobuf.Any: the message that the object is, less its "@type", is parsed like any other and
 * then packed. Types with a form of their own stand in "value".
 */
#include <string.h>

#include "google/protobuf/any.pb-c.h"
#include "json/any.h"
#include "json/parse.h"

// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_special(const struct parser *parser, const struct path *path,
                                 const struct descriptor_message *type, json_t *object,
                                 ProtobufCMessage *content)
{
    const struct path value_path = {.parent = path, .name = "value"};
    json_t *value = json_object_get(object, "value");
    if (value == NULL) {
        return json_parse_fail(parser, &value_path, "missing");
    }
    if (json_object_size(object) > 2) {
        return json_parse_fail(parser, path, "expected only @type and value");
    }
    return json_parse_well_known(parser, &value_path, type, value, content);
}

// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_content(const struct parser *parser, const struct path *path,
                                 const struct descriptor_message *type, json_t *object,
                                 ProtobufCBinaryData *ret_packed)
{
    ProtobufCMessage *content = arena_alloc(parser->arena, type->descriptor->sizeof_message);
    if (content == NULL) {
        return json_parse_fail_memory(parser);
    }
    protobuf_c_message_init(type->descriptor, content);
    enum status status = type->well_known != WELL_KNOWN_NONE
                             ? parse_special(parser, path, type, object, content)
                             : json_parse_members(parser, path, type, object, "@type", content);
    if (status != STATUS_OK) {
        return status;
    }
    size_t size = protobuf_c_message_get_packed_size(content);
    uint8_t *data = arena_alloc(parser->arena, size);
    if (data == NULL) {
        return json_parse_fail_memory(parser);
    }
    *ret_packed = (ProtobufCBinaryData){.data = data, .len = protobuf_c_message_pack(content, data)};
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
enum status json_parse_any(const struct parser *parser, const struct path *path, json_t *value,
                           ProtobufCMessage *message)
{
    Google__Protobuf__Any *any = (Google__Protobuf__Any *)message;
    if (!json_is_object(value)) {
        return json_parse_fail_kind(parser, path, "object", value);
    }
    if (json_object_size(value) == 0) {
        return STATUS_OK;
    }
    const struct path type_path = {.parent = path, .name = "@type"};
    const json_t *type_url = json_object_get(value, "@type");
    if (!json_is_string(type_url)) {
        return json_parse_fail(parser, &type_path, "missing, or not a string");
    }
    const struct descriptor_message *type = any_type(json_string_value(type_url));
    if (type == NULL) {
        return json_parse_fail(parser, &type_path,
                               "unknown type; expected \"type.googleapis.com/\" and a full name");
    }
    any->type_url = arena_copy(parser->arena, json_string_value(type_url), json_string_length(type_url));
    if (any->type_url == NULL) {
        return json_parse_fail_memory(parser);
    }
    return parse_content(parser, path, type, value, &any->value);
}
