/*
 * Messages as JSON Schema (2020-12, as OpenAPI 3.1 has it), in the form that ProtoJSON is written in
 * (https://protobuf.dev/programming-guides/json/): names are JSON names, nothing is required since defaults
 * are left out, 64-bit integers are strings.
 *
 * Which messages are reached, and from which side, is found from the methods on down, with a list of those
 * still to be looked at. A message that only requests have is closed: the server refuses fields that it does
 * not know. The others stay open, so that an older client takes the answers of a newer server.
 */
#include "shim/openapi_schemas.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 2048

enum side { IN_REQUESTS = 1, IN_ANSWERS = 2 };

struct reach {
    const struct descriptor_table *table;
    unsigned char messages[MESSAGES_MAX];
    /* Indices of messages whose fields are still to be followed. Each is entered at most once a side. */
    size_t open[2 * MESSAGES_MAX];
    size_t n_open;
};

/* ---- what is reached ---- */

static void reach_message(struct reach *reach, const struct descriptor_message *message, unsigned sides)
{
    size_t index = (size_t)(message - reach->table->messages);
    if ((reach->messages[index] & sides) != sides) {
        reach->messages[index] = (unsigned char)(reach->messages[index] | sides);
        reach->open[reach->n_open++] = index;
    }
}

static void reach_all(struct reach *reach)
{
    const struct descriptor_table *table = reach->table;
    for (size_t i = 0; i < table->n_services; i++) {
        for (size_t j = 0; j < table->services[i].n_methods; j++) {
            reach_message(reach, table->services[i].methods[j].input, IN_REQUESTS);
            reach_message(reach, table->services[i].methods[j].output, IN_ANSWERS);
        }
    }
    while (reach->n_open > 0) {
        size_t index = reach->open[--reach->n_open];
        const struct descriptor_message *message = &table->messages[index];
        for (size_t i = 0; message->well_known == WELL_KNOWN_NONE && i < message->descriptor->n_fields; i++) {
            if (message->fields[i].message != NULL) {
                reach_message(reach, message->fields[i].message, reach->messages[index]);
            }
        }
    }
}

static bool is_enum_reached(const struct reach *reach, const ProtobufCEnumDescriptor *descriptor)
{
    for (size_t i = 0; i < reach->table->n_messages; i++) {
        const ProtobufCMessageDescriptor *message = reach->table->messages[i].descriptor;
        bool is_written = reach->messages[i] != 0 && reach->table->messages[i].well_known == WELL_KNOWN_NONE;
        for (size_t j = 0; is_written && j < message->n_fields; j++) {
            const ProtobufCFieldDescriptor *field = &message->fields[j];
            if (field->type == PROTOBUF_C_TYPE_ENUM && field->descriptor == descriptor) {
                return true;
            }
        }
    }
    return false;
}

/* ---- text ---- */

static void put_indent(FILE *out, int indent)
{
    fprintf(out, "%*s", indent, "");
}

/* A block scalar, in which nothing has to be escaped; its lines keep their breaks. */
static void put_block(FILE *out, int indent, const char *text)
{
    while (*text != 0) {
        size_t length = strcspn(text, "\n");
        if (length > 0) {
            put_indent(out, indent);
            fprintf(out, "%.*s", (int)length, text);
        }
        fputc('\n', out);
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

void openapi_description(FILE *out, int indent, const char *text)
{
    if (text[0] != 0) {
        put_indent(out, indent);
        fputs("description: |-\n", out);
        put_block(out, indent + 2, text);
    }
}

/* ---- types ---- */

static const char *scalar_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return "type: integer\nminimum: -2147483648\nmaximum: 2147483647";
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return "type: integer\nminimum: 0\nmaximum: 4294967295";
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return "type: string\npattern: '^-?[0-9]{1,19}$'";
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return "type: string\npattern: '^[0-9]{1,20}$'";
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return "$ref: '#/components/schemas/Number'";
    case PROTOBUF_C_TYPE_BOOL:
        return "type: boolean";
    case PROTOBUF_C_TYPE_BYTES:
        return "type: string\ncontentEncoding: base64";
    default:
        return "type: string";
    }
}

static void put_type(FILE *out, int indent, const ProtobufCFieldDescriptor *field)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessageDescriptor *message = field->descriptor;
        put_indent(out, indent);
        fprintf(out, "$ref: '#/components/schemas/%s'\n", message->name);
    } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumDescriptor *enumeration = field->descriptor;
        put_indent(out, indent);
        fprintf(out, "$ref: '#/components/schemas/%s'\n", enumeration->name);
    } else {
        put_block(out, indent, scalar_type(field->type));
    }
}

