/* Puts, gets, versions and the time to live: everything but pins and the bound. */
#include "script.h"

#include <stdlib.h>

static void test_new_refuses_shards_that_are_no_power_of_two(void **state)
{
    (void)state;
    static const unsigned wrong[] = {0, 3, 255, 257, 512, 0x80000000U};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct cache *cache = NULL;
        struct cache_config config = {.bytes_max = ROOMY, .ttl_us = 1, .shards = wrong[i]};
        assert_status(cache_new(&config, &cache), STATUS_INVALID_ARGUMENT);
        assert_null(cache);
    }
}

static void test_new_refuses_a_time_to_live_that_is_not_positive(void **state)
{
    (void)state;
    struct cache *cache = NULL;
    struct cache_config config = {.bytes_max = ROOMY, .ttl_us = 0, .shards = 1};
    assert_status(cache_new(&config, &cache), STATUS_INVALID_ARGUMENT);
    config.ttl_us = -1;
    assert_status(cache_new(&config, &cache), STATUS_INVALID_ARGUMENT);
    assert_null(cache);
}

static void test_without_a_clock_of_its_own_the_cache_takes_the_monotonic_one(void **state)
{
    (void)state;
    struct cache *cache = NULL;
    struct cache_config config = {.bytes_max = ROOMY, .ttl_us = INT64_MAX, .shards = 256};
    assert_ok(cache_new(&config, &cache));
    assert_true(put(cache, "a", 1, "one"));
    assert_seen(cache, "a", "v1 one");
    cache_free(cache);
}

static void test_free_takes_null(void **state)
{
    (void)state;
    cache_free(NULL);
}

static void test_get_of_an_unknown_key_is_not_found(void **state)
{
    assert_seen(*state, "a", "absent");
}

static void test_get_finds_what_was_put(void **state)
{
    assert_true(put(*state, "a", 7, "seven"));
    assert_seen(*state, "a", "v7 seven");
}

static void test_get_tells_keys_apart_that_share_a_beginning(void **state)
{
    assert_true(put(*state, "a", 1, "bc"));
    assert_true(put(*state, "ab", 2, "c"));
    assert_true(put(*state, "", 3, "abc"));
    assert_seen(*state, "a", "v1 bc");
    assert_seen(*state, "ab", "v2 c");
    assert_seen(*state, "", "v3 abc");
    assert_seen(*state, "abc", "absent");
}

static void test_keys_may_hold_any_bytes(void **state)
{
    struct cache *cache = *state;
    assert_true(cache_put(cache, "k\0x", 3, 1, "x", 1));
    assert_true(cache_put(cache, "k\0y", 3, 2, "y", 1));
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024);
    struct cache_value value;
    assert_ok(cache_get(cache, "k\0x", 3, &arena, &value));
    assert_int_equal(value.version, 1);
    assert_ok(cache_get(cache, "k\0y", 3, &arena, &value));
    assert_int_equal(value.version, 2);
    arena_reset(&arena);
}

static void test_the_value_is_a_copy_that_outlives_the_entry(void **state)
{
    struct cache *cache = *state;
    char text[] = "mine";
    assert_true(put(cache, "a", 1, text));
    text[0] = 'X';
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024);
    struct cache_value value;
    assert_ok(cache_get(cache, "a", 1, &arena, &value));
    assert_true(put(cache, "a", 2, "other"));
    assert_int_equal(value.length, 4);
    assert_memory_equal(value.bytes, "mine", 4);
    arena_reset(&arena);
}

static void test_an_empty_value_is_content(void **state)
{
    assert_true(put(*state, "a", 1, ""));
    assert_seen(*state, "a", "v1 ");
}

static void test_get_with_a_full_arena_says_so_and_writes_nothing(void **state)
{
    struct cache *cache = *state;
    assert_true(put(cache, "a", 1, "more than three bytes"));
    struct arena arena;
    arena_init(&arena, NULL, 0, 3);
    struct cache_value value = {.version = 99};
    assert_status(cache_get(cache, "a", 1, &arena, &value), STATUS_RESOURCE_EXHAUSTED);
    assert_int_equal(value.version, 99);
    arena_reset(&arena);
}

static void test_a_greater_version_takes_effect(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    assert_true(put(*state, "a", 2, "a longer two"));
    assert_seen(*state, "a", "v2 a longer two");
    assert_int_equal(cache_stats(*state).entries, 1);
}

static void test_a_smaller_version_is_refused(void **state)
{
    assert_true(put(*state, "a", UINT64_MAX, "last"));
    assert_false(put(*state, "a", UINT64_MAX - 1, "late"));
    assert_seen(*state, "a", "v18446744073709551615 last");
    assert_int_equal(cache_stats(*state).stale_puts, 1);
}

static void test_the_same_version_is_refused(void **state)
{
    assert_true(put(*state, "a", 2, "first"));
    assert_false(put(*state, "a", 2, "again"));
    assert_seen(*state, "a", "v2 first");
    assert_int_equal(cache_stats(*state).stale_puts, 1);
}

static void test_a_put_of_version_zero_is_refused(void **state)
{
    assert_false(put(*state, "a", 0, "placeholder"));
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).stale_puts, 1);
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_the_longest_key_and_value_fit(void **state)
{
    struct cache *cache = *state;
    static uint8_t key[CACHE_KEY_MAX];
    static uint8_t bytes[CACHE_VALUE_MAX];
    memset(key, 'k', sizeof(key));
    memset(bytes, 'v', sizeof(bytes));
    assert_true(cache_put(cache, key, sizeof(key), 1, bytes, sizeof(bytes)));
    struct arena arena;
    arena_init(&arena, NULL, 0, 2 * CACHE_VALUE_MAX);
    struct cache_value value;
    assert_ok(cache_get(cache, key, sizeof(key), &arena, &value));
    assert_int_equal(value.length, sizeof(bytes));
    assert_memory_equal(value.bytes, bytes, sizeof(bytes));
    arena_reset(&arena);
}

