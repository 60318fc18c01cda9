/*
 * One waits for each connection at most, and a connection that ends takes its request out; so the list is as
 * long as there are connections, and needs no bound of its own.
 */
#include "shim/waiting.h"

#include <stdlib.h>

struct waiting {
    TAILQ_ENTRY(waiting) link;
    struct waiting_list *list;
    struct peer *peer;
    struct evhttp_request *evhttp;
};

static void take_out(struct waiting *waiting)
{
    TAILQ_REMOVE(waiting->list, waiting, link);
    free(waiting);
}

static void gone(void *owner)
{
    struct waiting *waiting = owner;
    request_drop(waiting->evhttp);
    take_out(waiting);
}

bool waiting_push(struct waiting_list *list, const struct request *request)
{
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting == NULL) {
        return false;
    }
    *waiting = (struct waiting){.list = list, .peer = request->peer, .evhttp = request->evhttp};
    TAILQ_INSERT_TAIL(list, waiting, link);
    gate_set_owner(request->peer, waiting, gone);
    return true;
}

bool waiting_pop(struct waiting_list *list, struct peer **ret_peer, struct evhttp_request **ret_evhttp)
{
    struct waiting *waiting = TAILQ_FIRST(list);
    if (waiting == NULL) {
        return false;
    }
    gate_set_owner(waiting->peer, NULL, NULL);
    *ret_peer = waiting->peer;
    *ret_evhttp = waiting->evhttp;
    take_out(waiting);
    return true;
}
