/*
 * Equal keys are found by sorting: a stranger chooses how many entries there are, so comparing each with each
 * is out of the question. Entries with equal keys end up side by side, in the order of their positions.
 */
#include "json/map_keys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "json/member.h"

struct key {
    /* NULL: `bits` is the key. */
    const char *text;
    uint64_t bits;
    size_t position;
};

static struct key key_of(const ProtobufCMessage *entry, size_t position)
{
    const ProtobufCFieldDescriptor *field = &entry->descriptor->fields[0];
    struct key key = {.position = position};
    const void *member = member_of(entry, field);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        key.text = member_pointer(member);
    } else {
        memcpy(&key.bits, member, member_size(field->type));
    }
    return key;
}

static int compare_values(const struct key *a, const struct key *b)
{
    if (a->text != NULL && b->text != NULL) {
        return strcmp(a->text, b->text);
    }
    return a->bits < b->bits ? -1 : a->bits > b->bits;
}

static int compare(const void *a, const void *b)
{
    const struct key *left = a;
    const struct key *right = b;
    int order = compare_values(left, right);
    if (order != 0) {
        return order;
    }
    return left->position < right->position ? -1 : left->position > right->position;
}

bool *map_keys_find_superseded(ProtobufCMessage *const *entries, size_t n, struct arena *arena)
{
    struct key *keys = arena_alloc(arena, n * sizeof(*keys));
    bool *superseded = arena_alloc_zero(arena, n * sizeof(*superseded));
    if (keys == NULL || superseded == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = key_of(entries[i], i);
    }
    qsort(keys, n, sizeof(*keys), compare);
    for (size_t i = 0; i + 1 < n; i++) {
        superseded[keys[i].position] = compare_values(&keys[i], &keys[i + 1]) == 0;
    }
    return superseded;
}
