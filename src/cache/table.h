/*
 * The entries of one shard: a hash table and the SIEVE list, bounded in bytes. Knows nothing of versions and
 * time; those rules are cache.c's. Not thread-safe: the caller holds the shard's lock.
 */
#ifndef CACHE_TABLE_H
#define CACHE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/status.h"

struct cache_key {
    const void *bytes;
    size_t length;
    uint64_t hash;
};

struct entry {
    /* Next in the bucket. */
    struct entry *chain;
    /* In the SIEVE list, if not pinned. */
    TAILQ_ENTRY(entry) place;
    uint64_t hash;
    /* Of the content, or of a newer one that was not kept. */
    uint64_t version;
    int64_t put_us;
    uint32_t pins;
    /* Those among them that brought a placeholder. */
    uint32_t creations;
    uint32_t value_length;
    uint8_t key_length;
    bool has_content;
    /* Read since the hand last came by. */
    bool visited;
    /* The key, then the value. */
    uint8_t bytes[];
};

struct table {
    struct entry **buckets;
    size_t bucket_mask;
    /* What is not pinned, newest first. */
    TAILQ_HEAD(entry_list, entry) evictable;
    /* Where the search for a victim goes on; NULL: at the oldest. */
    struct entry *hand;
    size_t evictable_max;
    uint64_t evictions;
    size_t entries;
    size_t bytes;
    size_t pinned;
    size_t pinned_bytes;
};

/* RESOURCE_EXHAUSTED when memory is short; then there is nothing to release. */
MUST_USE enum status table_init(struct table *table, size_t bytes_max);
void table_release(struct table *table);

/* A copy of key and value in one piece, owned by the caller until it is added; NULL when memory is short. */
struct entry *entry_new(const struct cache_key *key, const void *value, size_t length);

/* Another value of the same length. */
void entry_overwrite(struct entry *entry, const void *value);

struct entry *table_find(const struct table *table, const struct cache_key *key);

/*
 * Takes the entry over; its key must not be there yet. A pinned entry always fits. For another one others are
 * evicted; false when it cannot fit, then it stays the caller's and nothing was evicted.
 */
MUST_USE bool table_add(struct table *table, struct entry *entry);

/* Takes the entry out and frees it, pinned or not. */
void table_remove(struct table *table, struct entry *entry);

void table_pin(struct table *table, struct entry *entry);
/* The last pin makes it the newest of what may be evicted, or evicts it if it cannot fit. */
void table_unpin(struct table *table, struct entry *entry);

#endif
