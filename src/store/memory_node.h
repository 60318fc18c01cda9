/*
 * Nodes of the memory store: a panic, an event, a responder, each with a copy of everything it points to, in
 * as few pieces as its parts have lives: what never changes is one allocation with the node, the two texts
 * that updates replace are one of their own.
 */
#ifndef STORE_MEMORY_NODE_H
#define STORE_MEMORY_NODE_H

#include <bsd/sys/tree.h>

#include "store/store.h"

/* A change in the feed. */
struct change_node {
    RB_ENTRY(change_node) by_seq;
    uint64_t seq;
    /* What was changed, and how; both live longer. */
    const struct store_panic *panic;
    const struct store_event *event;
};

struct event_node {
    struct event_node *next;
    struct store_event event;
    struct change_node change;
    char texts[];
};

struct panic_node {
    RB_ENTRY(panic_node) by_id;
    RB_ENTRY(panic_node) by_due;
    RB_ENTRY(panic_node) by_queue;
    RB_ENTRY(panic_node) by_responder;
    struct store_panic panic;
    /* What panic.responder_id and panic.outcome point to. Owned; NULL when both are. */
    char *texts;
    /* The creation. */
    struct store_event created_event;
    struct change_node created;
    /* Oldest first. Owned. */
    struct event_node *events;
    struct event_node **events_end;
    /* Tenant and content. */
    char fixed[];
};

struct responder_node {
    RB_ENTRY(responder_node) by_id;
    struct store_responder responder;
    char fixed[];
};

/*
 * The new functions copy what they are given and return NULL when memory is short. The caller owns the node.
 */
struct panic_node *panic_node_new(const struct store_panic *panic);
struct event_node *event_node_new(const struct store_event *event, uint64_t version);
struct responder_node *responder_node_new(const struct store_responder *responder);

/* As lists of what is due or waits have it. */
struct store_key panic_node_key(const struct panic_node *node);

/* Frees its texts and events too. NULL is fine. */
void panic_node_free(struct panic_node *node);

/*
 * Points the panic's responder_id and outcome to copies in *ret_texts, which the caller owns and which is
 * NULL when both are. False when memory is short.
 */
bool panic_texts_copy(struct store_panic *panic, char **ret_texts);

/* What an op brings along; NULL where it needs nothing or where the trees have taken it. */
struct node_parts {
    struct panic_node *panic;
    /* The new state, pointing into `texts`. */
    struct store_panic update;
    char *texts;
    struct event_node *event;
    struct responder_node *responder;
};

/* False when memory is short. To be released in either case. */
MUST_USE bool node_parts_init(struct node_parts *parts, const struct store_op *op);
void node_parts_release(struct node_parts *parts);

#endif
