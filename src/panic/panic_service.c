/*
 * The handlers of PanicService.
 *
 * Create: judge the content, make the panic readable (a placeholder pinned in the cache), queue the write,
 * return. After the commit, and only then: the stored version replaces the placeholder, the creator is
 * answered, dispatch gets a hint. If nothing was stored the pin goes, and the placeholder with it, before the
 * creator hears of it.
 *
 * Get: a durable panic in the cache is answered at once. Otherwise the store is asked, on a query worker,
 * also when the cache has a placeholder: a repeated create of a panic that has left the cache puts one over a
 * stored panic. What the store does not have may be on its way: then the placeholder is the answer.
 *
 * Versions seen by one reader never fall: an acknowledged write is in the cache before it is acknowledged,
 * and a reader that fills a miss has its place pinned from before it reads, so that what it puts cannot
 * replace what is newer.
 */
#include <string.h>

#include "panic/content.h"
#include "panic/lifecycle.h"
#include "panic/service_internal.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"

#define OUTCOME_DEFAULT "resolved"

/* Reads the id of a request; answers the call when it is none. */
static bool take_id(struct rpc_call *call, const char *text, struct id *ret_id)
{
    if (id_parse(text, ret_id) == STATUS_OK) {
        return true;
    }
    rpc_call_fail(call, STATUS_INVALID_ARGUMENT,
                  "id: not a UUID; expected 36 characters like 018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41");
    return false;
}

static void fail_not_found(struct rpc_call *call)
{
    rpc_call_fail(call, STATUS_NOT_FOUND, "Panic not found");
}

/* Is its creation under way, or the panic in the cache for another reason? */
static bool is_cached(struct service *service, struct rpc_call *call, const struct id *id)
{
    struct view_key key = view_key(call->identity.tenant, id);
    Panic__V1__Panic *panic;
    return view_cache_get(service->config.cache, &key, &call->arena, &panic) == STATUS_OK;
}

/* ---- create ---- */