static void put_field(FILE *out, const ProtobufCFieldDescriptor *field, const struct descriptor_field *more)
{
    enum { INDENT = 10 };
    fprintf(out, "        %s:\n", more->json_name);
    openapi_description(out, INDENT, more->comment);
    if (more->message != NULL && more->message->is_map_entry) {
        put_block(out, INDENT, "type: object\nadditionalProperties:");
        put_type(out, INDENT + 2, &more->message->descriptor->fields[1]);
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        put_block(out, INDENT, "type: array\nitems:");
        put_type(out, INDENT + 2, field);
    } else {
        put_type(out, INDENT, field);
    }
}

/* ---- schemas ---- */

static const char *well_known_schema(enum well_known well_known)
{
    switch (well_known) {
    case WELL_KNOWN_ANY:
        return "description: A message of any type, with its fields beside \"@type\".\ntype: object\n"
               "properties:\n  '@type':\n    type: string\nadditionalProperties: true";
    case WELL_KNOWN_DURATION:
        return "description: Seconds, with up to nine digits behind the point.\ntype: string\n"
               "pattern: '^-?[0-9]{1,12}([.][0-9]{1,9})?s$'";
    case WELL_KNOWN_FIELD_MASK:
        return "description: Paths of fields, separated by commas.\ntype: string";
    case WELL_KNOWN_LIST_VALUE:
        return "description: Any list.\ntype: array\nitems: {}";
    case WELL_KNOWN_STRUCT:
        return "description: Any object.\ntype: object\nadditionalProperties: true";
    case WELL_KNOWN_TIMESTAMP:
        return "description: A time (RFC 3339), in UTC.\ntype: string\nformat: date-time";
    case WELL_KNOWN_VALUE:
        return "description: Any value.";
    default:
        return NULL;
    }
}

/* A wrapper's schema is that of its only field. */
static void put_wrapper(FILE *out, const ProtobufCMessageDescriptor *descriptor)
{
    put_type(out, 6, &descriptor->fields[0]);
}

static void put_message(FILE *out, const struct descriptor_message *message, unsigned sides)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    fprintf(out, "    %s:\n", descriptor->name);
    if (message->well_known == WELL_KNOWN_WRAPPER) {
        put_wrapper(out, descriptor);
        return;
    }
    const char *known = well_known_schema(message->well_known);
    if (known != NULL) {
        put_block(out, 6, known);
        return;
    }
    openapi_description(out, 6, message->comment);
    fputs("      type: object\n", out);
    if (descriptor->n_fields > 0) {
        fputs("      properties:\n", out);
    }
    for (size_t i = 0; i < descriptor->n_fields; i++) {
        put_field(out, &descriptor->fields[i], &message->fields[i]);
    }
    if ((sides & IN_ANSWERS) == 0) {
        fputs("      additionalProperties: false\n", out);
    }
}

static void put_enum(FILE *out, const struct descriptor_enum *enumeration)
{
    fprintf(out, "    %s:\n      description: |-\n", enumeration->descriptor->name);
    put_block(out, 8, enumeration->comment);
    for (size_t i = 0; i < enumeration->n_values; i++) {
        if (i == 0 && enumeration->comment[0] != 0) {
            fputc('\n', out);
        }
        fprintf(out, "        - `%s`", enumeration->values[i].name);
        const char *comment = enumeration->values[i].comment;
        for (const char *c = comment; *c != 0; c++) {
            fprintf(out, "%s%c", c == comment ? ": " : "", *c == '\n' ? ' ' : *c);
        }
        fputc('\n', out);
    }
    fputs("      type: string\n      enum:\n", out);
    for (size_t i = 0; i < enumeration->n_values; i++) {
        fprintf(out, "        - %s\n", enumeration->values[i].name);
    }
}

void openapi_schemas(FILE *out, const struct descriptor_table *table)
{
    static struct reach reach;
    if (table->n_messages > MESSAGES_MAX) {
        fputs("openapi_gen: too many messages\n", stderr);
        exit(EXIT_FAILURE);
    }
    reach = (struct reach){.table = table};
    reach_all(&reach);
    for (size_t i = 0; i < table->n_messages; i++) {
        if (reach.messages[i] != 0 && !table->messages[i].is_map_entry) {
            put_message(out, &table->messages[i], reach.messages[i]);
        }
    }
    for (size_t i = 0; i < table->n_enums; i++) {
        if (is_enum_reached(&reach, table->enums[i].descriptor)) {
            put_enum(out, &table->enums[i]);
        }
    }
}
