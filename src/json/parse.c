/*
 * Parsing by descriptor: jansson makes a tree of the text, and the tree is walked along the message's
 * descriptor. What is not known, given twice, or of another kind than the field is refused with the path to
 * it; nothing is guessed.
 *
 * The tree is jansson's (malloc) and freed at the end; all that the message points at is copied into the
 * arena. Nothing here recurses deeper than the text is nested, and json_prepare() has seen to it that this is
 * at most JSON_DEPTH_MAX.
 */
#include "json/parse.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "json/map_keys.h"
#include "json/member.h"
#include "base/utf8.h"

/* Bytes of a path, and of one key in it, that an error shows. */
#define PATH_TEXT_SIZE 160
#define NAME_MAX_SHOWN 48

// NOLINTNEXTLINE(misc-no-recursion)
static size_t print_path(const struct path *path, char text[PATH_TEXT_SIZE])
{
    if (path == NULL) {
        text[0] = 0;
        return 0;
    }
    size_t length = print_path(path->parent, text);
    char step[NAME_MAX_SHOWN + 8];
    if (path->name == NULL) {
        snprintf(step, sizeof(step), "[%zu]", path->index);
    } else {
        size_t shown = utf8_cut(path->name, strlen(path->name), NAME_MAX_SHOWN);
        snprintf(step, sizeof(step), "%s%.*s%s", length > 0 ? "." : "", (int)shown, path->name,
                 path->name[shown] != 0 ? "…" : "");
    }
    if (length + strlen(step) >= PATH_TEXT_SIZE) {
        return length;
    }
    memcpy(text + length, step, strlen(step) + 1);
    return length + strlen(step);
}

/* A stranger's key or text must not drive the terminal that shows the error. */
static void blank_controls(char *text)
{
    for (; *text != 0; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        }
    }
}

enum status json_parse_fail(const struct parser *parser, const struct path *path, const char *format, ...)
{
    char where[PATH_TEXT_SIZE];
    size_t length = print_path(path, where);
    char reason[sizeof(parser->diag->text) - PATH_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    blank_controls(where);
    blank_controls(reason);
    return diag_fail(parser->diag, STATUS_INVALID_ARGUMENT, "%s%s%s", where, length > 0 ? ": " : "", reason);
}

enum status json_parse_fail_kind(const struct parser *parser, const struct path *path, const char *expected,
                                 const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "object",  [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_INTEGER] = "number", [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
        [JSON_FALSE] = "boolean",  [JSON_NULL] = "null",
    };
    return json_parse_fail(parser, path, "expected %s, got %s", expected, kinds[json_typeof(value)]);
}

enum status json_parse_fail_memory(const struct parser *parser)
{
    return diag_fail(parser->diag, STATUS_RESOURCE_EXHAUSTED,
                     "the text takes more memory than a call may have");
}

const struct replaced *json_replaced(const struct parser *parser, const json_t *real)
{
    size_t n = (size_t)json_real_value(real);
    return n < parser->prepared->n_replaced ? &parser->prepared->replaced[n] : NULL;
}

static enum too_much too_much_of(const struct parser *parser, const json_t *value)
{
    const struct replaced *replaced = json_is_real(value) ? json_replaced(parser, value) : NULL;
    return replaced != NULL ? replaced->too_much : TOO_MUCH_NOT;
}

/* Value keeps null, and NullValue has no other value; anywhere else null means unset. */
static bool takes_null(const ProtobufCFieldDescriptor *field, const struct descriptor_message *type)
{
    return (type != NULL && type->well_known == WELL_KNOWN_VALUE) ||
           (field->type == PROTOBUF_C_TYPE_ENUM &&
            field->descriptor == &google__protobuf__null_value__descriptor);
}

static void store_pointer(const void *pointer, void *member)
{
    memcpy(member, &pointer, sizeof(pointer));
}

/* One value: of a field that is not repeated, or an element. `type` is that of a message field. */
// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_value(const struct parser *parser, const struct path *path,
                               const ProtobufCFieldDescriptor *field, const struct descriptor_message *type,
                               json_t *value, void *member)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return json_parse_scalar(parser, path, field, value, member);
    }
    ProtobufCMessage *message = NULL;
    enum status status = json_parse_message(parser, path, type, value, &message);
    if (status == STATUS_OK) {
        store_pointer(message, member);
    }
    return status;
}

