/*
 * From text to message: prepare, let jansson read, walk. Errors of the text itself name line and column as
 * they are in the caller's text, not in what json_prepare() made of it.
 */
#include <assert.h>
#include <jansson.h>
#include <string.h>

#include "json/json.h"
#include "json/parse.h"

struct place {
    size_t line;
    size_t column;
};

/* Both counted from 1; the column in characters, not bytes. */
static struct place place_of(const char *text, size_t offset)
{
    struct place place = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)text[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/*
 * How much of jansson's message to show. It ends with the last thing read, which may be one of our stand-ins:
 * shown are only a key given twice and the end of the text.
 */
static int shown_length(const json_error_t *error)
{
    const char *near = strstr(error->text, " near ");
    bool show_all = near == NULL || json_error_code(error) == json_error_duplicate_key ||
                    strcmp(near, " near end of file") == 0;
    return show_all ? (int)strlen(error->text) : (int)(near - error->text);
}

static enum status fail_syntax(const struct prepared *prepared, const char *text, size_t length,
                               const json_error_t *error, struct diag *diag)
{
    size_t consumed = prepared_original_offset(prepared, text, (size_t)error->position);
    consumed = consumed < length ? consumed : length;
    struct place place = place_of(text, consumed > 0 ? consumed - 1 : 0);
    switch (json_error_code(error)) {
    case json_error_out_of_memory:
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "out of memory");
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "refused at line %zu, column %zu: U+0000 in a string",
                         place.line, place.column);
    default:
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "not valid JSON at line %zu, column %zu: %.*s",
                         place.line, place.column, shown_length(error), error->text);
    }
}

enum status json_parse(const ProtobufCMessageDescriptor *descriptor, const char *text, size_t length,
                       struct json_optional *optional, struct arena *arena, ProtobufCMessage **ret_message,
                       struct diag *diag)
{
    const struct descriptor_message *type = descriptor_table_message(descriptor->name);
    if (type == NULL) {
        return diag_fail(diag, STATUS_UNIMPLEMENTED, "%s is not known to json", descriptor->name);
    }
    assert(optional == NULL || type->well_known == WELL_KNOWN_NONE);
    struct prepared prepared;
    enum status status = json_prepare(text, length, optional, arena, &prepared, diag);
    if (status != STATUS_OK) {
        return status;
    }
    json_error_t error;
    json_t *root =
        json_loadb(prepared.text, prepared.length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (root == NULL) {
        return fail_syntax(&prepared, text, length, &error, diag);
    }
    struct parser parser = {.arena = arena, .diag = diag, .prepared = &prepared, .optional = optional};
    status = json_parse_message(&parser, NULL, type, root, ret_message);
    json_decref(root);
    return status;
}