struct create {
    struct intake_write write;
    struct service *service;
    struct content content;
    struct store_panic row;
    Panic__V1__Panic *panic;
    struct view_key key;
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
    if (!create->row.waiting || roster_available(service->roster) > 0) {
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
    create->row =
        lifecycle_create(call->identity.tenant, id, create->content.packed,
                         roster_available(service->roster) > 0, clock_wall_us(service->config.clock));
    create->panic = view_build(&create->row, &create->content.request, &call->arena);
    if (create->panic == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    create->panic->durable = false;
    create->panic->version = 0;
    create->key = view_key(call->identity.tenant, id);
    return view_cache_pin(service->config.cache, &create->key, create->panic, &call->arena);
}

static void handle_create(void *ctx, struct rpc_call *call)
{
    struct service *service = ctx;
    const Panic__V1__CreatePanicRequest *request = (const Panic__V1__CreatePanicRequest *)call->request;
    struct id id;
    if (request->id[0] == 0) {
        id = id_new_v7(clock_wall_us(service->config.clock));
    } else if (!take_id(call, request->id, &id)) {
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

/* ---- get ---- */

static void reply_panic(struct rpc_call *call, const Panic__V1__Panic *panic)
{
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    response.panic = (Panic__V1__Panic *)panic;
    rpc_call_reply(call, &response.base);
}

/* The panic from the store, put into the cache; NULL with a status otherwise. The caller has pinned its
 * place. */
static const Panic__V1__Panic *read_panic(struct service *service, struct rpc_call *call, const struct id *id,
                                          bool pinned, enum status *ret_status)
{
    struct store_panic row;
    *ret_status = store_get(service->config.store, call->identity.tenant, id, &call->arena, &row);
    if (*ret_status != STATUS_OK) {
        return NULL;
    }
    const Panic__V1__Panic *panic = view_panic(&row, &call->arena);
    if (panic == NULL) {
        *ret_status = STATUS_RESOURCE_EXHAUSTED;
    } else if (pinned) {
        view_cache_put(service->config.cache, &row, panic, &call->arena);
    }
    return panic;
}

static void get_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__GetPanicRequest *request = (const Panic__V1__GetPanicRequest *)call->request;
    struct id id;
    if (!take_id(call, request->id, &id)) {
        return;
    }
    struct cache *cache = service->config.cache;
    struct view_key key = view_key(call->identity.tenant, &id);
    bool pinned = view_cache_hold(cache, &key);
    enum status status;
    const Panic__V1__Panic *panic = read_panic(service, call, &id, pinned, &status);
    Panic__V1__Panic *cached;
    if (status == STATUS_NOT_FOUND && view_cache_get(cache, &key, &call->arena, &cached) == STATUS_OK) {
        panic = cached;
        status = STATUS_OK;
    }
    if (pinned) {
        view_cache_let_go(cache, &key);
    }
    if (panic != NULL) {
        reply_panic(call, panic);
    } else if (status == STATUS_NOT_FOUND) {
        fail_not_found(call);
    } else {
        service_fail(call, status);
    }
}

static void handle_get(void *ctx, struct rpc_call *call)
{
    struct service *service = ctx;
    const Panic__V1__GetPanicRequest *request = (const Panic__V1__GetPanicRequest *)call->request;
    struct id id;
    if (!take_id(call, request->id, &id)) {
        return;
    }
    struct view_key key = view_key(call->identity.tenant, &id);
    Panic__V1__Panic *panic;
    enum status status = view_cache_get(service->config.cache, &key, &call->arena, &panic);
    if (status == STATUS_OK && panic->durable) {
        reply_panic(call, panic);
    } else {
        service_query(service, call, get_from_store);
    }
}

/* ---- list ---- */

struct page {
    struct id after;
    bool first;
    size_t size;
    /* Rows have an arena of their own, smaller than the call's, into which the messages made from them must
     * fit. */
    struct arena rows_arena;
    struct store_panic *rows;
    size_t n_rows;
    Panic__V1__Panic **panics;
    size_t n_panics;
};

static enum status read_rows(struct service *service, struct rpc_call *call, struct page *page)
{
    const Panic__V1__ListPanicsRequest *request = (const Panic__V1__ListPanicsRequest *)call->request;
    return store_list(service->config.store, call->identity.tenant, page->first ? NULL : &page->after,
                      (uint8_t)request->status, page->size, &page->rows_arena, page->rows, &page->n_rows);
}

static enum status read_page(struct service *service, struct rpc_call *call, struct page *page)
{
    page->rows = arena_alloc(&call->arena, page->size * sizeof(*page->rows));
    page->panics = arena_alloc(&call->arena, page->size * sizeof(Panic__V1__Panic *));
    if (page->rows == NULL || page->panics == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    enum status status = read_rows(service, call, page);
    while (status == STATUS_OK && page->n_panics < page->n_rows) {
        Panic__V1__Panic *panic = view_panic(&page->rows[page->n_panics], &call->arena);
        if (panic == NULL) {
            return page->n_panics > 0 ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
        }
        page->panics[page->n_panics++] = panic;
    }
    return status;
}

/* Is there anything behind the page? One more row tells. */
static enum status look_behind(struct service *service, struct rpc_call *call, struct page *page,
                               bool *ret_more)
{
    if (page->n_panics == 0) {
        *ret_more = false;
        return STATUS_OK;
    }
    struct store_panic row;
    struct page behind = {.after = page->rows[page->n_panics - 1].id, .size = 1, .rows = &row};
    arena_init(&behind.rows_arena, NULL, 0, SERVICE_ROWS_ARENA_MAX);
    enum status status = read_rows(service, call, &behind);
    arena_reset(&behind.rows_arena);
    *ret_more = behind.n_rows > 0;
    return status;
}

static void list_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__ListPanicsRequest *request = (const Panic__V1__ListPanicsRequest *)call->request;
    struct page page = {.first = request->page_token[0] == 0, .size = service_page_size(request->page_size)};
    if (!page.first && id_parse(request->page_token, &page.after) != STATUS_OK) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT,
                      "page_token: not one that this server gave; leave it empty to start over");
        return;
    }
    arena_init(&page.rows_arena, NULL, 0, SERVICE_ROWS_ARENA_MAX);
    bool more = false;
    enum status status = read_page(service, call, &page);
    if (status == STATUS_OK) {
        status = look_behind(service, call, &page, &more);
    }
    if (status == STATUS_OK) {
        Panic__V1__ListPanicsResponse response = PANIC__V1__LIST_PANICS_RESPONSE__INIT;
        char token[ID_TEXT_SIZE];
        response.panics = page.panics;
        response.n_panics = page.n_panics;
        if (more) {
            response.next_page_token = (char *)id_format(&page.rows[page.n_panics - 1].id, token);
        }
        rpc_call_reply(call, &response.base);
    } else {
        service_fail(call, status);
    }
    arena_reset(&page.rows_arena);
}

static void handle_list(void *ctx, struct rpc_call *call)
{
    const Panic__V1__ListPanicsRequest *request = (const Panic__V1__ListPanicsRequest *)call->request;
    if (protobuf_c_enum_descriptor_get_value(&panic__v1__panic_status__descriptor, (int)request->status) ==
        NULL) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "status: %d is no status", (int)request->status);
        return;
    }
    service_query(ctx, call, list_from_store);
}

