/*
 * What the tests of the cache are written in: text keys and values, a clock that the test moves, and seen(),
 * which says in a word what a reader gets.
 */
#ifndef CACHE_SCRIPT_H
#define CACHE_SCRIPT_H

#include "harness/test.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "cache/cache.h"

#define TTL_US INT64_C(1000)

static _Atomic int64_t clock_us = 5000;

static inline int64_t test_clock_us(void)
{
    return atomic_load(&clock_us);
}

static inline void pass_us(int64_t us)
{
    atomic_fetch_add(&clock_us, us);
}

/* One shard, so that what fits does not depend on the secret of the hash. */
static inline struct cache *make_cache(size_t bytes_max)
{
    struct cache_config config = {
        .bytes_max = bytes_max,
        .ttl_us = TTL_US,
        .shards = 1,
        .now_us = test_clock_us,
    };
    struct cache *cache = NULL;
    assert_ok(cache_new(&config, &cache));
    return cache;
}

/* Far more than a test puts in. */
#define ROOMY (1U << 20)

/* cmocka setup and teardown; *state is the cache. */
static inline int roomy_set_up(void **state)
{
    *state = make_cache(ROOMY);
    return 0;
}

static inline int roomy_tear_down(void **state)
{
    cache_free(*state);
    return 0;
}

static inline bool put(struct cache *cache, const char *key, uint64_t version, const char *text)
{
    return cache_put(cache, key, strlen(key), version, text, strlen(text));
}

/* With NULL: without content. */
static inline enum status pin(struct cache *cache, const char *key, const char *placeholder)
{
    return cache_pin(cache, key, strlen(key), placeholder, placeholder != NULL ? strlen(placeholder) : 0);
}

static inline void unpin(struct cache *cache, const char *key)
{
    cache_unpin(cache, key, strlen(key));
}

static inline void unpin_placeholder(struct cache *cache, const char *key)
{
    cache_unpin_placeholder(cache, key, strlen(key));
}

static inline void settle(struct cache *cache, const char *key, uint64_t version, const char *text)
{
    cache_settle(cache, key, strlen(key), version, text, strlen(text));
}

/* "absent", or the version and the text: "v2 two". Valid until the next call. */
static inline const char *seen(struct cache *cache, const char *key)
{
    static char text[256];
    struct arena arena;
    arena_init(&arena, NULL, 0, 2 * CACHE_VALUE_MAX);
    struct cache_value value;
    enum status status = cache_get(cache, key, strlen(key), &arena, &value);
    if (status == STATUS_OK) {
        snprintf(text, sizeof(text), "v%" PRIu64 " %.*s", value.version, (int)value.length,
                 (const char *)value.bytes);
    } else {
        snprintf(text, sizeof(text), "%s", status == STATUS_NOT_FOUND ? "absent" : status_name(status));
    }
    arena_reset(&arena);
    return text;
}

#define assert_seen(cache, key, expected) assert_string_equal(seen((cache), (key)), (expected))

#endif
