/* Within json: equal keys in the entries of a map field. */
#ifndef JSON_MAP_KEYS_H
#define JSON_MAP_KEYS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

/* For each of n entries (n > 0) whether a later one has the same key. In the arena; NULL when that is full.
 */
bool *map_keys_find_superseded(ProtobufCMessage *const *entries, size_t n, struct arena *arena);

#endif
