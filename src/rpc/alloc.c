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

static enum status fail_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
}

enum status rpc_unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                       const struct scan_limits *limits, struct arena *arena,
                       const ProtobufCMessage **ret_message, struct scan_parts *ret_parts, struct diag *diag)
{
    enum status status = scan_message(descriptor, data, length, limits, ret_parts, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (ret_parts != NULL && ret_parts->n_left_out > 0) {
        uint8_t *rest = arena_alloc(arena, length);
        if (rest == NULL) {
            return fail_memory(diag);
        }
        length = scan_without(ret_parts, data, length, rest);
        data = rest;
    }
    ProtobufCAllocator allocator = rpc_arena_allocator(arena);
    const ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, length, data);
    if (message == NULL) {
        return fail_memory(diag);
    }
    *ret_message = message;
    return STATUS_OK;
}
