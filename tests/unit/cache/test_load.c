/*
 * The cache under load, one thread against a model, then many threads as panicd uses it: whoever puts a key
 * pins it before reading or committing. The store is here a version per key.
 */
#include "script.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define MODEL_KEYS 64
#define MODEL_STEPS 60000
#define MODEL_PINS_MAX 3
#define MODEL_BYTES_MAX 1500
#define BYTES_MAX 6000

#define KEYS 6
#define WRITERS 3
#define READERS 3
#define ROUNDS 20000

/* xorshift64 (Marsaglia, 2003): the same numbers on every machine. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static bool within_bound(const struct cache *cache, size_t bytes_max)
{
    struct cache_stats stats = cache_stats(cache);
    return stats.bytes - stats.pinned_bytes <= bytes_max;
}

/* What a test knows of a key; what has no pins may be gone at any time. */
struct model_key {
    unsigned pins;
    /* Has a content that a pin has held since it was seen or put. */
    bool held;
    uint64_t version;
};

static void model_read(struct cache *cache, const char *name, struct model_key *key)
{
    char expected[64];
    snprintf(expected, sizeof(expected), "v%" PRIu64 " %" PRIu64, key->version, key->version);
    const char *got = seen(cache, name);
    if (key->held || strcmp(got, "absent") != 0) {
        assert_string_equal(got, expected);
        key->held = key->pins > 0;
    }
}

static void model_put(struct cache *cache, const char *name, struct model_key *key)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, key->version + 1);
    assert_true(put(cache, name, key->version + 1, text));
    key->version++;
    key->held = key->pins > 0;
}

static void model_pin(struct cache *cache, const char *name, struct model_key *key)
{
    if (key->pins < MODEL_PINS_MAX) {
        assert_ok(pin(cache, name, NULL));
        key->pins++;
    }
}

static void model_unpin(struct cache *cache, const char *name, struct model_key *key)
{
    if (key->pins > 0) {
        unpin(cache, name);
        key->pins--;
        key->held = key->held && key->pins > 0;
    }
}

static void test_random_load_agrees_with_the_model_and_keeps_the_bound(void **state)
{
    (void)state;
    struct cache *cache = make_cache(MODEL_BYTES_MAX);
    struct model_key keys[MODEL_KEYS] = {0};
    uint64_t seed = 20240416;
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        uint64_t random = next_random(&seed);
        struct model_key *key = &keys[random % MODEL_KEYS];
        char name[32];
        snprintf(name, sizeof(name), "key %td", key - keys);
        static void (*const acts[])(struct cache *, const char *,
                                    struct model_key *) = {model_read, model_put, model_pin, model_unpin};
        acts[random >> 32 & 3](cache, name, key);
        pass_us((int64_t)(random >> 40 & 15));
        assert_true(within_bound(cache, MODEL_BYTES_MAX));
    }
    assert_true(cache_stats(cache).evictions > 0);
    cache_free(cache);
}

struct world {
    struct cache *cache;
    pthread_barrier_t start;
    /* What has been committed, and what has been put and told to the world since. */
    _Atomic uint64_t committed[KEYS];
    _Atomic uint64_t told[KEYS];
    _Atomic unsigned fell;
    _Atomic unsigned torn;
    _Atomic unsigned over_bound;
    _Atomic unsigned busy;
};

struct worker {
    struct world *world;
    uint64_t seed;
    pthread_t thread;
};

static void raise_to(_Atomic uint64_t *value, uint64_t version)
{
    uint64_t old = atomic_load(value);
    while (old < version && !atomic_compare_exchange_weak(value, &old, version)) {
    }
}

/* The value says its version as often as it is long, so that a torn copy shows. */
struct content {
    uint64_t words[8];
    size_t size;
};

static struct content content_of(uint64_t version)
{
    struct content content = {.size = (1 + version % 8) * sizeof(uint64_t)};
    for (unsigned i = 0; i < 8; i++) {
        content.words[i] = version;
    }
    return content;
}

static void put_version(struct cache *cache, uint8_t key, uint64_t version)
{
    const struct content content = content_of(version);
    cache_put(cache, &key, 1, version, content.words, content.size);
}

static bool is_torn(const struct cache_value *value)
{
    bool torn = value->length != (1 + value->version % 8) * sizeof(uint64_t);
    for (size_t i = 0; i + sizeof(uint64_t) <= value->length; i += sizeof(uint64_t)) {
        torn = torn || memcmp(value->bytes + i, &value->version, sizeof(uint64_t)) != 0;
    }
    return torn;
}

