/*
 * Values that are no message. Numbers come as JSON numbers or as strings that hold one; both are read from
 * their own text, so an integer is exact whichever way it is written. Strings hold no NUL: jansson refuses
 * U+0000, which a string in C could not keep.
 */
#include "json/parse.h"

#include <math.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "json/base64.h"
#include "json/member.h"
#include "json/numbers.h"
#include "base/utf8.h"

/* Bytes of the caller's text that an error repeats. */
#define QUOTE_MAX 40

/* False when the value is neither a number nor a string. */
static bool get_number(const struct parser *parser, const json_t *value, struct number *ret_number)
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        *ret_number = (struct number){.integer = json_integer_value(value)};
        return true;
    case JSON_REAL: {
        const struct replaced *replaced = json_replaced(parser, value);
        if (replaced == NULL) {
            return false;
        }
        *ret_number = (struct number){.text = replaced->text.data, .length = replaced->text.length};
        return true;
    }
    case JSON_STRING:
        *ret_number = (struct number){.text = json_string_value(value), .length = json_string_length(value)};
        return true;
    default:
        return false;
    }
}

/* The type as .proto files name it, and its range. */
struct integer_type {
    const char *name;
    bool is_signed;
    int64_t min;
    uint64_t max;
};

static const struct integer_type *integer_type_of(ProtobufCType type)
{
    static const struct integer_type types[] = {
        {"int32", true, INT32_MIN, INT32_MAX},
        {"uint32", false, 0, UINT32_MAX},
        {"int64", true, INT64_MIN, INT64_MAX},
        {"uint64", false, 0, UINT64_MAX},
    };
    bool is_unsigned = type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_FIXED32 ||
                       type == PROTOBUF_C_TYPE_UINT64 || type == PROTOBUF_C_TYPE_FIXED64;
    return &types[(member_size(type) == 8 ? 2 : 0) + (is_unsigned ? 1 : 0)];
}

/* The bits of the integer, in two's complement. */
static enum status read_integer(const struct integer_type *type, const struct number *number,
                                uint64_t *ret_bits)
{
    uint64_t bits = (uint64_t)number->integer;
    enum status status = STATUS_OK;
    if (number->text == NULL) {
        status = !type->is_signed && number->integer < 0 ? STATUS_OUT_OF_RANGE : STATUS_OK;
    } else if (type->is_signed) {
        int64_t value = 0;
        status = number_parse_int64(number->text, number->length, &value);
        bits = (uint64_t)value;
    } else {
        status = number_parse_uint64(number->text, number->length, &bits);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool fits = type->is_signed ? (int64_t)bits >= type->min && (int64_t)bits <= (int64_t)type->max
                                : bits <= type->max;
    if (!fits) {
        return STATUS_OUT_OF_RANGE;
    }
    *ret_bits = bits;
    return STATUS_OK;
}

static void store_integer(ProtobufCType type, uint64_t bits, void *member)
{
    uint32_t low = (uint32_t)bits;
    memcpy(member, member_size(type) == 4 ? (const void *)&low : (const void *)&bits, member_size(type));
}

static enum status parse_integer(const struct parser *parser, const struct path *path, ProtobufCType type,
                                 const json_t *value, void *member)
{
    const struct integer_type *integer = integer_type_of(type);
    struct number number;
    if (!get_number(parser, value, &number)) {
        return json_parse_fail_kind(parser, path, "integer", value);
    }
    uint64_t bits;
    switch (read_integer(integer, &number, &bits)) {
    case STATUS_OK:
        store_integer(type, bits, member);
        return STATUS_OK;
    case STATUS_OUT_OF_RANGE:
        return json_parse_fail(parser, path, "out of range of %s", integer->name);
    default:
        return json_is_string(value)
                   ? json_parse_fail_kind(parser, path, "integer", value)
                   : json_parse_fail(parser, path, "expected integer, got number with a fraction");
    }
}

static bool read_special_double(const struct number *number, double *ret_value)
{
    static const struct {
        const char *text;
        double value;
    } specials[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
    for (size_t i = 0; number->text != NULL && i < sizeof(specials) / sizeof(specials[0]); i++) {
        if (number->length == strlen(specials[i].text) &&
            memcmp(number->text, specials[i].text, number->length) == 0) {
            *ret_value = specials[i].value;
            return true;
        }
    }
    return false;
}

static enum status read_double(const struct parser *parser, const struct path *path, const json_t *value,
                               double *ret_value)
{
    struct number number;
    if (!get_number(parser, value, &number)) {
        return json_parse_fail_kind(parser, path, "number", value);
    }
    if (number.text == NULL) {
        *ret_value = (double)number.integer;
        return STATUS_OK;
    }
    if (json_is_string(value) && read_special_double(&number, ret_value)) {
        return STATUS_OK;
    }
    switch (number_parse_double(number.text, number.length, ret_value)) {
    case STATUS_OK:
        return STATUS_OK;
    case STATUS_OUT_OF_RANGE:
        return json_parse_fail(parser, path, "out of range of double");
    case STATUS_RESOURCE_EXHAUSTED:
        return json_parse_fail(parser, path, "number has too many digits");
    default:
        return json_parse_fail_kind(parser, path, "number", value);
    }
}

static enum status parse_float(const struct parser *parser, const struct path *path, const json_t *value,
                               void *member)
{
    double wide = 0;
    enum status status = read_double(parser, path, value, &wide);
    if (status != STATUS_OK) {
        return status;
    }
    float narrow = (float)wide;
    if (isinf(narrow) && !isinf(wide)) {
        return json_parse_fail(parser, path, "out of range of float");
    }
    memcpy(member, &narrow, sizeof(narrow));
    return STATUS_OK;
}

static enum status parse_double(const struct parser *parser, const struct path *path, const json_t *value,
                                void *member)
{
    double wide = 0;
    enum status status = read_double(parser, path, value, &wide);
    if (status == STATUS_OK) {
        memcpy(member, &wide, sizeof(wide));
    }
    return status;
}

static enum status parse_bool(const struct parser *parser, const struct path *path, const json_t *value,
                              void *member)
{
    if (!json_is_boolean(value)) {
        return json_parse_fail_kind(parser, path, "boolean", value);
    }
    *(protobuf_c_boolean *)member = json_is_true(value);
    return STATUS_OK;
}

static enum status read_enum(const struct parser *parser, const struct path *path,
                             const ProtobufCEnumDescriptor *type, const json_t *value, int32_t *ret_number)
{
    if (json_is_number(value)) {
        return parse_integer(parser, path, PROTOBUF_C_TYPE_ENUM, value, ret_number);
    }
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "name of a value", value);
    }
    const char *name = json_string_value(value);
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value_by_name(type, name);
    if (found == NULL) {
        return json_parse_fail(parser, path, "\"%.*s\" is no value of %s",
                               (int)utf8_cut(name, json_string_length(value), QUOTE_MAX), name, type->name);
    }
    *ret_number = found->value;
    return STATUS_OK;
}

