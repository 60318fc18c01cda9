/*
 * A chained hash table of fixed size and the list of SIEVE (Zhang et al., "SIEVE is Simpler than LRU", NSDI
 * 2024).
 *
 * The number of buckets follows from the bytes the table may hold, so that it never grows: no pause under the
 * lock, and its own memory is taken off the bound once. Chains stay short as long as entries are not much
 * smaller than BYTES_PER_BUCKET on average; an entry's bookkeeping alone makes up a third of that.
 *
 * SIEVE: new entries go to the head, a read only marks. A hand goes from the tail to the head; it takes the
 * mark off a marked entry and evicts the first that has none. One that is never read again goes at the hand's
 * next visit, wherever it is in the list, so a scan does not wash out what is in use.
 *
 * Invariants: an entry is in the list if and only if it has no pins, so a search for a victim meets no pinned
 * entry, however many there are. The hand is NULL or in the list. bytes − pinned_bytes <= evictable_max.
 */
#include "cache/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_PER_BUCKET 256
#define BUCKETS_MIN 16
#define BUCKETS_MAX (1U << 20)
/* What malloc adds to a piece of memory: its header and the rounding. */
#define MALLOC_OVERHEAD 16

static size_t entry_size(const struct entry *entry)
{
    return sizeof(*entry) + MALLOC_OVERHEAD + entry->key_length + entry->value_length;
}

struct entry *entry_new(const struct cache_key *key, const void *value, size_t length)
{
    assert(key->length <= UINT8_MAX && length <= UINT32_MAX);
    struct entry *entry = malloc(sizeof(*entry) + key->length + length);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct entry){
        .hash = key->hash,
        .key_length = (uint8_t)key->length,
        .value_length = (uint32_t)length,
    };
    if (key->length > 0) {
        memcpy(entry->bytes, key->bytes, key->length);
    }
    if (length > 0) {
        memcpy(entry->bytes + key->length, value, length);
    }
    return entry;
}

void entry_overwrite(struct entry *entry, const void *value)
{
    if (entry->value_length > 0) {
        memcpy(entry->bytes + entry->key_length, value, entry->value_length);
    }
}

enum status table_init(struct table *table, size_t bytes_max)
{
    size_t n_buckets = BUCKETS_MIN;
    while (n_buckets < BUCKETS_MAX && n_buckets < bytes_max / BYTES_PER_BUCKET) {
        n_buckets *= 2;
    }
    struct entry **buckets = calloc(n_buckets, sizeof(struct entry *));
    if (buckets == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    size_t own_bytes = n_buckets * sizeof(struct entry *);
    *table = (struct table){
        .buckets = buckets,
        .bucket_mask = n_buckets - 1,
        .evictable_max = bytes_max > own_bytes ? bytes_max - own_bytes : 0,
    };
    TAILQ_INIT(&table->evictable);
    return STATUS_OK;
}

void table_release(struct table *table)
{
    for (size_t i = 0; i <= table->bucket_mask; i++) {
        struct entry *entry = table->buckets[i];
        while (entry != NULL) {
            struct entry *next = entry->chain;
            free(entry);
            entry = next;
        }
    }
    free(table->buckets);
}

struct entry *table_find(const struct table *table, const struct cache_key *key)
{
    struct entry *entry = table->buckets[key->hash & table->bucket_mask];
    while (entry != NULL) {
        if (entry->hash == key->hash && entry->key_length == key->length &&
            (key->length == 0 || memcmp(entry->bytes, key->bytes, key->length) == 0)) {
            return entry;
        }
        entry = entry->chain;
    }
    return NULL;
}

static void leave_list(struct table *table, struct entry *entry)
{
    if (table->hand == entry) {
        table->hand = TAILQ_PREV(entry, entry_list, place);
    }
    TAILQ_REMOVE(&table->evictable, entry, place);
}

static struct entry *find_victim(struct table *table)
{
    struct entry *oldest = TAILQ_LAST(&table->evictable, entry_list);
    struct entry *entry = table->hand != NULL ? table->hand : oldest;
    /* The analyzer does not follow the list's double pointers: it takes the entry just freed for the tail. */
    while (entry->visited) { /* NOLINT(clang-analyzer-unix.Malloc) */
        entry->visited = false;
        struct entry *newer = TAILQ_PREV(entry, entry_list, place);
        entry = newer != NULL ? newer : oldest;
    }
    assert(entry->pins == 0);
    table->hand = entry;
    return entry;
}

/* Room for `size` more bytes that may be evicted. */
static bool make_room(struct table *table, size_t size)
{
    if (size > table->evictable_max) {
        return false;
    }
    while (table->bytes - table->pinned_bytes > table->evictable_max - size) {
        table->evictions++;
        table_remove(table, find_victim(table));
    }
    return true;
}

static void count_pinned(struct table *table, const struct entry *entry)
{
    table->pinned++;
    table->pinned_bytes += entry_size(entry);
}

static void uncount_pinned(struct table *table, const struct entry *entry)
{
    table->pinned--;
    table->pinned_bytes -= entry_size(entry);
}

bool table_add(struct table *table, struct entry *entry)
{
    if (entry->pins > 0) {
        count_pinned(table, entry);
    } else if (make_room(table, entry_size(entry))) {
        TAILQ_INSERT_HEAD(&table->evictable, entry, place);
    } else {
        return false;
    }
    struct entry **bucket = &table->buckets[entry->hash & table->bucket_mask];
    entry->chain = *bucket;
    *bucket = entry;
    table->entries++;
    table->bytes += entry_size(entry);
    return true;
}

void table_remove(struct table *table, struct entry *entry)
{
    if (entry->pins > 0) {
        uncount_pinned(table, entry);
    } else {
        leave_list(table, entry);
    }
    struct entry **link = &table->buckets[entry->hash & table->bucket_mask];
    while (*link != entry) {
        link = &(*link)->chain;
    }
    *link = entry->chain;
    table->entries--;
    table->bytes -= entry_size(entry);
    free(entry);
}

void table_pin(struct table *table, struct entry *entry)
{
    assert(entry->pins < UINT32_MAX);
    if (entry->pins == 0) {
        leave_list(table, entry);
        count_pinned(table, entry);
    }
    entry->pins++;
}

void table_unpin(struct table *table, struct entry *entry)
{
    assert(entry->pins > 0);
    if (entry->pins > 1) {
        entry->pins--;
        return;
    }
    /* While it still counts as pinned, it cannot become the victim that makes room for itself. */
    if (!make_room(table, entry_size(entry))) {
        table->evictions++;
        table_remove(table, entry);
        return;
    }
    uncount_pinned(table, entry);
    entry->pins = 0;
    TAILQ_INSERT_HEAD(&table->evictable, entry, place);
}
