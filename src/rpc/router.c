/*
 * All methods of all services in one array, found by an open-addressing hash table of their full paths that
 * is at most half full. It is built once and only read afterwards, so that any thread may look up; only the
 * counters inside the methods change, and they are atomic.
 *
 * dispatch() is the one way from a stranger's bytes to a handler: deadline, scan, unpack, in the order of
 * what costs least.
 */
#include "rpc/router.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/alloc.h"
#include "rpc/scan_parts.h"

#define PATHS_MAX (1024 * 1024)

struct rpc_router {
    struct rpc_method *methods;
    size_t n_methods;
    /* Indices into methods plus 1; 0 = free. */
    uint32_t *slots;
    size_t slot_mask;
    struct arena paths;
};

/* FNV-1a. */
static uint32_t hash(const char *text, size_t length)
{
    uint32_t value = 2166136261U;
    for (size_t i = 0; i < length; i++) {
        value = (value ^ (uint8_t)text[i]) * 16777619U;
    }
    return value;
}

static const struct rpc_binding *find_binding(const struct rpc_service *service, const char *method)
{
    for (size_t i = 0; i < service->n_bindings; i++) {
        if (strcmp(service->bindings[i].method, method) == 0) {
            return &service->bindings[i];
        }
    }
    return NULL;
}

static void check_bindings(const struct rpc_service *service)
{
    for (size_t i = 0; i < service->n_bindings; i++) {
        const char *name = service->bindings[i].method;
        assert(protobuf_c_service_descriptor_get_method_by_name(service->descriptor, name) != NULL);
        assert(find_binding(service, name) == &service->bindings[i]);
    }
}

/* The fields with these names of the message, as scan_limits has them. */
static uint64_t optional_fields(const ProtobufCMessageDescriptor *message, const char *const *names)
{
    uint64_t fields = 0;
    unsigned n = 0;
    for (; names != NULL && names[n] != NULL; n++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message, names[n]);
        assert(field != NULL && scan_may_be_optional(field) && n < SCAN_PARTS_MAX);
        fields |= UINT64_C(1) << field->id;
    }
    return fields;
}

static void enter(struct rpc_router *router, size_t index)
{
    const char *path = router->methods[index].path;
    assert(rpc_router_find(router, path, strlen(path)) == NULL);
    size_t slot = hash(path, strlen(path)) & router->slot_mask;
    while (router->slots[slot] != 0) {
        slot = (slot + 1) & router->slot_mask;
    }
    router->slots[slot] = (uint32_t)index + 1;
}

static enum status add_service(struct rpc_router *router, const struct rpc_service *service)
{
    check_bindings(service);
    for (unsigned i = 0; i < service->descriptor->n_methods; i++) {
        struct rpc_method *method = &router->methods[router->n_methods];
        method->service = service->descriptor;
        method->descriptor = &service->descriptor->methods[i];
        method->path =
            arena_printf(&router->paths, "/%s/%s", service->descriptor->name, method->descriptor->name);
        if (method->path == NULL) {
            return STATUS_RESOURCE_EXHAUSTED;
        }
        const struct rpc_binding *binding = find_binding(service, method->descriptor->name);
        method->limits = scan_limits_default;
        if (binding != NULL) {
            method->limits.optional = optional_fields(method->descriptor->input, binding->optional);
            method->handler = binding->handler;
            method->read_only = binding->read_only;
        }
        method->ctx = service->ctx;
        enter(router, router->n_methods++);
    }
    return STATUS_OK;
}

