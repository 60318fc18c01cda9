/*
 * ResolvePanic: read the panic on a worker for writes to come, let the lifecycle decide, write the change as
 * compare-and-set through the intake. If dispatch was faster, read again.
 */
#include <string.h>

#include "panic/content.h"
#include "panic/lifecycle.h"
#include "panic/service_internal.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"

#define OUTCOME_DEFAULT "resolved"

struct resolve {
    struct intake_write write;
    struct service *service;
    struct store_panic before;
    struct store_panic after;
    struct store_event event;
    struct view_key key;
    bool held;
};

static const char *wanted_outcome(const struct rpc_call *call)
{
    const Panic__V1__ResolvePanicRequest *request = (const Panic__V1__ResolvePanicRequest *)call->request;
    return request->outcome[0] != 0 ? request->outcome : OUTCOME_DEFAULT;
}

static void reply_resolved(struct rpc_call *call, const struct view_packed *panic)
{
    if (!view_reply(call, panic, NULL)) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED,
                      "the panic is resolved, but too large to be answered with");
    }
}

static void resolve_from_store(struct service *service, struct rpc_call *call);

/* The cache before the answer; and what the call's arena holds, not after it. */
static void finish_resolve(struct service *service, struct resolve *resolve)
{
    struct rpc_call *call = resolve->write.call;
    if (resolve->before.assigned) {
        roster_release(service->roster, resolve->before.tenant, resolve->before.responder_id);
        dispatch_responder_freed(service->dispatch);
    }
    struct view_packed panic = view_pack_row(&resolve->after, 0, &call->arena);
    view_cache_put(service->config.cache, &resolve->after, &panic);
    if (resolve->held) {
        view_cache_let_go(service->config.cache, &resolve->key);
    }
    reply_resolved(call, &panic);
}

static void resolve_done(void *ctx, struct intake_write *write)
{
    struct resolve *resolve = ctx;
    enum status status = write->status != STATUS_OK ? write->status : write->op.outcome;
    struct service *service = resolve->service;
    struct rpc_call *call = write->call;
    if (status == STATUS_OK) {
        finish_resolve(service, resolve);
        return;
    }
    if (resolve->held) {
        view_cache_let_go(service->config.cache, &resolve->key);
    }
    if (status == STATUS_ABORTED) {
        /* Dispatch changed it first: read again. */
        service_prepare(service, call, resolve_from_store);
    } else {
        service_fail(call, status);
    }
}

/* A closed panic: the same outcome again is a repeat and succeeds, another one is refused. */
static void answer_closed(struct rpc_call *call, const struct store_panic *row)
{
    if (row->outcome != NULL && strcmp(row->outcome, wanted_outcome(call)) == 0) {
        struct view_packed panic = view_pack_row(row, 0, &call->arena);
        reply_resolved(call, &panic);
    } else {
        rpc_call_fail(call, STATUS_FAILED_PRECONDITION, "outcome: the panic was closed before as \"%s\"",
                      row->outcome != NULL ? row->outcome : "");
    }
}

static void resolve_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__ResolvePanicRequest *request = (const Panic__V1__ResolvePanicRequest *)call->request;
    struct id id;
    if (!service_take_id(call, request->id, &id)) {
        return;
    }
    struct resolve *resolve = arena_alloc_zero(&call->arena, sizeof(*resolve));
    struct view_packed placeholder;
    enum status status = resolve == NULL ? STATUS_RESOURCE_EXHAUSTED
                                         : service_find(service, call->identity.tenant, &id, &call->arena,
                                                        &resolve->before, &placeholder);
    if (status == STATUS_OK && resolve->before.version == 0) {
        rpc_call_fail(call, STATUS_UNAVAILABLE,
                      "the panic is being stored at this moment; send the request again");
        return;
    }
    if (status == STATUS_NOT_FOUND) {
        service_fail_not_found(call);
        return;
    }
    if (status != STATUS_OK) {
        service_fail(call, status);
        return;
    }
    const struct lifecycle_command command = {
        .kind = LIFECYCLE_RESOLVE, .actor = "api", .outcome = wanted_outcome(call)};
    status = lifecycle_apply(&resolve->before, &command, clock_wall_us(service->config.clock),
                             &resolve->after, &resolve->event);
    if (status != STATUS_OK) {
        answer_closed(call, &resolve->before);
        return;
    }
    resolve->service = service;
    resolve->key = view_key(call->identity.tenant, &id);
    resolve->held =
        view_cache_hold_change(service->config.cache, &resolve->key, resolve->before.version, NULL);
    resolve->write = (struct intake_write){.call = call,
                                           .op = {.kind = STORE_UPDATE,
                                                  .panic = &resolve->after,
                                                  .event = &resolve->event,
                                                  .arena = &call->arena},
                                           .done = resolve_done,
                                           .ctx = resolve};
    intake_submit(service->intake, &resolve->write);
}

void service_resolve(void *ctx, struct rpc_call *call)
{
    const Panic__V1__ResolvePanicRequest *request = (const Panic__V1__ResolvePanicRequest *)call->request;
    if (strlen(request->outcome) > CONTENT_NAME_MAX) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "outcome: more than %d bytes", CONTENT_NAME_MAX);
        return;
    }
    service_prepare(ctx, call, resolve_from_store);
}
