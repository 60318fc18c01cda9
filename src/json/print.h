/* Within json: printing messages by descriptor, for the types that have a form of their own. */
#ifndef JSON_PRINT_H
#define JSON_PRINT_H

#include "json/descriptor_table.h"
#include "json/writer.h"

struct printer {
    struct writer writer;
    /* Also fields without presence that have their default value. */
    bool defaults;
};

/* A message in whichever form its type has. `message` NULL = one with nothing set. */
void json_print_message(struct printer *printer, const struct descriptor_message *type,
                        const ProtobufCMessage *message);

/* The members of an object: the fields that are set. */
void json_print_members(struct printer *printer, const struct descriptor_message *type,
                        const ProtobufCMessage *message);

/* The value of one field, by its index: array, object or single value. */
void json_print_field(struct printer *printer, const struct descriptor_message *type, unsigned index,
                      const ProtobufCMessage *message);

/* A message of a type whose well_known is not WELL_KNOWN_NONE. (well_known_print.c) */
void json_print_well_known(struct printer *printer, const struct descriptor_message *type,
                           const ProtobufCMessage *message);

/* google.protobuf.Any. (any.c) */
void json_print_any(struct printer *printer, const ProtobufCMessage *message);

#endif
