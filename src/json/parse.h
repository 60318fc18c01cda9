/* Within json: parsing by descriptor, for the types that have a form of their own. */
#ifndef JSON_PARSE_H
#define JSON_PARSE_H

#include <jansson.h>

#include "json/descriptor_table.h"
#include "json/prepare.h"

struct parser {
    struct arena *arena;
    struct diag *diag;
    const struct prepared *prepared;
    /* Of the outermost message; NULL = nothing. */
    struct json_optional *optional;
};

/* Where in the document a value is, from the inside out; told to people only when something is wrong. */
struct path {
    const struct path *parent;
    /* Key in an object; NULL: `index` in an array. */
    const char *name;
    size_t index;
};

/* The text of a number or of a string; a plain integer is `integer`, without text. */
struct number {
    const char *text;
    size_t length;
    int64_t integer;
};

/* INVALID_ARGUMENT, with the path before the reason. The root's path is NULL. */
enum status json_parse_fail(const struct parser *parser, const struct path *path, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The same: "expected number, got string". */
enum status json_parse_fail_kind(const struct parser *parser, const struct path *path, const char *expected,
                                 const json_t *value);
/* RESOURCE_EXHAUSTED */
enum status json_parse_fail_memory(const struct parser *parser);

/* What a real stands for; NULL when it is none of ours. */
const struct replaced *json_replaced(const struct parser *parser, const json_t *real);

/* A new message in the arena, from whichever form its type has. */
MUST_USE enum status json_parse_message(const struct parser *parser, const struct path *path,
                                        const struct descriptor_message *type, json_t *value,
                                        ProtobufCMessage **ret_message);

/* The members of an object; one named `skip` is passed over, NULL = none. */
MUST_USE enum status json_parse_members(const struct parser *parser, const struct path *path,
                                        const struct descriptor_message *type, json_t *object,
                                        const char *skip, ProtobufCMessage *message);

/* One field, by its index, from an array, an object or a single value that is not null unless the field takes
 * that. */
MUST_USE enum status json_parse_field(const struct parser *parser, const struct path *path,
                                      const struct descriptor_message *type, unsigned index, json_t *value,
                                      ProtobufCMessage *message);

/* A message of a type whose well_known is not WELL_KNOWN_NONE. (well_known_parse.c) */
MUST_USE enum status json_parse_well_known(const struct parser *parser, const struct path *path,
                                           const struct descriptor_message *type, json_t *value,
                                           ProtobufCMessage *message);

/* google.protobuf.Any. (any_parse.c) */
MUST_USE enum status json_parse_any(const struct parser *parser, const struct path *path, json_t *value,
                                    ProtobufCMessage *message);

/* A value of a type that is no message, into the member where it belongs. (parse_scalar.c) */
MUST_USE enum status json_parse_scalar(const struct parser *parser, const struct path *path,
                                       const ProtobufCFieldDescriptor *field, const json_t *value,
                                       void *member);
/* The key of a map, which is always a string. (parse_scalar.c) */
MUST_USE enum status json_parse_map_key(const struct parser *parser, const struct path *path,
                                        const ProtobufCFieldDescriptor *field, const char *key, void *member);

#endif
