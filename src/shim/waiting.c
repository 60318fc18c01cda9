/*
 * One waits for each connection at most, and a connection that ends takes its request out; so the list is as
 * long as there are connections, and needs no bound of its own.
 */
#include "shim/waiting.h"

#include <stdlib.h>

struct waiting {
    TAILQ_ENTRY(waiting) link;
    struct peer *peer;
    struct evhttp_request *evhttp;
};

bool waiting_push(struct waiting_list *list, const struct request *request)
{
    struct waiting *waiting = malloc(sizeof(*waiting));
    if (waiting == NULL) {
        return false;
    }
    *waiting = (struct waiting){.peer = request->peer, .evhttp = request->evhttp};
    TAILQ_INSERT_TAIL(list, waiting, link);
    gate_set_owner(request->peer, waiting);
    return true;
}

bool waiting_pop(struct waiting_list *list, struct peer **ret_peer, struct evhttp_request **ret_evhttp)
{
    struct waiting *waiting = TAILQ_FIRST(list);
    if (waiting == NULL) {
        return false;
    }
    TAILQ_REMOVE(list, waiting, link);
    gate_set_owner(waiting->peer, NULL);
    *ret_peer = waiting->peer;
    *ret_evhttp = waiting->evhttp;
    free(waiting);
    return true;
}

struct evhttp_request *waiting_take(struct waiting_list *list, const void *owner)
{
    struct waiting *waiting = TAILQ_FIRST(list);
    while (waiting != NULL && waiting != owner) {
        waiting = TAILQ_NEXT(waiting, link);
    }
    if (waiting == NULL) {
        return NULL;
    }
    struct evhttp_request *evhttp = waiting->evhttp;
    TAILQ_REMOVE(list, waiting, link);
    free(waiting);
    return evhttp;
}
