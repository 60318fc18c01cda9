/*
 * GetPanic and ListPanics.
 *
 * Get: a durable panic in the cache is answered at once. Otherwise the store is asked, on a query worker,
 * also when the cache has a placeholder: a repeated create of a panic that has left the cache puts one over a
 * stored panic. What the store does not have may be on its way: then the placeholder is the answer. Without
 * one the store is asked again: the creation may have ended since, and dispatch have taken the panic out of
 * the cache already, or others have pushed it out.
 *
 * Versions seen by one reader never fall: an acknowledged write is in the cache before it is acknowledged,
 * and a reader that fills a miss has its place pinned from before it reads, so that what it puts cannot
 * replace what is newer.
 */
#include "panic/service_internal.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"

/* ---- get ---- */

static void reply_panic(struct rpc_call *call, const struct view_packed *panic)
{
    if (!view_reply(call, panic, NULL)) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
    }
}

enum status service_find(struct service *service, const char *tenant, const struct id *id,
                         struct arena *arena, struct store_panic *ret_row, struct view_packed *ret_cached)
{
    *ret_cached = (struct view_packed){0};
    enum status status = store_get(service->config.store, tenant, id, arena, ret_row);
    if (status != STATUS_NOT_FOUND) {
        return status;
    }
    const struct view_key key = view_key(tenant, id);
    bool durable;
    status = view_cache_get(service->config.cache, &key, arena, ret_cached, &durable);
    if (status == STATUS_NOT_FOUND) {
        return store_get(service->config.store, tenant, id, arena, ret_row);
    }
    *ret_row = (struct store_panic){.version = 0};
    return status;
}

static void get_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__GetPanicRequest *request = (const Panic__V1__GetPanicRequest *)call->request;
    struct id id;
    if (!service_take_id(call, request->id, &id)) {
        return;
    }
    struct cache *cache = service->config.cache;
    struct view_key key = view_key(call->identity.tenant, &id);
    bool held = view_cache_hold(cache, &key);
    struct store_panic row;
    struct view_packed panic;
    enum status status = service_find(service, call->identity.tenant, &id, &call->arena, &row, &panic);
    if (status == STATUS_OK && row.version > 0) {
        panic = view_pack_row(&row, 0, &call->arena);
        if (held) {
            view_cache_put(cache, &row, &panic);
        }
    }
    if (held) {
        view_cache_let_go(cache, &key);
    }
    if (status == STATUS_OK) {
        reply_panic(call, &panic);
    } else if (status == STATUS_NOT_FOUND) {
        service_fail_not_found(call);
    } else {
        service_fail(call, status);
    }
}

void service_get(void *ctx, struct rpc_call *call)
{
    struct service *service = ctx;
    const Panic__V1__GetPanicRequest *request = (const Panic__V1__GetPanicRequest *)call->request;
    struct id id;
    if (!service_take_id(call, request->id, &id)) {
        return;
    }
    struct view_key key = view_key(call->identity.tenant, &id);
    struct view_packed panic;
    bool durable;
    enum status status = view_cache_get(service->config.cache, &key, &call->arena, &panic, &durable);
    if (status == STATUS_OK && durable) {
        reply_panic(call, &panic);
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
    /* Behind which the next page begins, if there is anything behind it. */
    struct id last;
    bool more;
};

/* The call's arena holds no further message: the rows behind the last one are for the next page. */
static enum status cut_short(struct page *page)
{
    if (page->n_panics == 0) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    page->last = page->rows[page->n_panics - 1].id;
    page->more = true;
    return STATUS_OK;
}

static enum status read_page(struct service *service, struct rpc_call *call, struct page *page)
{
    const Panic__V1__ListPanicsRequest *request = (const Panic__V1__ListPanicsRequest *)call->request;
    page->rows = arena_alloc(&call->arena, page->size * sizeof(*page->rows));
    page->panics = arena_alloc(&call->arena, page->size * sizeof(Panic__V1__Panic *));
    if (page->rows == NULL || page->panics == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    enum status status = store_list(service->config.store, call->identity.tenant,
                                    page->first ? NULL : &page->after, (uint8_t)request->status, page->size,
                                    &page->rows_arena, page->rows, &page->n_rows, &page->last, &page->more);
    while (status == STATUS_OK && page->n_panics < page->n_rows) {
        Panic__V1__Panic *panic = view_panic(&page->rows[page->n_panics], &call->arena);
        if (panic == NULL) {
            return cut_short(page);
        }
        page->panics[page->n_panics++] = panic;
    }
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
    enum status status = read_page(service, call, &page);
    if (status == STATUS_OK) {
        Panic__V1__ListPanicsResponse response = PANIC__V1__LIST_PANICS_RESPONSE__INIT;
        char token[ID_TEXT_SIZE];
        response.panics = page.panics;
        response.n_panics = page.n_panics;
        if (page.more) {
            response.next_page_token = (char *)id_format(&page.last, token);
        }
        rpc_call_reply(call, &response.base);
    } else {
        service_fail(call, status);
    }
    arena_reset(&page.rows_arena);
}

void service_list(void *ctx, struct rpc_call *call)
{
    const Panic__V1__ListPanicsRequest *request = (const Panic__V1__ListPanicsRequest *)call->request;
    if (protobuf_c_enum_descriptor_get_value(&panic__v1__panic_status__descriptor, (int)request->status) ==
        NULL) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "status: %d is no status", (int)request->status);
        return;
    }
    service_query_list(ctx, call, list_from_store);
}
