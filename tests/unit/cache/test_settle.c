/* The end of a creation: its content comes in, and its pin goes, in one step. */
#include "script.h"

static void test_content_as_long_as_the_placeholder_takes_its_place(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    size_t bytes = cache_stats(*state).bytes;
    settle(*state, "a", 1, "is durable");
    assert_seen(*state, "a", "v1 is durable");
    assert_int_equal(cache_stats(*state).entries, 1);
    assert_int_equal(cache_stats(*state).bytes, bytes);
}

static void test_longer_content_takes_its_place(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    size_t bytes = cache_stats(*state).bytes;
    settle(*state, "a", 1, "is durable by now");
    assert_seen(*state, "a", "v1 is durable by now");
    assert_int_equal(cache_stats(*state).entries, 1);
    assert_int_equal(cache_stats(*state).bytes, bytes + strlen("is durable by now") - strlen("processing"));
}

static void test_the_pin_goes_and_others_stay(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "a", "processing"));
    settle(*state, "a", 1, "is durable");
    assert_int_equal(cache_stats(*state).pinned, 1);
    settle(*state, "a", 1, "is durable");
    assert_int_equal(cache_stats(*state).pinned, 0);
    assert_seen(*state, "a", "v1 is durable");
}

static void test_content_of_other_length_keeps_the_other_pins(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "a", NULL));
    settle(*state, "a", 1, "durable");
    assert_int_equal(cache_stats(*state).pinned, 1);
    unpin(*state, "a");
    assert_int_equal(cache_stats(*state).pinned, 0);
    assert_seen(*state, "a", "v1 durable");
}

static void test_an_older_version_ends_the_creation_and_changes_nothing(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_true(put(*state, "a", 2, "dispatched"));
    settle(*state, "a", 1, "is durable");
    assert_seen(*state, "a", "v2 dispatched");
    assert_int_equal(cache_stats(*state).pinned, 0);
    assert_int_equal(cache_stats(*state).stale_puts, 1);
}

static void test_content_comes_in_where_a_version_alone_was_remembered(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_true(cache_outdate(*state, "a", 1, 1));
    assert_seen(*state, "a", "absent");
    settle(*state, "a", 2, "is durable");
    assert_seen(*state, "a", "v2 is durable");
}

static void test_content_too_long_to_keep_leaves_nothing(void **state)
{
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_ok(pin(*state, "a", "processing"));
    cache_settle(*state, "a", 1, 1, bytes, sizeof(bytes));
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_the_time_runs_from_the_settlement(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    pass_us(TTL_US);
    settle(*state, "a", 1, "is durable");
    pass_us(TTL_US - 1);
    assert_seen(*state, "a", "v1 is durable");
    pass_us(1);
    assert_seen(*state, "a", "absent");
}

static void test_what_is_settled_may_be_evicted(void **state)
{
    struct cache *cache = make_cache(0);
    (void)state;
    assert_ok(pin(cache, "a", "processing"));
    settle(cache, "a", 1, "is durable");
    assert_seen(cache, "a", "absent");
    assert_int_equal(cache_stats(cache).entries, 0);
    cache_free(cache);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, roomy_set_up, roomy_tear_down)
    const struct CMUnitTest tests[] = {
        test(test_content_as_long_as_the_placeholder_takes_its_place),
        test(test_longer_content_takes_its_place),
        test(test_the_pin_goes_and_others_stay),
        test(test_content_of_other_length_keeps_the_other_pins),
        test(test_an_older_version_ends_the_creation_and_changes_nothing),
        test(test_content_comes_in_where_a_version_alone_was_remembered),
        test(test_content_too_long_to_keep_leaves_nothing),
        test(test_the_time_runs_from_the_settlement),
        test(test_what_is_settled_may_be_evicted),
    };
    return cmocka_run_group_tests_name("cache: settle", tests, NULL, NULL);
}
