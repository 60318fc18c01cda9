/*
 * Canonical ProtoJSON (https://protobuf.dev/programming-guides/json/) for any protobuf-c message, both ways.
 *
 * Driven by protobuf-c's descriptors and a side table made at build time from the descriptor set, which knows
 * what protobuf-c's descriptors lack: JSON names, map entries, method options.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* JSON text deeper than this is refused. */
#define JSON_DEPTH_MAX 32
/* Most fields of a message that may be optional. */
#define JSON_OPTIONAL_MAX 4

struct json_text {
    const char *data;
    size_t length;
};

struct json_print_options {
    /* Line breaks and two spaces of indent, for people. */
    bool pretty;
    /* Also print fields without presence that have their default value. */
    bool defaults;
};

/*
 * The message as JSON, in the arena, NUL behind. `options` NULL = compact. Bytes of a string that are not
 * UTF-8 become U+FFFD. Any thread. RESOURCE_EXHAUSTED: the arena is full. INVALID_ARGUMENT: something in it
 * has no JSON form: a Timestamp or Duration out of range, a Value that is not a finite number, an Any of
 * unknown type or with a broken payload, more than 64 objects and arrays in one another. UNIMPLEMENTED: no
 * side table has the type (json/descriptor_table.h).
 */
MUST_USE enum status json_print(const ProtobufCMessage *message, const struct json_print_options *options,
                                struct arena *arena, struct json_text *ret_text);

/*
 * What a message can do without. A member of the outermost object whose value, an object or array, is deeper
 * than JSON_DEPTH_MAX or has more than values_max keys and values is left out, and not parsed at all, when it
 * is one of these; any other is refused. It must end where its brackets say: what is in strings counts for
 * nothing, and brackets that do not match are refused.
 */
struct json_optional {
    /* Bit n: the field of the number n. At most JSON_OPTIONAL_MAX bits. */
    uint64_t fields;
    size_t values_max;
    /* What was left out, and why: "metadata: nested deeper than 32 objects and arrays". In the arena. Set by
     * json_parse(). */
    const char *left_out[JSON_OPTIONAL_MAX];
    size_t n_left_out;
};

/*
 * Parses JSON into a message of the given type, in the arena; nothing in it points into `text`. Any thread.
 * `optional` NULL = it can do without nothing; otherwise the type is none with a JSON form of its own.
 * INVALID_ARGUMENT with the path of the field in diag, "location.lat: expected number, got string", or with
 * line and column when the text is not JSON, "not valid JSON at line 1, column 12: ':' expected". The diag
 * has no control characters and ends between characters. RESOURCE_EXHAUSTED: the arena is full.
 * UNIMPLEMENTED: as above.
 */
MUST_USE enum status json_parse(const ProtobufCMessageDescriptor *descriptor, const char *text, size_t length,
                                struct json_optional *optional, struct arena *arena,
                                ProtobufCMessage **ret_message, struct diag *diag);

#endif