static void store_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, void *elements,
                       size_t n)
{
    store_pointer(elements, member_for_write(message, field));
    memcpy((char *)message + field->quantifier_offset, &n, sizeof(n));
}

// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_list(const struct parser *parser, const struct path *path,
                              const ProtobufCFieldDescriptor *field, const struct descriptor_message *type,
                              const json_t *array, ProtobufCMessage *message)
{
    if (!json_is_array(array)) {
        return json_parse_fail_kind(parser, path, "array", array);
    }
    size_t n = json_array_size(array);
    char *elements = arena_alloc_zero(parser->arena, n * member_size(field->type));
    if (elements == NULL) {
        return json_parse_fail_memory(parser);
    }
    for (size_t i = 0; i < n; i++) {
        const struct path element_path = {.parent = path, .index = i};
        json_t *value = json_array_get(array, i);
        if (json_is_null(value) && !takes_null(field, type)) {
            return json_parse_fail(parser, &element_path, "null is no element of an array");
        }
        enum status status =
            parse_value(parser, &element_path, field, type, value, elements + i * member_size(field->type));
        if (status != STATUS_OK) {
            return status;
        }
    }
    store_list(message, field, n > 0 ? elements : NULL, n);
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_map_entry(const struct parser *parser, const struct path *path,
                                   const struct descriptor_message *entry_type, json_t *value,
                                   ProtobufCMessage **ret_entry)
{
    const ProtobufCFieldDescriptor *fields = entry_type->descriptor->fields;
    const struct descriptor_message *value_type = entry_type->fields[1].message;
    if (json_is_null(value) && !takes_null(&fields[1], value_type)) {
        return json_parse_fail(parser, path, "null is no value in a map");
    }
    ProtobufCMessage *entry = arena_alloc(parser->arena, entry_type->descriptor->sizeof_message);
    if (entry == NULL) {
        return json_parse_fail_memory(parser);
    }
    protobuf_c_message_init(entry_type->descriptor, entry);
    enum status status =
        json_parse_map_key(parser, path, &fields[0], path->name, member_for_write(entry, &fields[0]));
    if (status != STATUS_OK) {
        return status;
    }
    *ret_entry = entry;
    return parse_value(parser, path, &fields[1], value_type, value, member_for_write(entry, &fields[1]));
}

/* jansson has refused equal texts; integers have more than one text. */
static enum status check_keys(const struct parser *parser, const struct path *path,
                              ProtobufCMessage **entries, size_t n)
{
    if (n == 0 || entries[0]->descriptor->fields[0].type == PROTOBUF_C_TYPE_STRING) {
        return STATUS_OK;
    }
    const bool *superseded = map_keys_find_superseded(entries, n, parser->arena);
    if (superseded == NULL) {
        return json_parse_fail_memory(parser);
    }
    for (size_t i = 0; i < n; i++) {
        if (superseded[i]) {
            return json_parse_fail(parser, path, "two keys are the same number");
        }
    }
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
static enum status parse_map(const struct parser *parser, const struct path *path,
                             const ProtobufCFieldDescriptor *field,
                             const struct descriptor_message *entry_type, json_t *object,
                             ProtobufCMessage *message)
{
    if (!json_is_object(object)) {
        return json_parse_fail_kind(parser, path, "object", object);
    }
    size_t n = json_object_size(object);
    ProtobufCMessage **entries = arena_alloc_zero(parser->arena, n * member_size(field->type));
    if (entries == NULL) {
        return json_parse_fail_memory(parser);
    }
    size_t i = 0;
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const struct path entry_path = {.parent = path, .name = json_object_iter_key(at)};
        enum status status =
            parse_map_entry(parser, &entry_path, entry_type, json_object_iter_value(at), &entries[i]);
        if (status != STATUS_OK) {
            return status;
        }
        i++;
    }
    store_list(message, field, n > 0 ? entries : NULL, n);
    return check_keys(parser, path, entries, n);
}

/* Which of a oneof is set, or whether a field with presence is. */
static enum status mark_set(const struct parser *parser, const struct path *path,
                            const struct descriptor_message *type, const ProtobufCFieldDescriptor *field,
                            ProtobufCMessage *message)
{
    void *quantifier = (char *)message + field->quantifier_offset;
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t other = (uint32_t)member_int32(quantifier);
        if (other != 0) {
            return json_parse_fail(parser, path, "only one of its oneof may be set, and %s is",
                                   protobuf_c_message_descriptor_get_field(type->descriptor, other)->name);
        }
        memcpy(quantifier, &field->id, sizeof(field->id));
    } else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
               field->type != PROTOBUF_C_TYPE_MESSAGE) {
        *(protobuf_c_boolean *)quantifier = true;
    }
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
enum status json_parse_field(const struct parser *parser, const struct path *path,
                             const struct descriptor_message *type, unsigned index, json_t *value,
                             ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = &type->descriptor->fields[index];
    const struct descriptor_message *field_type = type->fields[index].message;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return field_type != NULL && field_type->is_map_entry
                   ? parse_map(parser, path, field, field_type, value, message)
                   : parse_list(parser, path, field, field_type, value, message);
    }
    enum status status = mark_set(parser, path, type, field, message);
    if (status != STATUS_OK) {
        return status;
    }
    return parse_value(parser, path, field, field_type, value, member_for_write(message, field));
}

