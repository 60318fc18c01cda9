/*
 * protobuf-c's allocator over an arena: unpacked messages live in the call's arena and are freed with it.
 * Freeing a single piece does nothing.
 */
#ifndef RPC_ALLOC_H
#define RPC_ALLOC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/status.h"
#include "rpc/scan_parts.h"

/* Valid as long as `arena` is. */
ProtobufCAllocator rpc_arena_allocator(struct arena *arena);

/*
 * The way to read bytes that others wrote: scans them as a message of this type (rpc/scan.h), then unpacks
 * what is not to be left out into `arena`. INVALID_ARGUMENT with the field's path in diag, or
 * RESOURCE_EXHAUSTED when the arena has no room. `ret_parts` may be NULL when the limits have nothing
 * optional.
 */
MUST_USE enum status rpc_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                                size_t length, const struct scan_limits *limits, struct arena *arena,
                                const ProtobufCMessage **ret_message, struct scan_parts *ret_parts,
                                struct diag *diag);

#endif
