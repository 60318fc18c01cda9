/* Requests that wait in their connections for a call to become free, in the order in which they came. One
 * loop's. */
#ifndef SHIM_WAITING_H
#define SHIM_WAITING_H

#include <stdbool.h>
#include <sys/queue.h>

#include "shim/request.h"

struct waiting;
TAILQ_HEAD(waiting_list, waiting);

/* Becomes the owner of the request's peer, and forgets the request when its connection ends. False when
 * memory is short. */
MUST_USE bool waiting_push(struct waiting_list *list, const struct request *request);

/* The first one, whose peer has no owner then. False when there is none. */
MUST_USE bool waiting_pop(struct waiting_list *list, struct peer **ret_peer,
                          struct evhttp_request **ret_evhttp);

#endif
