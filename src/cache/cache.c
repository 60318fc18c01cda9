/*
 * The rules of the cache: which version may follow which, when an entry's time is over, what a pin keeps.
 *
 * A key's shard and bucket come from one hash, XXH3 keyed with a random secret per cache, since clients
 * choose ids and must not be able to aim them all at one bucket. The top bits choose the shard, the low bits
 * the bucket.
 *
 * A put makes a new entry, outside the lock, and swaps it in. Nobody keeps a pointer to an entry beyond the
 * lock (a pin goes by key), so the old one is freed at once. A placeholder is written over in its entry by
 * content that is as long, which is what most creations end with.
 *
 * Invariants: an entry without content, or with version 0, has pins. A pinned entry's version never falls: a
 * newer content that cannot be kept (no memory, too long) leaves its version behind in the place of the old
 * content.
 *
 * Nothing sweeps entries whose time is over. They are found by the next look at their key, or evicted; until
 * then they take room within the bound, and nobody sees them.
 */
#include "cache/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/clock.h"
#include "cache/table.h"

#define CACHE_LINE 64
#define SHARDS_MAX 256

struct shard {
    /* Guards all of the shard. On a cache line of its own, since neighbours' locks are others' business. */
    alignas(CACHE_LINE) pthread_mutex_t lock;
    struct table table;
    uint64_t hits;
    uint64_t misses;
    uint64_t stale_puts;
};

struct cache {
    int64_t ttl_us;
    int64_t (*now_us)(void);
    uint8_t secret[XXH3_SECRET_SIZE_MIN];
    unsigned n_shards;
    struct shard *shards;
};

