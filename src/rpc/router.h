/*
 * The method table, made from protobuf-c's service descriptors: full path → handler, message types,
 * statistics.
 */
#ifndef RPC_ROUTER_H
#define RPC_ROUTER_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "base/metrics.h"
#include "base/status.h"
#include "rpc/call.h"
#include "rpc/scan.h"

/* Must not block; finishes the call exactly once (rpc/call.h). */
typedef void rpc_handler(void *ctx, struct rpc_call *call);

struct rpc_binding {
    /* Method name in its service, "CreatePanic". */
    const char *method;
    rpc_handler *handler;
    /* Changes nothing: may be answered DEADLINE_EXCEEDED, without being run, when its deadline is past. False
     * for any write. */
    bool read_only;
    /*
     * Names of fields of the request that the method can do without, NULL behind the last; NULL = none. Where
     * such a field is over the limits of what is read, the handler gets the request without it, and why in
     * the call's left_out.
     */
    const char *const *optional;
};

/* A service and who handles its methods. A method without binding answers UNIMPLEMENTED. */
struct rpc_service {
    const ProtobufCServiceDescriptor *descriptor;
    const struct rpc_binding *bindings;
    size_t n_bindings;
    void *ctx;
};

struct rpc_method {
    /* "/panic.v1.PanicService/CreatePanic". */
    const char *path;
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *descriptor;
    /* NULL when it has no binding. */
    rpc_handler *handler;
    void *ctx;
    bool read_only;
    /* Of its requests. */
    struct scan_limits limits;
    /* Finished calls by status, and from arrival to answer in µs. */
    struct counter finished[STATUS_COUNT];
    struct histogram latency_us;
};

struct rpc_router;

/* The descriptors must outlive the router. A binding to a method that the service does not have is a
 * programmer's error. */
MUST_USE enum status rpc_router_new(const struct rpc_service *services, size_t n_services,
                                    struct rpc_router **ret_router);
void rpc_router_free(struct rpc_router *router);

/* NULL when there is none. `path` need not end in NUL. Any thread. */
struct rpc_method *rpc_router_find(const struct rpc_router *router, const char *path, size_t length);

/* All methods, for metrics and OpenAPI. */
struct rpc_method *rpc_router_methods(const struct rpc_router *router, size_t *ret_n);

/*
 * Scans and unpacks `payload` into the call's arena and calls the handler; answers the call itself when the
 * payload is bad or the deadline is past for a read_only method. The transport has set everything but method,
 * request and what is left out of it.
 */
void rpc_router_dispatch(struct rpc_method *method, struct rpc_call *call, const uint8_t *payload,
                         size_t length);

/*
 * For transports that decode on their own: the scan of what was decoded, packed, as if it had come so. What
 * is to be left out is taken out of `request` and noted in the call. INVALID_ARGUMENT, or RESOURCE_EXHAUSTED
 * when the call's arena is full.
 */
MUST_USE enum status rpc_router_scan(const struct rpc_method *method, struct rpc_call *call,
                                     ProtobufCMessage *request, const uint8_t *packed, size_t length,
                                     struct diag *diag);

/* For them, too: calls the handler with a request already decoded. */
void rpc_router_invoke(struct rpc_method *method, struct rpc_call *call, const ProtobufCMessage *request);

#endif