/* ---- resolve ---- */

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

static void reply_resolved(struct rpc_call *call, const Panic__V1__Panic *panic)
{
    Panic__V1__ResolvePanicResponse response = PANIC__V1__RESOLVE_PANIC_RESPONSE__INIT;
    response.panic = (Panic__V1__Panic *)panic;
    if (panic != NULL) {
        rpc_call_reply(call, &response.base);
    } else {
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
    const Panic__V1__Panic *panic = view_panic(&resolve->after, &call->arena);
    view_cache_put(service->config.cache, &resolve->after, panic, &call->arena);
    if (resolve->held) {
        view_cache_let_go(service->config.cache, &resolve->key);
    }
    reply_resolved(call, panic);
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
        service_query(service, call, resolve_from_store);
    } else {
        service_fail(call, status);
    }
}

/* A closed panic: the same outcome again is a repeat and succeeds, another one is refused. */
static void answer_closed(struct rpc_call *call, const struct store_panic *row)
{
    if (row->outcome != NULL && strcmp(row->outcome, wanted_outcome(call)) == 0) {
        reply_resolved(call, view_panic(row, &call->arena));
    } else {
        rpc_call_fail(call, STATUS_FAILED_PRECONDITION, "outcome: the panic was closed before as \"%s\"",
                      row->outcome != NULL ? row->outcome : "");
    }
}

static void resolve_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__ResolvePanicRequest *request = (const Panic__V1__ResolvePanicRequest *)call->request;
    struct id id;
    if (!take_id(call, request->id, &id)) {
        return;
    }
    struct resolve *resolve = arena_alloc_zero(&call->arena, sizeof(*resolve));
    enum status status = resolve == NULL ? STATUS_RESOURCE_EXHAUSTED
                                         : store_get(service->config.store, call->identity.tenant, &id,
                                                     &call->arena, &resolve->before);
    if (status == STATUS_NOT_FOUND && is_cached(service, call, &id)) {
        rpc_call_fail(call, STATUS_UNAVAILABLE,
                      "the panic is being stored at this moment; send the request again");
        return;
    }
    if (status == STATUS_NOT_FOUND) {
        fail_not_found(call);
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
    resolve->held = view_cache_hold_change(service->config.cache, &resolve->key, resolve->before.version);
    resolve->write = (struct intake_write){.call = call,
                                           .op = {.kind = STORE_UPDATE,
                                                  .panic = &resolve->after,
                                                  .event = &resolve->event,
                                                  .arena = &call->arena},
                                           .done = resolve_done,
                                           .ctx = resolve};
    intake_submit(service->intake, &resolve->write);
}

static void handle_resolve(void *ctx, struct rpc_call *call)
{
    const Panic__V1__ResolvePanicRequest *request = (const Panic__V1__ResolvePanicRequest *)call->request;
    if (strlen(request->outcome) > CONTENT_NAME_MAX) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "outcome: more than %d bytes", CONTENT_NAME_MAX);
        return;
    }
    service_query(ctx, call, resolve_from_store);
}

const struct rpc_binding panic_service_bindings[] = {
    {.method = "CreatePanic", .handler = handle_create},
    {.method = "GetPanic", .handler = handle_get},
    {.method = "ListPanics", .handler = handle_list},
    {.method = "ResolvePanic", .handler = handle_resolve},
};
const size_t panic_service_n_bindings = sizeof(panic_service_bindings) / sizeof(panic_service_bindings[0]);
