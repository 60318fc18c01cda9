/*
 * What protobuf-c's descriptors do not tell: JSON names, map entries, well-known types, method options,
 * comments.
 *
 * Made at build time by table_gen from protoc's descriptor set, one table for each set. The table of all
 * messages of proto/ and of protobuf's own types is built in; descriptor_table_add() adds others. All of it
 * is constant data.
 */
#ifndef JSON_DESCRIPTOR_TABLE_H
#define JSON_DESCRIPTOR_TABLE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/* A message has at most so many fields; table_gen refuses more. */
#define DESCRIPTOR_FIELDS_MAX 128

/* Message types with a JSON form of their own (google/protobuf). */
enum well_known {
    WELL_KNOWN_NONE,
    WELL_KNOWN_ANY,
    WELL_KNOWN_DURATION,
    WELL_KNOWN_FIELD_MASK,
    WELL_KNOWN_LIST_VALUE,
    WELL_KNOWN_STRUCT,
    WELL_KNOWN_TIMESTAMP,
    WELL_KNOWN_VALUE,
    WELL_KNOWN_WRAPPER,
};

/* google.protobuf.MethodOptions.IdempotencyLevel */
enum descriptor_idempotency {
    DESCRIPTOR_IDEMPOTENCY_UNKNOWN,
    DESCRIPTOR_NO_SIDE_EFFECTS,
    DESCRIPTOR_IDEMPOTENT,
};

struct descriptor_message;

/* A comment is the one that stands before the thing in its .proto file; "" when there is none. */
struct descriptor_field {
    const char *json_name;
    /* Type of the field when that is a message, else NULL. */
    const struct descriptor_message *message;
    const char *comment;
};

struct descriptor_message {
    const ProtobufCMessageDescriptor *descriptor;
    /* In the order of descriptor->fields. */
    const struct descriptor_field *fields;
    enum well_known well_known;
    bool is_map_entry;
    const char *comment;
};

struct descriptor_method {
    const char *name;
    enum descriptor_idempotency idempotency;
    const struct descriptor_message *input;
    const struct descriptor_message *output;
    const char *comment;
};

struct descriptor_service {
    /* With its package. */
    const char *name;
    const struct descriptor_method *methods;
    size_t n_methods;
    const char *comment;
};

struct descriptor_enum_value {
    const char *name;
    const char *comment;
};

struct descriptor_enum {
    const ProtobufCEnumDescriptor *descriptor;
    const char *comment;
    /* Of its values, in the order of the .proto file. */
    const struct descriptor_enum_value *values;
    size_t n_values;
};

/* Messages, enums and services each in the order of their full names (strcmp). */
struct descriptor_table {
    const struct descriptor_message *messages;
    size_t n_messages;
    const struct descriptor_enum *enums;
    size_t n_enums;
    const struct descriptor_service *services;
    size_t n_services;
};

/* The table that is built in. */
extern const struct descriptor_table descriptor_table_builtin;

/* Adds a table, which must stay. Before the first thread uses json; at most four. */
void descriptor_table_add(const struct descriptor_table *table);

/* By full name, "panic.v1.Panic" and "panic.v1.PanicService"; NULL when no table has it. Any thread. */
const struct descriptor_message *descriptor_table_message(const char *name);
const struct descriptor_service *descriptor_table_service(const char *name);

/* Of a method, by the full name of its service and its own name; UNKNOWN when it has none or does not exist.
 */
enum descriptor_idempotency descriptor_table_idempotency(const char *service, const char *method);

#endif
