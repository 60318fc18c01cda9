/*
 * The service's parts, and the pools on which calls read the store.
 *
 * A pool for each kind of reading keeps one from standing in the way of another. Gets are short and somebody
 * waits for each; lists are long and can wait, so they are fewer and are shed first. A resolve reads before
 * it writes, and frees a responder whom another panic needs: it is not shed, so its pool has room for every
 * call that there can be, like the intake behind it.
 *
 * The bound of a pool of reads is its queue and what its workers hold in hand; the sum over both kinds is
 * what transports keep free beyond what creates need.
 */
#include "panic/service.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "panic/content.h"
#include "panic/fail_stop.h"
#include "panic/service_internal.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"

#define GET_WORKERS 2
/* One: lists must not take every core. */
#define LIST_WORKERS 1
#define QUERY_BATCH_MAX 16
#define PAGE_DEFAULT 100

static_assert(SERVICE_GET_QUEUE_MAX + SERVICE_LIST_QUEUE_MAX +
                      (GET_WORKERS + LIST_WORKERS) * QUERY_BATCH_MAX <=
                  SERVICE_QUERIES_MAX,
              "transports must have a call for each read that waits");

static void run_queries(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)ctx;
    (void)worker;
    for (size_t i = 0; i < n; i++) {
        struct service_query *query = items[i];
        if (rpc_call_expired(query->call)) {
            rpc_call_fail(query->call, STATUS_DEADLINE_EXCEEDED, "the deadline passed before the read began");
        } else {
            query->run(query->service, query->call);
        }
    }
}

static void submit(struct service *service, struct pool *pool, struct rpc_call *call,
                   void (*run)(struct service *service, struct rpc_call *call))
{
    struct service_query *query = arena_alloc(&call->arena, sizeof(*query));
    if (query == NULL) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    *query = (struct service_query){.service = service, .call = call, .run = run};
    enum status status = pool_submit(pool, query);
    if (status == STATUS_UNAVAILABLE) {
        service_fail(call, status);
    } else if (status != STATUS_OK) {
        rpc_call_add_trailer(call, "retry-after", "1");
        rpc_call_fail(call, status, "too many reads at once; try again after a second");
    }
}

void service_query(struct service *service, struct rpc_call *call,
                   void (*run)(struct service *service, struct rpc_call *call))
{
    submit(service, service->queries, call, run);
}

void service_query_list(struct service *service, struct rpc_call *call,
                        void (*run)(struct service *service, struct rpc_call *call))
{
    submit(service, service->lists, call, run);
}

void service_prepare(struct service *service, struct rpc_call *call,
                     void (*run)(struct service *service, struct rpc_call *call))
{
    submit(service, service->prepare, call, run);
}

void service_fail(struct rpc_call *call, enum status status)
{
    fail_stop_on_data_loss(status, call->method->path);
    switch (status) {
    case STATUS_RESOURCE_EXHAUSTED:
        rpc_call_add_trailer(call, "retry-after", "1");
        rpc_call_fail(call, status, "no room (disk or memory): nothing was stored; send the request again");
        break;
    case STATUS_UNAVAILABLE:
        rpc_call_fail(call, status,
                      "the server is shutting down: nothing was stored; send the request again");
        break;
    default:
        log_error("call failed", log_str("method", call->method->path),
                  log_str("status", status_name(status)));
        rpc_call_fail(call, status, "internal error; the server's log has the cause");
        break;
    }
}

size_t service_page_size(int32_t wanted)
{
    if (wanted <= 0) {
        return PAGE_DEFAULT;
    }
    return wanted < STORE_PAGE_MAX ? (size_t)wanted : STORE_PAGE_MAX;
}

bool service_take_id(struct rpc_call *call, const char *text, struct id *ret_id)
{
    if (id_parse(text, ret_id) == STATUS_OK) {
        return true;
    }
    rpc_call_fail(call, STATUS_INVALID_ARGUMENT,
                  "id: not a UUID; expected 36 characters like 018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41");
    return false;
}

void service_fail_not_found(struct rpc_call *call)
{
    rpc_call_fail(call, STATUS_NOT_FOUND, "Panic not found");
}

static enum status start_dispatch(struct service *service)
{
    const struct dispatch_config config = {.store = service->config.store,
                                           .cache = service->config.cache,
                                           .roster = service->roster,
                                           .hub = feed_hub(service->feed),
                                           .clock = service->config.clock};
    return dispatch_start(&config, &service->dispatch);
}

/* A power of two with room for every call, the worker and every thread that may be submitting. */
static size_t prepare_capacity(size_t calls_max)
{
    size_t capacity = QUERY_BATCH_MAX;
    while (capacity < 2 * calls_max) {
        capacity *= 2;
    }
    return capacity;
}

