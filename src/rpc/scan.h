/*
 * The guard before every unpack. protobuf-c's unpack trusts its input: it recurses without a limit,
 * multiplies memory and checks no UTF-8. scan_message() walks the bytes by descriptor first, without
 * allocating, and refuses what unpack must not see.
 *
 * What it passes, protobuf_c_message_unpack() unpacks. The same scan guards nng and HTTP.
 */
#ifndef RPC_SCAN_H
#define RPC_SCAN_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct scan_parts;

struct scan_limits {
    /* Messages inside messages; the outermost is 1. */
    unsigned depth_max;
    /* Fields and repeated elements in all, unknown ones included. */
    unsigned elements_max;
    /* Bit n: the outermost message can do without its field of the number n (rpc/scan_parts.h). */
    uint64_t optional;
};

/* Depth 16, 4096 elements: what panicd uses for requests. */
extern const struct scan_limits scan_limits_default;

/*
 * OK, or INVALID_ARGUMENT with the path of the field in diag ("metadata.fields.value: text is not valid
 * UTF-8"). Refused: truncated or overlong varints, lengths beyond the enclosing message, field number 0,
 * groups, a wire type that does not fit a known field, text that is not UTF-8 or holds NUL, too deep, too
 * many. `limits` NULL = the default.
 *
 * With optional fields, what may be unpacked is not the message, but what scan_without() makes of it:
 * ret_parts has those found and what is to become of them. It may be NULL when limits->optional is 0.
 */
MUST_USE enum status scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                                  size_t length, const struct scan_limits *limits,
                                  struct scan_parts *ret_parts, struct diag *diag);

#endif