/* Numbers without a name are kept, as proto3 has it, but NullValue has no form for them. */
static enum status parse_enum(const struct parser *parser, const struct path *path,
                              const ProtobufCEnumDescriptor *type, const json_t *value, void *member)
{
    bool is_null_type = type == &google__protobuf__null_value__descriptor;
    int32_t number = 0;
    if (!(is_null_type && json_is_null(value))) {
        enum status status = read_enum(parser, path, type, value, &number);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (is_null_type && number != 0) {
        return json_parse_fail(parser, path, "%d is no value of %s", (int)number, type->name);
    }
    memcpy(member, &number, sizeof(number));
    return STATUS_OK;
}

static enum status store_string(const struct parser *parser, const char *text, size_t length, void *member)
{
    char *copy = arena_copy(parser->arena, text, length);
    if (copy == NULL) {
        return json_parse_fail_memory(parser);
    }
    memcpy(member, &copy, sizeof(copy));
    return STATUS_OK;
}

static enum status parse_string(const struct parser *parser, const struct path *path, const json_t *value,
                                void *member)
{
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "string", value);
    }
    return store_string(parser, json_string_value(value), json_string_length(value), member);
}

static enum status parse_bytes(const struct parser *parser, const struct path *path, const json_t *value,
                               void *member)
{
    if (!json_is_string(value)) {
        return json_parse_fail_kind(parser, path, "string in base64", value);
    }
    size_t length = json_string_length(value);
    ProtobufCBinaryData bytes = {.data = arena_alloc(parser->arena, BASE64_DECODED_SIZE_MAX(length))};
    if (bytes.data == NULL) {
        return json_parse_fail_memory(parser);
    }
    if (base64_decode(json_string_value(value), length, bytes.data, &bytes.len) != STATUS_OK) {
        return json_parse_fail(parser, path, "not valid base64");
    }
    memcpy(member, &bytes, sizeof(bytes));
    return STATUS_OK;
}

enum status json_parse_scalar(const struct parser *parser, const struct path *path,
                              const ProtobufCFieldDescriptor *field, const json_t *value, void *member)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FLOAT:
        return parse_float(parser, path, value, member);
    case PROTOBUF_C_TYPE_DOUBLE:
        return parse_double(parser, path, value, member);
    case PROTOBUF_C_TYPE_BOOL:
        return parse_bool(parser, path, value, member);
    case PROTOBUF_C_TYPE_ENUM:
        return parse_enum(parser, path, field->descriptor, value, member);
    case PROTOBUF_C_TYPE_STRING:
        return parse_string(parser, path, value, member);
    case PROTOBUF_C_TYPE_BYTES:
        return parse_bytes(parser, path, value, member);
    default:
        return parse_integer(parser, path, field->type, value, member);
    }
}

enum status json_parse_map_key(const struct parser *parser, const struct path *path,
                               const ProtobufCFieldDescriptor *field, const char *key, void *member)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return store_string(parser, key, strlen(key), member);
    }
    if (field->type == PROTOBUF_C_TYPE_BOOL) {
        *(protobuf_c_boolean *)member = strcmp(key, "true") == 0;
        return strcmp(key, "true") == 0 || strcmp(key, "false") == 0
                   ? STATUS_OK
                   : json_parse_fail(parser, path, "key is neither true nor false");
    }
    const struct integer_type *type = integer_type_of(field->type);
    struct number number = {.text = key, .length = strlen(key)};
    uint64_t bits;
    if (read_integer(type, &number, &bits) != STATUS_OK) {
        return json_parse_fail(parser, path, "key is no %s", type->name);
    }
    store_integer(field->type, bits, member);
    return STATUS_OK;
}