static enum status start_pools(struct service *service)
{
    struct pool_config config = {.name = "query",
                                 .workers = GET_WORKERS,
                                 .capacity = SERVICE_GET_QUEUE_MAX,
                                 .batch_max = QUERY_BATCH_MAX,
                                 .run = run_queries};
    enum status status = pool_new(&config, &service->queries);
    if (status == STATUS_OK) {
        config.name = "list";
        config.workers = LIST_WORKERS;
        config.capacity = SERVICE_LIST_QUEUE_MAX;
        status = pool_new(&config, &service->lists);
    }
    if (status == STATUS_OK) {
        config.name = "prepare";
        config.workers = 1;
        config.capacity = prepare_capacity(service->config.calls_max);
        status = pool_new(&config, &service->prepare);
    }
    return status;
}

static enum status start_parts(struct service *service)
{
    enum status status = roster_new(service->config.responders_max, &service->roster);
    if (status == STATUS_OK) {
        status = roster_load(service->roster, service->config.store);
    }
    if (status == STATUS_OK) {
        status = feed_new(service, &service->feed);
    }
    if (status == STATUS_OK) {
        status = start_dispatch(service);
    }
    if (status == STATUS_OK) {
        status = intake_new(service->config.store, feed_hub(service->feed), service->config.calls_max,
                            &service->intake);
    }
    if (status == STATUS_OK) {
        status = start_pools(service);
    }
    return status;
}

enum status service_start(const struct service_config *config, struct service **ret_service)
{
    struct service *service = calloc(1, sizeof(*service));
    if (service == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    service->config = *config;
    enum status status = start_parts(service);
    if (status != STATUS_OK) {
        service_free(service);
        return status;
    }
    *ret_service = service;
    return STATUS_OK;
}

void service_list_events(void *ctx, struct rpc_call *call)
{
    const struct service *service = ctx;
    feed_list_events(service->feed, call);
}

static const struct rpc_binding panic_bindings[] = {
    {.method = "CreatePanic", .handler = service_create, .optional = content_optional},
    {.method = "GetPanic", .handler = service_get, .read_only = true},
    {.method = "ListPanics", .handler = service_list, .read_only = true},
    {.method = "ListEvents", .handler = service_list_events, .read_only = true},
    {.method = "ResolvePanic", .handler = service_resolve},
};

static const struct rpc_binding dispatch_bindings[] = {
    {.method = "PutResponder", .handler = service_put_responder},
    {.method = "ListResponders", .handler = service_list_responders, .read_only = true},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

void service_describe(struct service *service, struct rpc_service ret_services[SERVICE_COUNT])
{
    ret_services[0] = (struct rpc_service){.descriptor = &panic__v1__panic_service__descriptor,
                                           .bindings = panic_bindings,
                                           .n_bindings = COUNT_OF(panic_bindings),
                                           .ctx = service};
    ret_services[1] = (struct rpc_service){.descriptor = &panic__v1__dispatch_service__descriptor,
                                           .bindings = dispatch_bindings,
                                           .n_bindings = COUNT_OF(dispatch_bindings),
                                           .ctx = service};
}

void service_close(struct service *service)
{
    if (service->feed != NULL) {
        feed_close(service->feed);
    }
}

/* Readers first: a resolve that a worker has begun goes on to the intake. */
void service_stop(struct service *service)
{
    struct pool *const readers[] = {service->prepare, service->lists, service->queries};
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (readers[i] != NULL) {
            pool_stop(readers[i]);
        }
    }
    if (service->feed != NULL) {
        feed_stop(service->feed);
    }
    if (service->intake != NULL) {
        intake_stop(service->intake);
    }
    if (service->dispatch != NULL) {
        dispatch_stop(service->dispatch);
    }
}

void service_free(struct service *service)
{
    if (service == NULL) {
        return;
    }
    service_stop(service);
    pool_free(service->lists);
    pool_free(service->queries);
    pool_free(service->prepare);
    intake_free(service->intake);
    dispatch_free(service->dispatch);
    feed_free(service->feed);
    roster_free(service->roster);
    free(service);
}

const struct histogram *service_dispatch_latency_us(const struct service *service)
{
    return dispatch_latency_us(service->dispatch);
}

struct service_stats service_stats(const struct service *service)
{
    return (struct service_stats){.intake = intake_stats(service->intake),
                                  .queries = pool_stats(service->queries),
                                  .lists = pool_stats(service->lists),
                                  .prepare = pool_stats(service->prepare),
                                  .events = feed_stats(service->feed),
                                  .parked = hub_parked(feed_hub(service->feed)),
                                  .dispatch = dispatch_stats(service->dispatch),
                                  .responders_available = roster_available(service->roster, false),
                                  .simulated_available = roster_available(service->roster, true)};
}
