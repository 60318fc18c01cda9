/* Parsing protobuf's own types from the forms that ProtoJSON gives them; the other half of
 * well_known_print.c. */
#include <string.h>

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "json/parse.h"
#include "json/time_text.h"

static enum status parse_timestamp(const struct parser *parser, const struct path *path, const json_t *value,
                                   ProtobufCMessage *message)
{
    Google__Protobuf__Timestamp *timestamp = (Google__Protobuf__Timestamp *)message;
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "time as a string", value);
    }
    switch (timestamp_parse(json_string_value(value), json_string_length(value), &timestamp->seconds,
                            &timestamp->nanos)) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_OUT_OF_RANGE:
        return json_parse_fail(parser, path, "time is outside the years 1 to 9999");
    default:
        return json_parse_fail(parser, path, "expected a time such as \"2026-01-31T12:00:00Z\"");
    }
}

static enum status parse_duration(const struct parser *parser, const struct path *path, const json_t *value,
                                  ProtobufCMessage *message)
{
    Google__Protobuf__Duration *duration = (Google__Protobuf__Duration *)message;
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "duration as a string", value);
    }
    switch (duration_parse(json_string_value(value), json_string_length(value), &duration->seconds,
                           &duration->nanos)) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_OUT_OF_RANGE:
        return json_parse_fail(parser, path, "duration is longer than 10000 years");
    default:
        return json_parse_fail(parser, path, "expected a duration such as \"1.5s\"");
    }
}

/* fooBar.baz as foo_bar.baz: `text` has room for twice the length. False when a snake-case path came in. */
static bool snake_path(const char *path, size_t length, char *text)
{
    for (size_t i = 0; i < length; i++) {
        if (path[i] == '_') {
            return false;
        }
        bool upper = path[i] >= 'A' && path[i] <= 'Z';
        if (upper) {
            *text++ = '_';
        }
        *text++ = (char)(upper ? path[i] - 'A' + 'a' : path[i]);
    }
    *text = 0;
    return length > 0;
}

static size_t count_paths(const char *text)
{
    size_t n = text[0] != 0;
    for (; *text != 0; text++) {
        n += *text == ',';
    }
    return n;
}

static enum status parse_field_mask(const struct parser *parser, const struct path *path, const json_t *value,
                                    ProtobufCMessage *message)
{
    Google__Protobuf__FieldMask *mask = (Google__Protobuf__FieldMask *)message;
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "paths as a string", value);
    }
    const char *text = json_string_value(value);
    size_t n_paths = count_paths(text);
    mask->paths = arena_alloc(parser->arena, n_paths * sizeof(*mask->paths));
    if (mask->paths == NULL) {
        return json_parse_fail_memory(parser);
    }
    for (size_t i = 0; i < n_paths; i++) {
        size_t length = strcspn(text, ",");
        char *snake = arena_alloc(parser->arena, 2 * length + 1);
        if (snake == NULL) {
            return json_parse_fail_memory(parser);
        }
        if (!snake_path(text, length, snake)) {
            return json_parse_fail(parser, path, "expected paths in lowerCamelCase, separated by commas");
        }
        mask->paths[i] = snake;
        text += length + (text[length] == ',');
    }
    mask->n_paths = n_paths;
    return STATUS_OK;
}

/* Fields of Value by index: null, number, string, bool, struct, list. */
// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_any_value(const struct parser *parser, const struct path *path,
                                   const struct descriptor_message *type, json_t *value,
                                   ProtobufCMessage *message)
{
    static const unsigned field_indices[] = {
        [JSON_NULL] = 0, [JSON_INTEGER] = 1, [JSON_REAL] = 1,   [JSON_STRING] = 2,
        [JSON_TRUE] = 3, [JSON_FALSE] = 3,   [JSON_OBJECT] = 4, [JSON_ARRAY] = 5,
    };
    return json_parse_field(parser, path, type, field_indices[json_typeof(value)], value, message);
}

// NOLINTNEXTLINE(misc-no-recursion)
enum status json_parse_well_known(const struct parser *parser, const struct path *path,
                                  const struct descriptor_message *type, json_t *value,
                                  ProtobufCMessage *message)
{
    switch (type->well_known) {
    case WELL_KNOWN_ANY:
        return json_parse_any(parser, path, value, message);
    case WELL_KNOWN_DURATION:
        return parse_duration(parser, path, value, message);
    case WELL_KNOWN_FIELD_MASK:
        return parse_field_mask(parser, path, value, message);
    case WELL_KNOWN_LIST_VALUE:
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_WRAPPER:
        return json_parse_field(parser, path, type, 0, value, message);
    case WELL_KNOWN_TIMESTAMP:
        return parse_timestamp(parser, path, value, message);
    case WELL_KNOWN_VALUE:
        return parse_any_value(parser, path, type, value, message);
    case WELL_KNOWN_NONE:
        break;
    }
    return STATUS_INTERNAL;
}