static enum status shards_new(unsigned n, size_t bytes_max, struct cache *cache)
{
    cache->shards = aligned_alloc(CACHE_LINE, n * sizeof(struct shard));
    if (cache->shards == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    for (unsigned i = 0; i < n; i++) {
        struct shard *shard = &cache->shards[i];
        *shard = (struct shard){.hits = 0};
        enum status status = table_init(&shard->table, bytes_max / n);
        if (status != STATUS_OK) {
            return status;
        }
        pthread_mutex_init(&shard->lock, NULL);
        cache->n_shards = i + 1;
    }
    return STATUS_OK;
}

enum status cache_new(const struct cache_config *config, struct cache **ret_cache)
{
    unsigned n = config->shards;
    if (n == 0 || n > SHARDS_MAX || (n & (n - 1)) != 0 || config->ttl_us <= 0) {
        return STATUS_INVALID_ARGUMENT;
    }
    struct cache *cache = malloc(sizeof(*cache));
    if (cache == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *cache = (struct cache){
        .ttl_us = config->ttl_us,
        .now_us = config->now_us != NULL ? config->now_us : monotonic_us,
    };
    arc4random_buf(cache->secret, sizeof(cache->secret));
    enum status status = shards_new(n, config->bytes_max, cache);
    if (status != STATUS_OK) {
        cache_free(cache);
        return status;
    }
    *ret_cache = cache;
    return STATUS_OK;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (unsigned i = 0; i < cache->n_shards; i++) {
        table_release(&cache->shards[i].table);
        pthread_mutex_destroy(&cache->shards[i].lock);
    }
    free(cache->shards);
    free(cache);
}

static struct cache_key make_key(const struct cache *cache, const void *bytes, size_t length)
{
    return (struct cache_key){
        .bytes = bytes,
        .length = length,
        .hash = XXH3_64bits_withSecret(bytes, length, cache->secret, sizeof(cache->secret)),
    };
}

static struct shard *lock_shard(const struct cache *cache, const struct cache_key *key)
{
    struct shard *shard = &cache->shards[(key->hash >> 56) & (cache->n_shards - 1)];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

static bool is_over(const struct cache *cache, const struct entry *entry, int64_t now_us)
{
    return now_us - entry->put_us >= cache->ttl_us;
}

/* The key's entry; one whose time is over, and that no pin holds, goes. */
static struct entry *find_live(const struct cache *cache, struct shard *shard, const struct cache_key *key,
                               int64_t now_us)
{
    struct entry *entry = table_find(&shard->table, key);
    if (entry != NULL && entry->pins == 0 && is_over(cache, entry, now_us)) {
        table_remove(&shard->table, entry);
        return NULL;
    }
    return entry;
}

static enum status copy_out(const struct entry *entry, struct arena *arena, struct cache_value *ret_value)
{
    const uint8_t *copy = arena_copy(arena, entry->bytes + entry->key_length, entry->value_length);
    if (copy == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *ret_value = (struct cache_value){
        .version = entry->version,
        .bytes = copy,
        .length = entry->value_length,
    };
    return STATUS_OK;
}

enum status cache_get(struct cache *cache, const void *key, size_t key_length, struct arena *arena,
                      struct cache_value *ret_value)
{
    struct cache_key wanted = make_key(cache, key, key_length);
    int64_t now_us = cache->now_us();
    enum status status = STATUS_NOT_FOUND;
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *entry = find_live(cache, shard, &wanted, now_us);
    if (entry != NULL && entry->has_content) {
        shard->hits++;
        entry->visited = true;
        status = copy_out(entry, arena, ret_value);
    } else {
        shard->misses++;
    }
    pthread_mutex_unlock(&shard->lock);
    return status;
}

static struct entry *new_content(const struct cache_key *key, uint64_t version, const void *value,
                                 size_t length, int64_t now_us)
{
    struct entry *entry = entry_new(key, value, length);
    if (entry != NULL) {
        entry->version = version;
        entry->put_us = now_us;
        entry->has_content = true;
    }
    return entry;
}

/* `fresh` takes the place of `old`, with its pins and its mark. False: it did not fit, and is still the
 * caller's. */
static bool replace(struct table *table, struct entry *old, struct entry *fresh)
{
    fresh->pins = old->pins;
    fresh->creations = old->creations;
    fresh->visited = old->visited;
    table_remove(table, old);
    return table_add(table, fresh);
}

/* The old content goes although nothing can take its place; pins remember the version. */
static void outdate(struct table *table, struct entry *old, uint64_t version)
{
    if (old->pins == 0) {
        table_remove(table, old);
        return;
    }
    old->has_content = false;
    old->version = version;
}

bool cache_put(struct cache *cache, const void *key, size_t key_length, uint64_t version, const void *value,
               size_t length)
{
    if (key_length > CACHE_KEY_MAX) {
        return false;
    }
    struct cache_key wanted = make_key(cache, key, key_length);
    int64_t now_us = cache->now_us();
    /* Before the lock: nobody waits while memory is found and filled. */
    struct entry *fresh =
        length <= CACHE_VALUE_MAX ? new_content(&wanted, version, value, length, now_us) : NULL;
    bool added = false;
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *old = find_live(cache, shard, &wanted, now_us);
    if (version <= (old != NULL ? old->version : 0)) {
        shard->stale_puts++;
    } else if (fresh != NULL) {
        added = old != NULL ? replace(&shard->table, old, fresh) : table_add(&shard->table, fresh);
    } else if (old != NULL) {
        outdate(&shard->table, old, version);
    }
    pthread_mutex_unlock(&shard->lock);
    if (!added) {
        free(fresh);
    }
    return added;
}

bool cache_outdate(struct cache *cache, const void *key, size_t key_length, uint64_t version)
{
    if (key_length > CACHE_KEY_MAX) {
        return false;
    }
    struct cache_key wanted = make_key(cache, key, key_length);
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *old = find_live(cache, shard, &wanted, cache->now_us());
    bool had_content = false;
    if (old != NULL && old->version <= version) {
        had_content = old->has_content;
        outdate(&shard->table, old, version);
    }
    pthread_mutex_unlock(&shard->lock);
    return had_content;
}

static struct entry *new_pinned(const struct cache_key *key, const void *placeholder, size_t length,
                                int64_t now_us)
{
    struct entry *entry = new_content(key, 0, placeholder, placeholder != NULL ? length : 0, now_us);
    if (entry != NULL) {
        entry->has_content = placeholder != NULL;
        entry->pins = 1;
        entry->creations = placeholder != NULL;
    }
    return entry;
}

enum status cache_pin(struct cache *cache, const void *key, size_t key_length, const void *placeholder,
                      size_t length)
{
    if (key_length > CACHE_KEY_MAX || (placeholder != NULL && length > CACHE_VALUE_MAX)) {
        return STATUS_INVALID_ARGUMENT;
    }
    struct cache_key wanted = make_key(cache, key, key_length);
    int64_t now_us = cache->now_us();
    struct entry *fresh = new_pinned(&wanted, placeholder, length, now_us);
    if (fresh == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *old = find_live(cache, shard, &wanted, now_us);
    bool added = true;
    if (old == NULL) {
        added = table_add(&shard->table, fresh);
    } else {
        table_pin(&shard->table, old);
        old->creations += placeholder != NULL;
        /* An entry that only remembers a version must not fall back to a placeholder. */
        bool wants_content = !old->has_content && old->version == 0;
        added = wants_content && placeholder != NULL && replace(&shard->table, old, fresh);
    }
    pthread_mutex_unlock(&shard->lock);
    if (!added) {
        free(fresh);
    }
    return STATUS_OK;
}

/* One pin goes; the entry may go with it. */
static void let_go(const struct cache *cache, struct table *table, struct entry *entry, bool creation,
                   int64_t now_us)
{
    entry->creations -= creation;
    if (entry->creations == 0 && entry->version == 0) {
        entry->has_content = false;
    }
    bool is_last = entry->pins == 1;
    if (is_last && (!entry->has_content || is_over(cache, entry, now_us))) {
        table_remove(table, entry);
    } else {
        table_unpin(table, entry);
    }
}

static void unpin(struct cache *cache, const void *key, size_t key_length, bool creation)
{
    struct cache_key wanted = make_key(cache, key, key_length);
    int64_t now_us = cache->now_us();
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *entry = table_find(&shard->table, &wanted);
    assert(entry != NULL && (creation ? entry->creations > 0 : entry->pins > entry->creations));
    let_go(cache, &shard->table, entry, creation, now_us);
    pthread_mutex_unlock(&shard->lock);
}

void cache_unpin(struct cache *cache, const void *key, size_t key_length)
{
    unpin(cache, key, key_length, false);
}

void cache_unpin_placeholder(struct cache *cache, const void *key, size_t key_length)
{
    unpin(cache, key, key_length, true);
}

/* A newer content that is as long as the old one. */
static bool overwrite(struct entry *entry, uint64_t version, const void *value, size_t length, int64_t now_us)
{
    if (version <= entry->version || length != entry->value_length) {
        return false;
    }
    entry_overwrite(entry, value);
    entry->version = version;
    entry->put_us = now_us;
    entry->has_content = true;
    return true;
}

void cache_settle(struct cache *cache, const void *key, size_t key_length, uint64_t version,
                  const void *value, size_t length)
{
    struct cache_key wanted = make_key(cache, key, key_length);
    int64_t now_us = cache->now_us();
    struct shard *shard = lock_shard(cache, &wanted);
    struct entry *entry = table_find(&shard->table, &wanted);
    assert(entry != NULL && entry->creations > 0);
    bool settled = overwrite(entry, version, value, length, now_us);
    if (settled) {
        let_go(cache, &shard->table, entry, true, now_us);
    }
    pthread_mutex_unlock(&shard->lock);
    if (!settled) {
        cache_put(cache, key, key_length, version, value, length);
        cache_unpin_placeholder(cache, key, key_length);
    }
}

struct cache_stats cache_stats(const struct cache *cache)
{
    struct cache_stats stats = {.hits = 0};
    for (unsigned i = 0; i < cache->n_shards; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        stats.hits += shard->hits;
        stats.misses += shard->misses;
        stats.evictions += shard->table.evictions;
        stats.stale_puts += shard->stale_puts;
        stats.entries += shard->table.entries;
        stats.bytes += shard->table.bytes;
        stats.pinned += shard->table.pinned;
        stats.pinned_bytes += shard->table.pinned_bytes;
        pthread_mutex_unlock(&shard->lock);
    }
    return stats;
}
