/* The cache when memory is short: each allocation fails in turn (the linker wraps malloc and its like). */
#include "script.h"

#include <limits.h>
#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

/* How many allocations succeed before the rest fail. */
static unsigned allowed = UINT_MAX;

static bool is_allowed(void)
{
    return allowed == UINT_MAX || (allowed > 0 && allowed-- > 0);
}

void *__wrap_malloc(size_t size)
{
    return is_allowed() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_allowed() ? __real_calloc(n, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_allowed() ? __real_aligned_alloc(alignment, size) : NULL;
}

static int tear_down(void **state)
{
    allowed = UINT_MAX;
    return roomy_tear_down(state);
}

static bool put_without_memory(struct cache *cache, const char *key, uint64_t version)
{
    allowed = 0;
    bool added = put(cache, key, version, "text");
    allowed = UINT_MAX;
    return added;
}

static void test_new_fails_cleanly_at_each_allocation(void **state)
{
    (void)state;
    struct cache_config config = {.bytes_max = ROOMY, .ttl_us = TTL_US, .shards = 4};
    /* The cache, its shards, and a table for each of the four. */
    for (unsigned i = 0; i < 6; i++) {
        struct cache *cache = NULL;
        allowed = i;
        enum status status = cache_new(&config, &cache);
        allowed = UINT_MAX;
        assert_status(status, STATUS_RESOURCE_EXHAUSTED);
        assert_null(cache);
    }
    struct cache *cache = NULL;
    allowed = 6;
    enum status status = cache_new(&config, &cache);
    allowed = UINT_MAX;
    assert_ok(status);
    cache_free(cache);
}

static void test_a_pin_without_memory_pins_nothing(void **state)
{
    allowed = 0;
    enum status status = pin(*state, "a", "processing");
    allowed = UINT_MAX;
    assert_status(status, STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(cache_stats(*state).pinned, 0);
    assert_seen(*state, "a", "absent");
}

static void test_a_put_without_memory_leaves_an_unknown_key_absent(void **state)
{
    assert_false(put_without_memory(*state, "a", 1));
    assert_seen(*state, "a", "absent");
}

static void test_a_newer_put_without_memory_takes_the_older_content_away(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    assert_false(put_without_memory(*state, "a", 2));
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).bytes, 0);
}

static void test_an_older_put_without_memory_changes_nothing(void **state)
{
    assert_true(put(*state, "a", 2, "two"));
    assert_false(put_without_memory(*state, "a", 1));
    assert_seen(*state, "a", "v2 two");
}

static void test_a_version_without_memory_is_remembered_while_pinned(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_false(put_without_memory(*state, "a", 5));
    assert_seen(*state, "a", "absent");
    assert_false(put(*state, "a", 4, "four"));
    assert_seen(*state, "a", "absent");
    unpin_placeholder(*state, "a");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void settle_without_memory(struct cache *cache, const char *key, uint64_t version, const char *text)
{
    allowed = 0;
    settle(cache, key, version, text);
    allowed = UINT_MAX;
}

static void test_a_settlement_as_long_as_its_placeholder_needs_no_memory(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    settle_without_memory(*state, "a", 1, "is durable");
    assert_seen(*state, "a", "v1 is durable");
}

static void test_a_longer_settlement_without_memory_leaves_nothing(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    settle_without_memory(*state, "a", 1, "has become durable");
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).bytes, 0);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, roomy_set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_new_fails_cleanly_at_each_allocation),
        test(test_a_pin_without_memory_pins_nothing),
        test(test_a_put_without_memory_leaves_an_unknown_key_absent),
        test(test_a_newer_put_without_memory_takes_the_older_content_away),
        test(test_an_older_put_without_memory_changes_nothing),
        test(test_a_version_without_memory_is_remembered_while_pinned),
        test(test_a_settlement_as_long_as_its_placeholder_needs_no_memory),
        test(test_a_longer_settlement_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