static enum status allocate(struct rpc_router *router, size_t n_methods)
{
    size_t n_slots = 2;
    while (n_slots < 2 * n_methods) {
        n_slots *= 2;
    }
    router->slot_mask = n_slots - 1;
    router->slots = calloc(n_slots, sizeof(*router->slots));
    router->methods = calloc(n_methods > 0 ? n_methods : 1, sizeof(*router->methods));
    arena_init(&router->paths, NULL, 0, PATHS_MAX);
    return router->slots != NULL && router->methods != NULL ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

enum status rpc_router_new(const struct rpc_service *services, size_t n_services,
                           struct rpc_router **ret_router)
{
    struct rpc_router *router = calloc(1, sizeof(*router));
    if (router == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    size_t n_methods = 0;
    for (size_t i = 0; i < n_services; i++) {
        n_methods += services[i].descriptor->n_methods;
    }
    enum status status = allocate(router, n_methods);
    for (size_t i = 0; status == STATUS_OK && i < n_services; i++) {
        status = add_service(router, &services[i]);
    }
    if (status != STATUS_OK) {
        rpc_router_free(router);
        return status;
    }
    *ret_router = router;
    return STATUS_OK;
}

void rpc_router_free(struct rpc_router *router)
{
    if (router != NULL) {
        arena_reset(&router->paths);
        free(router->methods);
        free(router->slots);
        free(router);
    }
}

struct rpc_method *rpc_router_find(const struct rpc_router *router, const char *path, size_t length)
{
    size_t slot = hash(path, length) & router->slot_mask;
    for (; router->slots[slot] != 0; slot = (slot + 1) & router->slot_mask) {
        struct rpc_method *method = &router->methods[router->slots[slot] - 1];
        if (strlen(method->path) == length && memcmp(method->path, path, length) == 0) {
            return method;
        }
    }
    return NULL;
}

struct rpc_method *rpc_router_methods(const struct rpc_router *router, size_t *ret_n)
{
    *ret_n = router->n_methods;
    return router->methods;
}

/* Tells the handler what was left out. */
static enum status note_left_out(struct rpc_call *call, const struct scan_parts *parts,
                                 const struct scan_limits *limits, struct diag *diag)
{
    for (size_t i = 0; i < parts->n; i++) {
        const struct scan_part *part = &parts->part[i];
        if (part->excess == SCAN_WITHIN) {
            continue;
        }
        struct diag why;
        scan_describe(part->excess, limits, &why);
        const char *text = arena_printf(&call->arena, "%s: %s", part->field->name, why.text);
        if (text == NULL) {
            return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
        }
        rpc_call_add_left_out(call, text);
    }
    return STATUS_OK;
}

static void take_out(ProtobufCMessage *message, const struct scan_parts *parts)
{
    const void *none = NULL;
    for (size_t i = 0; i < parts->n; i++) {
        if (parts->part[i].excess != SCAN_WITHIN) {
            memcpy((char *)message + parts->part[i].field->offset, &none, sizeof(none));
        }
    }
}

enum status rpc_router_scan(const struct rpc_method *method, struct rpc_call *call, ProtobufCMessage *request,
                            const uint8_t *packed, size_t length, struct diag *diag)
{
    struct scan_parts parts;
    enum status status = scan_message(request->descriptor, packed, length, &method->limits, &parts, diag);
    if (status == STATUS_OK && !scan_shorten(&parts, length, RPC_MESSAGE_MAX)) {
        status =
            diag_fail(diag, STATUS_INVALID_ARGUMENT, "message: is longer than %d bytes", RPC_MESSAGE_MAX);
    }
    if (status != STATUS_OK || parts.n_left_out == 0) {
        return status;
    }
    take_out(request, &parts);
    return note_left_out(call, &parts, &method->limits, diag);
}

void rpc_router_invoke(struct rpc_method *method, struct rpc_call *call, const ProtobufCMessage *request)
{
    assert(request->descriptor == method->descriptor->input);
    call->method = method;
    if (method->handler == NULL) {
        rpc_call_fail(call, STATUS_UNIMPLEMENTED, "%s is not implemented by this server", method->path);
        return;
    }
    call->request = request;
    method->handler(method->ctx, call);
}

void rpc_router_dispatch(struct rpc_method *method, struct rpc_call *call, const uint8_t *payload,
                         size_t length)
{
    call->method = method;
    call->n_left_out = 0;
    if (method->read_only && rpc_call_expired(call)) {
        rpc_call_fail(call, STATUS_DEADLINE_EXCEEDED, "the deadline was past before the call began");
        return;
    }
    const ProtobufCMessage *request;
    struct scan_parts parts;
    struct diag diag;
    enum status status = rpc_unpack(method->descriptor->input, payload, length, &method->limits, &call->arena,
                                    &request, &parts, &diag);
    if (status == STATUS_OK && parts.n_left_out > 0) {
        status = note_left_out(call, &parts, &method->limits, &diag);
    }
    if (status != STATUS_OK) {
        rpc_call_fail(call, status, "%s", diag.text);
        return;
    }
    rpc_router_invoke(method, call, request);
}
