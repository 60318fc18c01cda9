/*
 * A stored panic as the message that clients see, and the key and form in which the cache holds it.
 */
#ifndef PANIC_VIEW_H
#define PANIC_VIEW_H

#include "base/arena.h"
#include "base/status.h"
#include "cache/cache.h"
#include "panic/v1/panic_service.pb-c.h"
#include "store/store.h"

/* Builds the message from the row and its content already unpacked. NULL when the arena is full. */
Panic__V1__Panic *view_build(const struct store_panic *row, const Panic__V1__CreatePanicRequest *content,
                             struct arena *arena);

/* The same from the row alone. */
Panic__V1__Panic *view_panic(const struct store_panic *row, struct arena *arena);

/* NULL when the arena is full. */
Google__Protobuf__Timestamp *view_time(int64_t wall_us, struct arena *arena);

struct view_key {
    uint8_t bytes[CACHE_KEY_MAX];
    size_t length;
};

/* The tenant and the panic's id: another tenant's id is another key. */
struct view_key view_key(const char *tenant, const struct id *id);

/*
 * Puts the panic into the cache under its version; without memory for that, at least nothing older stays
 * there. `panic` may be NULL, which counts as that.
 */
void view_cache_put(struct cache *cache, const struct store_panic *row, const Panic__V1__Panic *panic,
                    struct arena *arena);

/* Pins the panic's place with `panic` as placeholder; see cache.h. */
MUST_USE enum status view_cache_pin(struct cache *cache, const struct view_key *key,
                                    const Panic__V1__Panic *panic, struct arena *arena);

/*
 * Holds the panic's place in the cache: from before the store is read, by whoever is going to put what it
 * reads; otherwise a newer version could come and be evicted in between, and the put would bring the old one
 * back. False without memory: then there is nothing to let go.
 */
MUST_USE bool view_cache_hold(struct cache *cache, const struct view_key *key);

/* The same before a commit that replaces `version`, which from now on nobody is answered with. */
MUST_USE bool view_cache_hold_change(struct cache *cache, const struct view_key *key, uint64_t version);

void view_cache_let_go(struct cache *cache, const struct view_key *key);

/* Reads it back. NOT_FOUND when it is not there. */
MUST_USE enum status view_cache_get(struct cache *cache, const struct view_key *key, struct arena *arena,
                                    Panic__V1__Panic **ret_panic);

#endif
