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
    struct view_packed packed;
    struct view_key key;
    /* A test, for simulated responders. */
    bool simulated;
};

/* The response but for the panic. */
static Panic__V1__CreatePanicResponse rest_of_response(const struct create *create, bool replayed)
{
    Panic__V1__CreatePanicResponse rest = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    rest.replayed = replayed;
    rest.warnings = (char **)create->content.warnings;
    rest.n_warnings = create->content.n_warnings;
    return rest;
}

/* The longest that it gets. */
static size_t rest_max(const struct create *create)
{
    const Panic__V1__CreatePanicResponse rest = rest_of_response(create, true);
    return panic__v1__create_panic_response__get_packed_size(&rest);
}

static void reply_created(struct create *create, const struct view_packed *panic, bool replayed)
{
    struct rpc_call *call = create->write.call;
    const Panic__V1__CreatePanicResponse rest = rest_of_response(create, replayed);
    if (!view_reply(call, panic, &rest.base)) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED,
                      "the panic is stored, but too large to be answered with");
    }
}

/* The panic had been stored by an earlier request: answer with it as it is now. */
static void finish_replay(struct create *create, const struct store_op *op)
{
    struct service *service = create->service;
    struct view_packed packed = view_pack_row(&op->existing, rest_max(create), &create->write.call->arena);
    view_cache_settle(service->config.cache, &create->key, &packed, op->existing.version);
    reply_created(create, &packed, true);
}

static void finish_create(struct create *create)
{
    struct service *service = create->service;
    view_set_stored(&create->packed, create->row.version);
    view_cache_settle(service->config.cache, &create->key, &create->packed, create->row.version);
    /*
     * A panic stored as waiting needs a hint only if a responder has come since: one that comes from now on
     * finds it in the store. The hint goes before the answer, after which the call's arena belongs to
     * somebody else.
     */
    if (create->row.waiting == 0 || roster_available(service->roster, create->simulated) > 0) {
        dispatch_hint(service->dispatch, create->row.tenant, &create->row.id);
    }
    reply_created(create, &create->packed, false);
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
    view_cache_end_creation(create->service->config.cache, &create->key);
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
    Panic__V1__Panic *placeholder = view_build(&create->row, &create->content.request, &call->arena);
    if (placeholder == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    placeholder->durable = false;
    placeholder->version = 0;
    create->packed = view_pack_placeholder(placeholder, rest_max(create), &call->arena);
    if (create->packed.data == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    create->key = view_key(call->identity.tenant, id);
    return view_cache_pin(service->config.cache, &create->key, &create->packed);
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
    enum status status = content_from_request(request, call->left_out, call->n_left_out, &call->arena,
                                              &create->content, &diag);
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
