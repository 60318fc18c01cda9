#include "rpc/alloc.h"

static void *take(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void keep(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCAllocator rpc_arena_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){.alloc = take, .free = keep, .allocator_data = arena};
}

enum status rpc_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                       const struct scan_limits *limits, struct arena *arena,
                       const ProtobufCMessage **ret_message, struct diag *diag)
{
    enum status status = scan_message(descriptor, data, length, limits, diag);
    if (status != STATUS_OK) {
        return status;
    }
    ProtobufCAllocator allocator = rpc_arena_allocator(arena);
    const ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, length, data);
    if (message == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
    }
    *ret_message = message;
    return STATUS_OK;
}
