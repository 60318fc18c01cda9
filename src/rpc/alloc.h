/*
 * protobuf-c's allocator over an arena: unpacked messages live in the call's arena and are freed with it.
 * Freeing a single piece does nothing.
 */
#ifndef RPC_ALLOC_H
#define RPC_ALLOC_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* Valid as long as `arena` is. */
ProtobufCAllocator rpc_arena_allocator(struct arena *arena);

#endif
