/*
 * A bounded cache in memory: key → (version, bytes), sharded, with a time to live, put-if-newer, and pins.
 *
 * It is a cache, never the truth: an entry may be gone at any time, and its absence says nothing.
 *
 * Versions: a put takes effect only if its version is greater than the one that is there, so that a slow writer cannot
 * bring an old state back. Version 0 is a placeholder: content that is not yet durable.
 *
 * Pins: while a key is pinned its entry is neither evicted nor expired. Two uses:
 *   - a creation under way pins its key with a placeholder, so that the panic is readable until the creation ends;
 *   - a reader that is going to fill a miss from the store pins the key without content first: if a newer version
 *     is put meanwhile, it stays, and the reader's own put is refused as old.
 * Every cache_pin is matched by one cache_unpin. When the last pin goes, an entry that is still a placeholder or empty
 * goes with it. The number of pins at a time is the caller's to bound (panicd: one per RPC call at most).
 *
 * Bound: the sum of key, value and bookkeeping bytes stays below bytes_max, pinned entries not counted against others:
 * a put that finds no room that can be evicted is dropped. Eviction: SIEVE (Zhang et al., NSDI 2024).
 *
 * Any thread. A shard's lock is held for the length of one lookup and copy.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

#define CACHE_KEY_MAX 128
#define CACHE_VALUE_MAX (64 * 1024)

struct cache;

struct cache_config {
    size_t bytes_max;
    int64_t ttl_us;
    /* Power of two, 1 to 256. */
    unsigned shards;
    /* The monotonic clock in µs; NULL = monotonic_us. For tests. */
    int64_t (*now_us)(void);
};

struct cache_stats {
    uint64_t hits;
    uint64_t misses;
    uint64_t evictions;
    /* Puts that were not newer. */
    uint64_t stale_puts;
    size_t entries;
    size_t pinned;
    size_t bytes;
};

/* A value found, copied into the caller's arena. */
struct cache_value {
    uint64_t version;
    const uint8_t *bytes;
    size_t length;
};

MUST_USE enum status cache_new(const struct cache_config *config, struct cache **ret_cache);
/* NULL is fine. */
void cache_free(struct cache *cache);

/* OK, NOT_FOUND (an entry without content counts as none), or RESOURCE_EXHAUSTED when the arena is full. */
MUST_USE enum status cache_get(struct cache *cache, const void *key, size_t key_length, struct arena *arena,
                               struct cache_value *ret_value);

/* Puts a copy if `version` is greater than what is there. True when it is in the cache afterwards. */
bool cache_put(struct cache *cache, const void *key, size_t key_length, uint64_t version, const void *value,
               size_t length);

/*
 * Holds the key's entry in the cache; see above. If the key has no content and `placeholder` is not NULL, it becomes
 * the content, with version 0. RESOURCE_EXHAUSTED when memory is short: then nothing is pinned.
 */
MUST_USE enum status cache_pin(struct cache *cache, const void *key, size_t key_length, const void *placeholder,
                               size_t length);
void cache_unpin(struct cache *cache, const void *key, size_t key_length);

struct cache_stats cache_stats(const struct cache *cache);

#endif
