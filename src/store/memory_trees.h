/*
 * The trees that the memory store hangs its nodes in, each with the order of its keys. For memory.c alone.
 */
#ifndef STORE_MEMORY_TREES_H
#define STORE_MEMORY_TREES_H

#include <string.h>

#include "store/memory_node.h"

RB_HEAD(panics, panic_node);
RB_HEAD(due, panic_node);
RB_HEAD(waiting, panic_node);
RB_HEAD(bound, panic_node);
RB_HEAD(responders, responder_node);

static int compare_ids(const struct panic_node *a, const struct panic_node *b)
{
    int order = strcmp(a->panic.tenant, b->panic.tenant);
    return order != 0 ? order : memcmp(a->panic.id.bytes, b->panic.id.bytes, sizeof(a->panic.id.bytes));
}

static int compare_times(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_due(const struct panic_node *a, const struct panic_node *b)
{
    int order = compare_times(a->panic.next_action_at_us, b->panic.next_action_at_us);
    return order != 0 ? order : (a->created.seq > b->created.seq) - (a->created.seq < b->created.seq);
}

static int compare_waiting(const struct panic_node *a, const struct panic_node *b)
{
    int order = a->panic.waiting - b->panic.waiting;
    if (order == 0) {
        order = compare_times(a->panic.create_time_us, b->panic.create_time_us);
    }
    return order != 0 ? order : compare_ids(a, b);
}

static int compare_bound(const struct panic_node *a, const struct panic_node *b)
{
    int order = strcmp(a->panic.tenant, b->panic.tenant);
    return order != 0 ? order : strcmp(a->panic.responder_id, b->panic.responder_id);
}

static int compare_responders(const struct responder_node *a, const struct responder_node *b)
{
    int order = strcmp(a->responder.tenant, b->responder.tenant);
    return order != 0 ? order : strcmp(a->responder.id, b->responder.id);
}

/* RB_GENERATE_STATIC needs a macro that libbsd does not define on Linux. */
#define TREE(name, node, field, compare)                                                                     \
    RB_GENERATE_INTERNAL(name, node, field, compare, __attribute__((unused)) static)

TREE(panics, panic_node, by_id, compare_ids);
TREE(due, panic_node, by_due, compare_due);
TREE(waiting, panic_node, by_queue, compare_waiting);
TREE(bound, panic_node, by_responder, compare_bound);
TREE(responders, responder_node, by_id, compare_responders);

#endif