static void test_a_key_that_is_too_long_is_never_there(void **state)
{
    struct cache *cache = *state;
    /* Longer by 256 than a key that is there: a length of one byte must not confuse them. */
    static char key[CACHE_KEY_MAX + 257];
    memset(key, 'k', sizeof(key));
    assert_true(cache_put(cache, key, CACHE_KEY_MAX, 1, "short", 5));
    assert_false(cache_put(cache, key, CACHE_KEY_MAX + 1, 1, "long", 4));
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024);
    struct cache_value value;
    assert_status(cache_get(cache, key, CACHE_KEY_MAX + 1, &arena, &value), STATUS_NOT_FOUND);
    assert_status(cache_get(cache, key, CACHE_KEY_MAX + 256, &arena, &value), STATUS_NOT_FOUND);
    assert_status(cache_pin(cache, key, CACHE_KEY_MAX + 1, NULL, 0), STATUS_INVALID_ARGUMENT);
    arena_reset(&arena);
}

static void test_a_newer_value_that_is_too_long_takes_the_older_one_away(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_true(put(cache, "a", 1, "one"));
    assert_false(cache_put(cache, "a", 1, 2, bytes, sizeof(bytes)));
    assert_seen(cache, "a", "absent");
}

static void test_an_older_value_that_is_too_long_changes_nothing(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_true(put(cache, "a", 2, "two"));
    assert_false(cache_put(cache, "a", 1, 2, bytes, sizeof(bytes)));
    assert_seen(cache, "a", "v2 two");
}

static void test_an_entry_is_readable_until_its_time_is_over(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US - 1);
    assert_seen(*state, "a", "v1 one");
    pass_us(1);
    assert_seen(*state, "a", "absent");
}

static void test_a_read_does_not_prolong_the_time(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US / 2);
    assert_seen(*state, "a", "v1 one");
    pass_us(TTL_US / 2);
    assert_seen(*state, "a", "absent");
}

static void test_a_newer_put_begins_the_time_anew(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US - 1);
    assert_true(put(*state, "a", 2, "two"));
    pass_us(TTL_US - 1);
    assert_seen(*state, "a", "v2 two");
}

static void test_a_refused_put_does_not_prolong_the_time(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US - 1);
    assert_false(put(*state, "a", 1, "one"));
    pass_us(1);
    assert_seen(*state, "a", "absent");
}

static void test_after_its_time_a_version_is_forgotten(void **state)
{
    assert_true(put(*state, "a", 5, "five"));
    pass_us(TTL_US);
    assert_true(put(*state, "a", 4, "four"));
    assert_seen(*state, "a", "v4 four");
}

static void test_the_end_of_an_entrys_time_is_no_eviction(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US);
    assert_seen(*state, "a", "absent");
    struct cache_stats stats = cache_stats(*state);
    assert_int_equal(stats.evictions, 0);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 0);
}

static void test_stats_count_hits_and_misses(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    (void)seen(*state, "a");
    (void)seen(*state, "a");
    (void)seen(*state, "b");
    struct cache_stats stats = cache_stats(*state);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses, 1);
}

static void test_stats_bytes_follow_the_size_of_the_value(void **state)
{
    assert_true(put(*state, "a", 1, "12345"));
    size_t before = cache_stats(*state).bytes;
    assert_true(before > strlen("a") + strlen("12345"));
    assert_true(put(*state, "a", 2, "12345678"));
    assert_int_equal(cache_stats(*state).bytes, before + 3);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, roomy_set_up, roomy_tear_down)
    const struct CMUnitTest tests[] = {
        test(test_new_refuses_shards_that_are_no_power_of_two),
        test(test_new_refuses_a_time_to_live_that_is_not_positive),
        test(test_without_a_clock_of_its_own_the_cache_takes_the_monotonic_one),
        test(test_free_takes_null),
        test(test_get_of_an_unknown_key_is_not_found),
        test(test_get_finds_what_was_put),
        test(test_get_tells_keys_apart_that_share_a_beginning),
        test(test_keys_may_hold_any_bytes),
        test(test_the_value_is_a_copy_that_outlives_the_entry),
        test(test_an_empty_value_is_content),
        test(test_get_with_a_full_arena_says_so_and_writes_nothing),
        test(test_a_greater_version_takes_effect),
        test(test_a_smaller_version_is_refused),
        test(test_the_same_version_is_refused),
        test(test_a_put_of_version_zero_is_refused),
        test(test_the_longest_key_and_value_fit),
        test(test_a_key_that_is_too_long_is_never_there),
        test(test_a_newer_value_that_is_too_long_takes_the_older_one_away),
        test(test_an_older_value_that_is_too_long_changes_nothing),
        test(test_an_entry_is_readable_until_its_time_is_over),
        test(test_a_read_does_not_prolong_the_time),
        test(test_a_newer_put_begins_the_time_anew),
        test(test_a_refused_put_does_not_prolong_the_time),
        test(test_after_its_time_a_version_is_forgotten),
        test(test_the_end_of_an_entrys_time_is_no_eviction),
        test(test_stats_count_hits_and_misses),
        test(test_stats_bytes_follow_the_size_of_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
