/*
 * The feed of the memory store: a tree of changes by their numbers. The nodes are parts of the panics and
 * events that they tell of. To be called under the store's lock.
 */
#ifndef STORE_MEMORY_FEED_H
#define STORE_MEMORY_FEED_H

#include "store/memory_node.h"

RB_HEAD(changes, change_node);

struct memory_feed {
    struct changes changes;
    uint64_t last_seq;
};

/* A page on its way: what store_changes() was asked for, and what it gives. */
struct memory_feed_page {
    const char *tenant;
    size_t max;
    struct arena *arena;
    struct store_change *changes;
    size_t n;
    /* Set to the number behind which to begin. */
    uint64_t last;
    bool more;
    /* A change found no room in the arena. */
    bool full;
};

/* Gives the change the next number. */
void memory_feed_append(struct memory_feed *feed, struct change_node *change, const struct store_panic *panic,
                        const struct store_event *event);

void memory_feed_read(struct memory_feed *feed, struct memory_feed_page *page);
/* Only what was changed about one panic. */
void memory_feed_read_panic(const struct panic_node *panic, struct memory_feed_page *page);

#endif
