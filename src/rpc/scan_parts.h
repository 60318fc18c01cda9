/*
 * Parts of a message that it can do without: fields that a method has declared to be optional. One that is
 * over the limits of the scan is left out, and never unpacked, where any other field would be refused.
 *
 * It is left out for being over the limits, and for nothing else: in it, up to the place where it goes over,
 * and all around it, everything is refused that the scan refuses. Behind that place nothing is looked at
 * until its end.
 */
#ifndef RPC_SCAN_PARTS_H
#define RPC_SCAN_PARTS_H

#include <stdbool.h>

#include "rpc/scan.h"

/* Most fields of a message that may be optional. */
#define SCAN_PARTS_MAX 4

enum scan_excess { SCAN_WITHIN = 0, SCAN_TOO_DEEP, SCAN_TOO_MANY, SCAN_TOO_LONG };

struct scan_part {
    const ProtobufCFieldDescriptor *field;
    /* Where in the message it begins, and its length, tag included. */
    size_t start;
    size_t length;
    /* Fields and elements in it, itself included. */
    unsigned elements;
    /* Other than SCAN_WITHIN: it is to be left out. */
    enum scan_excess excess;
};

/* The optional fields that a message has, each once, in the order of the bytes. */
struct scan_parts {
    /* One more than there can be, for the field that is given twice, with which the scan ends. */
    struct scan_part part[SCAN_PARTS_MAX + 1];
    size_t n;
    /* Of these; 0 = the message may be unpacked as it is. */
    size_t n_left_out;
};

/* Can a field be optional? A message of a number below 64, not repeated, required, or of a oneof. */
bool scan_may_be_optional(const ProtobufCFieldDescriptor *field);

/* The text, for people and without the field's name, "messages are nested deeper than 16". */
void scan_describe(enum scan_excess excess, const struct scan_limits *limits, struct diag *ret_text);

/*
 * For the scan: where all together have more than elements_max, the largest parts are to be left out, until
 * the rest is within. `elements` are those of all that is not left out yet; those outside the parts are
 * within by themselves.
 */
void scan_settle(struct scan_parts *parts, size_t elements, size_t elements_max);

/*
 * The same for the length, in bytes, of a message that has passed the scan. False when it is longer than
 * length_max even without any of the parts.
 */
MUST_USE bool scan_shorten(struct scan_parts *parts, size_t length, size_t length_max);

/* Writes the message without what is to be left out, at most `length` bytes. Gives its length. */
size_t scan_without(const struct scan_parts *parts, const uint8_t *data, size_t length, uint8_t *out);

#endif