/* By either spelling; n_fields when there is none. */
static unsigned find_field(const struct descriptor_message *type, const char *name)
{
    unsigned i = 0;
    while (i < type->descriptor->n_fields && strcmp(type->fields[i].json_name, name) != 0 &&
           strcmp(type->descriptor->fields[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* A member of the outermost message that is too much: left out, if it is one that may be. */
static enum status leave_out(const struct parser *parser, const struct path *path,
                             const ProtobufCFieldDescriptor *field, enum too_much too_much)
{
    struct json_optional *optional = parser->optional;
    struct diag why;
    if (too_much == TOO_MUCH_DEPTH) {
        snprintf(why.text, sizeof(why.text), JSON_TOO_DEEP_TEXT, JSON_DEPTH_MAX);
    } else {
        snprintf(why.text, sizeof(why.text), JSON_TOO_MANY_TEXT, optional->values_max);
    }
    if (field->id >= 64 || (optional->fields >> field->id & 1) == 0) {
        return json_parse_fail(parser, path, "%s", why.text);
    }
    const char *text = arena_printf(parser->arena, "%s: %s", field->name, why.text);
    if (text == NULL) {
        return json_parse_fail_memory(parser);
    }
    assert(optional->n_left_out < JSON_OPTIONAL_MAX);
    optional->left_out[optional->n_left_out++] = text;
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
enum status json_parse_members(const struct parser *parser, const struct path *path,
                               const struct descriptor_message *type, json_t *object, const char *skip,
                               ProtobufCMessage *message)
{
    bool seen[DESCRIPTOR_FIELDS_MAX] = {false};
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        json_t *value = json_object_iter_value(at);
        const struct path field_path = {.parent = path, .name = name};
        if (skip != NULL && strcmp(name, skip) == 0) {
            continue;
        }
        unsigned index = find_field(type, name);
        if (index == type->descriptor->n_fields) {
            return json_parse_fail(parser, &field_path, "unknown field");
        }
        if (seen[index]) {
            return json_parse_fail(parser, &field_path, "given twice, as %s and as %s",
                                   type->fields[index].json_name, type->descriptor->fields[index].name);
        }
        seen[index] = true;
        const ProtobufCFieldDescriptor *field = &type->descriptor->fields[index];
        if (json_is_null(value) &&
            (field->label == PROTOBUF_C_LABEL_REPEATED || !takes_null(field, type->fields[index].message))) {
            continue;
        }
        enum too_much too_much = too_much_of(parser, value);
        enum status status = too_much == TOO_MUCH_NOT
                                 ? json_parse_field(parser, &field_path, type, index, value, message)
                                 : leave_out(parser, &field_path, field, too_much);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

// NOLINTNEXTLINE(misc-no-recursion)
enum status json_parse_message(const struct parser *parser, const struct path *path,
                               const struct descriptor_message *type, json_t *value,
                               ProtobufCMessage **ret_message)
{
    ProtobufCMessage *message = arena_alloc(parser->arena, type->descriptor->sizeof_message);
    if (message == NULL) {
        return json_parse_fail_memory(parser);
    }
    protobuf_c_message_init(type->descriptor, message);
    enum status status;
    if (type->well_known != WELL_KNOWN_NONE) {
        status = json_parse_well_known(parser, path, type, value, message);
    } else if (json_is_object(value)) {
        status = json_parse_members(parser, path, type, value, NULL, message);
    } else {
        status = json_parse_fail_kind(parser, path, "object", value);
    }
    if (status == STATUS_OK) {
        *ret_message = message;
    }
    return status;
}