static void *write_versions(void *arg)
{
    struct worker *worker = arg;
    struct world *world = worker->world;
    pthread_barrier_wait(&world->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t random = next_random(&worker->seed);
        uint8_t key = (uint8_t)(random % KEYS);
        uint64_t placeholder = 0;
        bool creates = (random >> 32 & 1) != 0;
        if (cache_pin(world->cache, &key, 1, creates ? &placeholder : NULL, sizeof(placeholder)) !=
            STATUS_OK) {
            abort();
        }
        uint64_t version = atomic_fetch_add(&world->committed[key], 1) + 1;
        if ((random >> 33 & 15) == 0) {
            sched_yield();
        }
        if (creates) {
            const struct content content = content_of(version);
            cache_settle(world->cache, &key, 1, version, content.words, content.size);
        } else {
            put_version(world->cache, key, version);
        }
        raise_to(&world->told[key], version);
        if (!creates) {
            cache_unpin(world->cache, &key, 1);
        }
    }
    atomic_fetch_sub(&world->busy, 1);
    return NULL;
}

/* As GetPanic does it; 0 when there is none. */
static uint64_t read_through(struct world *world, uint8_t key)
{
    char memory[256] __attribute__((aligned(16)));
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory), sizeof(memory));
    struct cache_value value;
    if (cache_get(world->cache, &key, 1, &arena, &value) == STATUS_OK && value.version > 0) {
        atomic_fetch_add(&world->torn, is_torn(&value));
        return value.version;
    }
    if (cache_pin(world->cache, &key, 1, NULL, 0) != STATUS_OK) {
        abort();
    }
    uint64_t version = atomic_load(&world->committed[key]);
    if (version % 8 == 0) {
        sched_yield();
    }
    if (version > 0) {
        put_version(world->cache, key, version);
    }
    cache_unpin(world->cache, &key, 1);
    return version;
}

static void *read_versions(void *arg)
{
    struct worker *worker = arg;
    struct world *world = worker->world;
    uint64_t last[KEYS] = {0};
    pthread_barrier_wait(&world->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t key = (uint8_t)(next_random(&worker->seed) % KEYS);
        uint64_t told = atomic_load(&world->told[key]);
        uint64_t version = read_through(world, key);
        atomic_fetch_add(&world->fell, version < last[key] || version < told);
        last[key] = version;
    }
    atomic_fetch_sub(&world->busy, 1);
    return NULL;
}

/* Washes the others' entries out, by eviction and by time, and watches the bound. */
static void *disturb(void *arg)
{
    struct worker *worker = arg;
    struct world *world = worker->world;
    static const uint8_t bytes[512];
    pthread_barrier_wait(&world->start);
    while (atomic_load(&world->busy) > 0) {
        uint64_t random = next_random(&worker->seed);
        (void)cache_put(world->cache, &random, sizeof(random), 1, bytes, random % sizeof(bytes));
        pass_us((int64_t)(random >> 32 & 7));
        atomic_fetch_add(&world->over_bound, !within_bound(world->cache, BYTES_MAX));
    }
    return NULL;
}

static void test_versions_never_fall_while_writers_and_pins_come_and_go(void **state)
{
    (void)state;
    static struct world world;
    struct cache_config config = {
        .bytes_max = BYTES_MAX,
        .ttl_us = TTL_US,
        .shards = 4,
        .now_us = test_clock_us,
    };
    assert_ok(cache_new(&config, &world.cache));
    struct worker workers[WRITERS + READERS + 1];
    size_t n = sizeof(workers) / sizeof(workers[0]);
    atomic_init(&world.busy, WRITERS + READERS);
    pthread_barrier_init(&world.start, NULL, (unsigned)n);
    for (size_t i = 0; i < n; i++) {
        void *(*act)(void *) = i < WRITERS ? write_versions : i < WRITERS + READERS ? read_versions : disturb;
        workers[i] = (struct worker){.world = &world, .seed = 1000 + i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, act, &workers[i]), 0);
    }
    for (size_t i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&world.start);
    struct cache_stats stats = cache_stats(world.cache);
    cache_free(world.cache);
    assert_int_equal(world.fell, 0);
    assert_int_equal(world.torn, 0);
    assert_int_equal(world.over_bound, 0);
    assert_int_equal(stats.pinned, 0);
    assert_int_equal(stats.pinned_bytes, 0);
    /* Otherwise nothing was at stake. */
    assert_true(stats.evictions > 0);
    assert_true(stats.stale_puts > 0);
    assert_true(stats.hits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_load_agrees_with_the_model_and_keeps_the_bound),
        cmocka_unit_test(test_versions_never_fall_while_writers_and_pins_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
