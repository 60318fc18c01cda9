/*
 * ListEvents: pages of the feed of changes, and calls that are parked until there is something new.
 *
 * Reading has a pool of its own, so that a change which wakes two hundred calls does not stand in the way of
 * those who ask for one panic.
 */
#ifndef PANIC_FEED_H
#define PANIC_FEED_H

#include "core/pool.h"
#include "panic/hub.h"

struct feed;
struct service;
struct rpc_call;

MUST_USE enum status feed_new(struct service *service, struct feed **ret_feed);

/* The handler of ListEvents. */
void feed_list_events(struct feed *feed, struct rpc_call *call);

/* To be told of every change. */
struct hub *feed_hub(struct feed *feed);

/* From now on nothing is parked; what is, is answered. Again is harmless. */
void feed_close(struct feed *feed);
/* Closes, and finishes what was accepted. */
void feed_stop(struct feed *feed);
/* NULL is fine. */
void feed_free(struct feed *feed);

struct pool_stats feed_stats(const struct feed *feed);

#endif
