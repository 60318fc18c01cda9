/*
 * Numbers are given under the lock that a batch holds from its first op to its last, so their order is that
 * of the commits, and a reader sees a batch whole or not at all.
 */
#include "store/memory_feed.h"

#include <string.h>

#include "store/copy.h"

static int compare_changes(const struct change_node *a, const struct change_node *b)
{
    return (a->seq > b->seq) - (a->seq < b->seq);
}

/* RB_GENERATE_STATIC needs a macro that libbsd does not define on Linux. */
RB_GENERATE_INTERNAL(changes, change_node, by_seq, compare_changes, __attribute__((unused)) static);

void memory_feed_append(struct memory_feed *feed, struct change_node *change, const struct store_panic *panic,
                        const struct store_event *event)
{
    change->seq = ++feed->last_seq;
    change->panic = panic;
    change->event = event;
    RB_INSERT(changes, &feed->changes, change);
}

/* False when the page ends before this change. */
static bool take(struct memory_feed_page *page, const struct change_node *change)
{
    if (page->n == page->max) {
        return false;
    }
    struct store_change *place = &page->changes[page->n];
    page->full = !event_copy_out(page->arena, change->event, &place->event);
    if (page->full) {
        return false;
    }
    place->seq = change->seq;
    place->panic_id = change->panic->id;
    page->n++;
    page->last = change->seq;
    return true;
}

void memory_feed_read(struct memory_feed *feed, struct memory_feed_page *page)
{
    struct change_node key = {.seq = page->last + 1};
    struct change_node *change = RB_NFIND(changes, &feed->changes, &key);
    for (size_t seen = 0; change != NULL && seen < STORE_SCAN_MAX; seen++) {
        if (page->n == page->max) {
            break;
        }
        if (strcmp(change->panic->tenant, page->tenant) == 0 && !take(page, change)) {
            break;
        }
        page->last = change->seq;
        change = RB_NEXT(changes, &feed->changes, change);
    }
    page->more = change != NULL;
}

void memory_feed_read_panic(const struct panic_node *panic, struct memory_feed_page *page)
{
    const uint64_t after = page->last;
    page->more = panic->created.seq > after && !take(page, &panic->created);
    for (const struct event_node *node = panic->events; node != NULL && !page->more; node = node->next) {
        page->more = node->change.seq > after && !take(page, &node->change);
    }
}
