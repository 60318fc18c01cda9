/*
 * The routes of the feed, as server-sent events: GET /events, all of the tenant, from now on unless the
 * request says where to go on; and GET /panic/{id}/events, from the panic's creation to its end.
 */
#ifndef SHIM_EVENTS_ROUTES_H
#define SHIM_EVENTS_ROUTES_H

#include "shim/routes.h"

/* Reads the panic and the place to go on from; a refusal goes into plan->answer. */
MUST_USE bool events_routes_plan(const struct request *request, struct arena *arena, struct plan *plan);

#endif
