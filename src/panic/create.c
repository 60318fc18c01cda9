/*
 * CreatePanic: judge the content, make the panic readable (a placeholder pinned in the cache), queue the
 * write, return. After the commit, and only then: the stored version replaces the placeholder, dispatch gets
 * a hint, the creator its answer. If nothing was stored the pin goes, and the placeholder with it, before the
 * creator hears of it.
 */
#include "panic/content.h"
#include "panic/lifecycle.h"
#include "panic/service_internal.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"

struct create {
    struct intake_write write;
    struct service *service;
    struct content content;
    struct store_panic row;
    Panic__V1__Panic *panic;
    struct view_key key;
    /* A test, for simulated responders. */
    bool simulated;
};

static void reply_created(struct create *create, const Panic__V1__Panic *panic, bool replayed)
{
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    response.panic = (Panic__V1__Panic *)panic;
    response.replayed = replayed;
    response.warnings = create->content.warnings;
    response.n_warnings = create->content.n_warnings;
    rpc_call_reply(create->write.call, &response.base);
}

/* The panic had been stored by an earlier request: answer with it as it is now. */
static void finish_replay(struct create *create, const struct store_op *op)
{
    struct rpc_call *call = create->write.call;
    struct service *service = create->service;
    const Panic__V1__Panic *panic = view_panic(&op->existing, &call->arena);
    if (panic != NULL) {
        view_cache_put(service->config.cache, &op->existing, panic, &call->arena);
    }
    view_cache_let_go(service->config.cache, &create->key);
    if (panic != NULL) {
        reply_created(create, panic, true);
    } else {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED,
                      "the panic is stored, but too large to be answered with");
    }
}

static void finish_create(struct create *create)
{
    struct rpc_call *call = create->write.call;
    struct service *service = create->service;
    create->panic->durable = true;
    create->panic->version = (int64_t)create->row.version;
    view_cache_put(service->config.cache, &create->row, create->panic, &call->arena);
    view_cache_let_go(service->config.cache, &create->key);
    /*
     * A panic stored as waiting needs a hint only if a responder has come since: one that comes from now on
     * finds it in the store. The hint goes before the answer, after which the call's arena belongs to
     * somebody else.
     */
    if (create->row.waiting == 0 || roster_available(service->roster, create->simulated) > 0) {
        dispatch_hint(service->dispatch, create->row.tenant, &create->row.id);
    }
    reply_created(create, create->panic, false);
}

static void create_done(void *ctx, struct intake_write *write)
{
    struct create *create = ctx;
    const struct store_op *op = &write->op;
    if (write->status == STATUS_OK && op->outcome == STATUS_OK) {
        if (op->replayed) {
            finish_replay(create, op);
        } else {
            finish_create(create);
        }
        return;
    }
    view_cache_let_go(create->service->config.cache, &create->key);
    if (write->status != STATUS_OK) {
        service_fail(write->call, write->status);
    } else if (op->outcome == STATUS_ALREADY_EXISTS) {
        rpc_call_fail(write->call, op->outcome,
                      "id: a panic with this id and other content exists; it was not changed. Use a new id");
    } else {
        service_fail(write->call, op->outcome);
    }
}

static enum status prepare_create(struct create *create, const struct id *id)
{
    struct rpc_call *call = create->write.call;
    struct service *service = create->service;
    create->simulated = create->content.request.mode == PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
    create->row = lifecycle_create(call->identity.tenant, id, create->content.packed,
                                   create->simulated ? LIFECYCLE_QUEUE_TEST : LIFECYCLE_QUEUE_LIVE,
                                   roster_available(service->roster, create->simulated) > 0,
                                   clock_wall_us(service->config.clock));
    create->panic = view_build(&create->row, &create->content.request, &call->arena);
    if (create->panic == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    create->panic->durable = false;
    create->panic->version = 0;
    create->key = view_key(call->identity.tenant, id);
    return view_cache_pin(service->config.cache, &create->key, create->panic, &call->arena);
}

void service_create(void *ctx, struct rpc_call *call)
{
    struct service *service = ctx;
    const Panic__V1__CreatePanicRequest *request = (const Panic__V1__CreatePanicRequest *)call->request;
    struct id id;
    if (request->id[0] == 0) {
        id = id_new_v7(clock_wall_us(service->config.clock));
    } else if (!service_take_id(call, request->id, &id)) {
        return;
    }
    struct create *create = arena_alloc_zero(&call->arena, sizeof(*create));
    if (create == NULL) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    create->service = service;
    create->write = (struct intake_write){.call = call, .done = create_done, .ctx = create};
    struct diag diag;
    enum status status = content_from_request(request, &call->arena, &create->content, &diag);
    if (status == STATUS_INVALID_ARGUMENT) {
        rpc_call_fail(call, status, "%s", diag.text);
        return;
    }
    if (status == STATUS_OK) {
        status = prepare_create(create, &id);
    }
    if (status != STATUS_OK) {
        service_fail(call, status);
        return;
    }
    create->write.op = (struct store_op){.kind = STORE_CREATE, .panic = &create->row, .arena = &call->arena};
    intake_submit(service->intake, &create->write);
}
