/*
 * A bounded cache in memory: key → (version, bytes), sharded, with a time to live, put-if-newer, and pins.
 *
 * It is a cache, never the truth: an entry may be gone at any time, and its absence says nothing.
 *
 * Versions: a put takes effect only if its version is greater than the one that is there, so that a slow
 * writer cannot bring an old state back. Version 0 is a placeholder: content that is not yet durable. What is
 * not there counts as version 0 too, so placeholders come from cache_pin only. Once an entry is evicted, its
 * version is forgotten with it; hence the rule below for whoever puts what he read or wrote a while ago.
 *
 * Pins: while a key is pinned its entry is neither evicted nor expired. Two uses:
 *   - a creation under way pins its key with a placeholder, so that the panic is readable until the creation
 *     ends;
 *   - a reader that is going to fill a miss from the store pins the key without content first: if a newer
 *     version is put meanwhile, it stays, and the reader's own put is refused as old. A writer does the same
 *     around its commit. If all who put a key pin it before they read or commit, the versions that
 *     cache_get gives for it never fall.
 * Every cache_pin is matched by one cache_unpin, or by one cache_unpin_placeholder or cache_settle if it
 * brought a placeholder. A placeholder is readable until the last pin that brought one for its key goes: it
 * says that a creation is under way (not that the store has nothing: the repeat of an old creation, whose
 * entry is long evicted, brings one too). When the last pin of all goes, an entry without content goes with
 * it, and so does one whose time is over. The number of pins at a time is the caller's to bound (panicd: one
 * per RPC call at most).
 *
 * Time to live: counted from the put (or from the pin that brought the placeholder), not from the last read.
 *
 * Bound: what is not pinned, keys, values and bookkeeping together, stays within bytes_max, divided evenly
 * among the shards. Pinned entries stand beside that: a pin, and a put to a pinned key, never fails for the
 * bound, and never evicts. An entry that is larger than a shard's part is dropped unless it is pinned.
 * Eviction: SIEVE (Zhang et al., NSDI 2024); a read marks the entry, a put makes it a new one in the order,
 * its mark kept.
 *
 * Keys may be empty; one longer than CACHE_KEY_MAX is never in the cache.
 *
 * Any thread, but for cache_new and cache_free. A shard's lock is held for one lookup and one copy, and for a
 * put or the last unpin also while others are evicted to make room.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

#define CACHE_KEY_MAX 128
#define CACHE_VALUE_MAX ((size_t)64 * 1024)

struct cache;

struct cache_config {
    /* 0: nothing is kept but what is pinned. */
    size_t bytes_max;
    /* Greater than 0. An entry is readable while it is younger than this. */
    int64_t ttl_us;
    /* Power of two, 1 to 256. */
    unsigned shards;
    /* The monotonic clock in µs; NULL = monotonic_us. Any thread, must not block. For tests. */
    int64_t (*now_us)(void);
};

struct cache_stats {
    uint64_t hits;
    uint64_t misses;
    /* Entries that went to make room, not those whose time was over. */
    uint64_t evictions;
    /* Puts that were not newer. */
    uint64_t stale_puts;
    /* Everything that is held, what is pinned and what is past its time but not yet found so included. */
    size_t entries;
    size_t bytes;
    /* The pinned among these; however many pins an entry has, it counts once. */
    size_t pinned;
    size_t pinned_bytes;
};

/* A value found, copied into the caller's arena. */
struct cache_value {
    uint64_t version;
    const uint8_t *bytes;
    size_t length;
};

/* INVALID_ARGUMENT when the configuration breaks a rule above; RESOURCE_EXHAUSTED when memory is short. */
MUST_USE enum status cache_new(const struct cache_config *config, struct cache **ret_cache);
/* NULL is fine. No other call may be under way; what is still pinned goes too. */
void cache_free(struct cache *cache);

/* OK, NOT_FOUND (an entry without content counts as none), or RESOURCE_EXHAUSTED when the arena is full. */
MUST_USE enum status cache_get(struct cache *cache, const void *key, size_t key_length, struct arena *arena,
                               struct cache_value *ret_value);

/*
 * Puts a copy if `version` is greater than what is there. True when this put's copy is in the cache
 * afterwards; false when it was refused as old (also when the same version is there), and when there was no
 * room or memory for it or it is longer than CACHE_VALUE_MAX. In the last cases the older content, now known
 * to be old, is gone, and if the key is pinned no older version can come back while it is.
 */
bool cache_put(struct cache *cache, const void *key, size_t key_length, uint64_t version, const void *value,
               size_t length);

/*
 * Takes away content of this version or an older one. While the key is pinned, such content is not taken in
 * again either: whoever is about to commit a newer version calls this between cache_pin and the commit, so
 * that nobody is answered with the old one after others could see the new one in the store. True when there
 * was a content to take away, which says that somebody has had to do with the key of late.
 */
bool cache_outdate(struct cache *cache, const void *key, size_t key_length, uint64_t version);

/*
 * Holds the key's entry in the cache; see above. If nothing has been put and `placeholder` is not NULL, it
 * becomes the content, with version 0. Unless it returns OK nothing is pinned: RESOURCE_EXHAUSTED when memory
 * is short, INVALID_ARGUMENT when the key or the placeholder is too long.
 */
MUST_USE enum status cache_pin(struct cache *cache, const void *key, size_t key_length,
                               const void *placeholder, size_t length);
/* Takes back one pin, without or with a placeholder. It is a programmer's error if there is none. */
void cache_unpin(struct cache *cache, const void *key, size_t key_length);
void cache_unpin_placeholder(struct cache *cache, const void *key, size_t key_length);

/*
 * cache_put and cache_unpin_placeholder in one, for the end of a creation. If the value is as long as the
 * placeholder was, it needs no memory.
 */
void cache_settle(struct cache *cache, const void *key, size_t key_length, uint64_t version,
                  const void *value, size_t length);

/* Summed up shard by shard: exact only while nothing else runs. */
struct cache_stats cache_stats(const struct cache *cache);

#endif
