/*
 * What the handlers of the panic service share. For panic/ only.
 */
#ifndef PANIC_SERVICE_INTERNAL_H
#define PANIC_SERVICE_INTERNAL_H

#include "panic/feed.h"
#include "panic/intake.h"
#include "panic/roster.h"
#include "panic/service.h"
#include "panic/view.h"

struct service {
    struct service_config config;
    struct intake *intake;
    /* Gets that missed the cache. */
    struct pool *queries;
    struct pool *lists;
    /* What leads to a write: room for every call. */
    struct pool *prepare;
    struct feed *feed;
    struct roster *roster;
    struct dispatch *dispatch;
};

/* A call that waits for a worker. Lives in the arena of its call. */
struct service_query {
    struct service *service;
    struct rpc_call *call;
    /* On a worker; may block on the store; finishes the call or hands it on. */
    void (*run)(struct service *service, struct rpc_call *call);
};

/* Has `run` called on a query worker; answers the call itself when the queue is full. */
void service_query(struct service *service, struct rpc_call *call,
                   void (*run)(struct service *service, struct rpc_call *call));
/* The same for reads that may take long: lists. */
void service_query_list(struct service *service, struct rpc_call *call,
                        void (*run)(struct service *service, struct rpc_call *call));
/* The same for reads that a write needs first: these are never shed, however many reads wait. */
void service_prepare(struct service *service, struct rpc_call *call,
                     void (*run)(struct service *service, struct rpc_call *call));

/* Answers a call whose batch was not stored, or whose read failed; a DATA_LOSS ends the process. */
void service_fail(struct rpc_call *call, enum status status);

/* The page size that a list request means: 0 is 100, at most STORE_PAGE_MAX. */
size_t service_page_size(int32_t wanted);

/* Most that the rows of a list may take, so that the messages made from them fit into the call's arena. */
#define SERVICE_ROWS_ARENA_MAX (64 * 1024)

/* Reads the id of a request; answers the call when it is none. */
MUST_USE bool service_take_id(struct rpc_call *call, const char *text, struct id *ret_id);

/*
 * Reads the panic from the store, or, while it is on its way into that, from the cache: then the row's
 * version is 0, and *ret_cached (otherwise without data) is the panic as it is answered with. NOT_FOUND:
 * there was a moment during the call when it was in neither.
 */
MUST_USE enum status service_find(struct service *service, const char *tenant, const struct id *id,
                                  struct arena *arena, struct store_panic *ret_row,
                                  struct view_packed *ret_cached);

/* Unknown and another tenant's are told alike. */
void service_fail_not_found(struct rpc_call *call);

/* The handlers; `ctx` is the service. */
void service_create(void *ctx, struct rpc_call *call);
void service_get(void *ctx, struct rpc_call *call);
void service_list(void *ctx, struct rpc_call *call);
void service_list_events(void *ctx, struct rpc_call *call);
void service_resolve(void *ctx, struct rpc_call *call);
void service_put_responder(void *ctx, struct rpc_call *call);
void service_list_responders(void *ctx, struct rpc_call *call);

#endif
