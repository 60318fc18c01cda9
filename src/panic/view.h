/*
 * A stored panic as the message that clients see, and the key and form in which the cache holds it.
 */
#ifndef PANIC_VIEW_H
#define PANIC_VIEW_H

#include "base/arena.h"
#include "base/status.h"
#include "cache/cache.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/call.h"
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
 * A panic in its encoding, as the cache holds it and as it is sent; in an arena. There is room before it and
 * behind, so that the response grows round it in place: once a panic is stored its answer needs no memory.
 */
struct view_packed {
    /* NULL when the arena was full. */
    uint8_t *data;
    size_t length;
    /* Of the room behind, which is for view_set_stored() and the other fields of the response. */
    const uint8_t *end;
    /* Of a placeholder, without the fields that view_set_stored() sets. */
    size_t unstored_length;
};

/* `rest_max`: size of the longest rest that view_reply() will be given. */
struct view_packed view_pack(const Panic__V1__Panic *panic, size_t rest_max, struct arena *arena);

/* The same from a stored row. */
struct view_packed view_pack_row(const struct store_panic *row, size_t rest_max, struct arena *arena);

/*
 * A panic that is not durable, version 0, as it is read until it is stored. It has these two fields although
 * they are zero, so that the stored panic is as long and takes its place in the cache.
 */
struct view_packed view_pack_placeholder(const Panic__V1__Panic *panic, size_t rest_max, struct arena *arena);

/*
 * Makes a placeholder the panic as it is stored: a panic is packed once for the placeholder, the cache and
 * the answer.
 */
void view_set_stored(struct view_packed *placeholder, uint64_t version);

/*
 * Answers with a response whose field 1 is the panic; `rest` has its other fields (NULL = none). False, and
 * the call is still to be answered, when the panic has no data or no room for the rest.
 */
MUST_USE bool view_reply(struct rpc_call *call, const struct view_packed *panic,
                         const ProtobufCMessage *rest);

/*
 * Puts the panic into the cache under its version; without data, at least nothing older stays there.
 */
void view_cache_put(struct cache *cache, const struct store_panic *row, const struct view_packed *panic);

/* Pins the panic's place with a placeholder until the creation ends; see cache.h. */
MUST_USE enum status view_cache_pin(struct cache *cache, const struct view_key *key,
                                    const struct view_packed *placeholder);
/* Ends it with the panic as it is stored, under its version; without data, at least nothing older stays. */
void view_cache_settle(struct cache *cache, const struct view_key *key, const struct view_packed *panic,
                       uint64_t version);
/* Ends it with nothing stored. */
void view_cache_end_creation(struct cache *cache, const struct view_key *key);

/*
 * Holds the panic's place in the cache: from before the store is read, by whoever is going to put what it
 * reads; otherwise a newer version could come and be evicted in between, and the put would bring the old one
 * back. False without memory: then there is nothing to let go.
 */
MUST_USE bool view_cache_hold(struct cache *cache, const struct view_key *key);

/*
 * The same before a commit that replaces `version`, which from now on nobody is answered with.
 * *ret_cached (may be NULL): it was in the cache until now.
 */
MUST_USE bool view_cache_hold_change(struct cache *cache, const struct view_key *key, uint64_t version,
                                     bool *ret_cached);

void view_cache_let_go(struct cache *cache, const struct view_key *key);

/* Reads it back, and whether it is more than a placeholder. NOT_FOUND when it is not there. */
MUST_USE enum status view_cache_get(struct cache *cache, const struct view_key *key, struct arena *arena,
                                    struct view_packed *ret_panic, bool *ret_durable);

#endif
