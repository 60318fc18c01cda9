/*
 * The nearest of many places on the Earth: a set of named items, each at a place, out of which the one
 * nearest to a given place is found in few steps, see nearest.c; of items equally near, the one whose name
 * comes first.
 *
 * Items are the caller's, and hold all the memory that the set needs for them: adding, removing and moving
 * one allocates nothing and cannot fail.
 *
 * Not thread-safe: one lock round a set, or one thread.
 */
#ifndef PANIC_NEAREST_H
#define PANIC_NEAREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "panic/geo.h"

/* Longest name, in bytes without the NUL. */
#define NEAREST_NAME_MAX 64

struct nearest_box {
    struct geo_point low;
    struct geo_point high;
};

/* What hangs at one side of a fork: another fork or an item; neither in an empty set. */
struct nearest_branch {
    struct nearest_fork *fork;
    struct nearest_item *item;
    /* The smallest that holds every item below. */
    struct nearest_box box;
};

struct nearest_fork {
    /* NULL at the root, and in a fork that is not in use. */
    struct nearest_fork *parent;
    bool in_use;
    /* The first bit in which the keys below differ; branch[b] has those where it is b. */
    uint16_t bit;
    struct nearest_branch branch[2];
};

/* To be embedded in what is to be found; nothing in it is the caller's to touch but through the functions. */
struct nearest_item {
    const char *name;
    uint16_t name_length;
    uint64_t cell;
    struct geo_point point;
    struct nearest_fork *parent;
    /* Of use to the set, not to this item in particular. */
    struct nearest_fork fork;
};

/* All zero when empty. */
struct nearest {
    struct nearest_branch root;
};

static inline bool nearest_is_empty(const struct nearest *set)
{
    return set->root.fork == NULL && set->root.item == NULL;
}

/*
 * Adds an item that is in no set. The name must be unlike those of the set's other items, at most
 * NEAREST_NAME_MAX long, and stay as it is until the item is removed. O(depth), see nearest.c.
 */
void nearest_add(struct nearest *set, struct nearest_item *item, const char *name,
                 const struct geo_point *point);

/* Takes out an item of this set. O(depth). */
void nearest_remove(struct nearest *set, struct nearest_item *item);

/* The nearest item, NULL when there is none. It stays in the set. */
struct nearest_item *nearest_find(const struct nearest *set, const struct geo_point *point);

/* Some item; if all are at one place, the one whose name comes first. NULL when there is none. O(depth). */
struct nearest_item *nearest_first(const struct nearest *set);

/* The same item as nearest_find, and how many branches were looked at: the cost, whatever the machine. */
struct nearest_item *nearest_find_counted(const struct nearest *set, const struct geo_point *point,
                                          uint64_t *ret_visited);

#endif
