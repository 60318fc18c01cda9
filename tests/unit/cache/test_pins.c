/* Pins: placeholders, fills, what stays and what goes with the last of them. */
#include "script.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_a_placeholder_is_readable_with_version_zero(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_seen(*state, "a", "v0 processing");
    unpin_placeholder(*state, "a");
}

static void test_a_placeholder_goes_with_the_last_pin(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_a_put_replaces_the_placeholder_and_stays_after_the_pin(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_true(put(*state, "a", 1, "durable"));
    assert_seen(*state, "a", "v1 durable");
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "v1 durable");
}

static void test_a_put_leaves_the_pins_in_place(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_true(put(*state, "a", 1, "durable"));
    assert_int_equal(cache_stats(*state).pinned, 1);
    unpin_placeholder(*state, "a");
    assert_int_equal(cache_stats(*state).pinned, 0);
}

static void test_a_put_of_version_zero_does_not_replace_a_placeholder(void **state)
{
    assert_ok(pin(*state, "a", "first"));
    assert_false(put(*state, "a", 0, "second"));
    assert_seen(*state, "a", "v0 first");
    unpin_placeholder(*state, "a");
}

static void test_the_first_placeholder_stays(void **state)
{
    assert_ok(pin(*state, "a", "first"));
    assert_ok(pin(*state, "a", "second"));
    assert_seen(*state, "a", "v0 first");
    unpin_placeholder(*state, "a");
    unpin_placeholder(*state, "a");
}

static void test_a_placeholder_does_not_replace_content(void **state)
{
    assert_true(put(*state, "a", 3, "three"));
    assert_ok(pin(*state, "a", "processing"));
    assert_seen(*state, "a", "v3 three");
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "v3 three");
}

static void test_an_empty_placeholder_is_content(void **state)
{
    assert_ok(pin(*state, "a", ""));
    assert_seen(*state, "a", "v0 ");
    unpin_placeholder(*state, "a");
}

static void test_a_pin_without_content_counts_as_none(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).misses, 1);
    unpin(*state, "a");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_a_placeholder_fills_a_pin_without_content(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_ok(pin(*state, "a", "processing"));
    assert_seen(*state, "a", "v0 processing");
    unpin(*state, "a");
    assert_seen(*state, "a", "v0 processing");
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "absent");
}

/* Whoever reads meanwhile must not keep alive what the creator gave up. */
static void test_a_placeholder_goes_with_its_last_creation_though_others_hold_the_entry(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "a", NULL));
    assert_ok(pin(*state, "a", "processing"));
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "v0 processing");
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).pinned, 1);
    assert_ok(pin(*state, "a", "again"));
    assert_seen(*state, "a", "v0 again");
    unpin_placeholder(*state, "a");
    unpin(*state, "a");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_a_readers_fill_is_refused_when_a_newer_version_came_meanwhile(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_true(put(*state, "a", 5, "newer"));
    assert_false(put(*state, "a", 4, "what the reader found"));
    unpin(*state, "a");
    assert_seen(*state, "a", "v5 newer");
}

static void test_a_readers_fill_stays_after_its_pin(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_true(put(*state, "a", 4, "what the reader found"));
    unpin(*state, "a");
    assert_seen(*state, "a", "v4 what the reader found");
}

static void test_the_entry_stays_pinned_until_every_pin_is_gone(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "a", NULL));
    unpin(*state, "a");
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "v0 processing");
    assert_int_equal(cache_stats(*state).pinned, 1);
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "absent");
    assert_int_equal(cache_stats(*state).pinned, 0);
}

static void test_pins_of_one_key_hold_no_other(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    assert_ok(pin(*state, "b", "processing"));
    unpin_placeholder(*state, "a");
    assert_seen(*state, "a", "absent");
    assert_seen(*state, "b", "v0 processing");
    unpin_placeholder(*state, "b");
}

static void test_a_pinned_entry_stays_readable_after_its_time(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    assert_ok(pin(*state, "a", NULL));
    pass_us(TTL_US * 10);
    assert_seen(*state, "a", "v1 one");
    unpin(*state, "a");
}

static void test_a_pinned_placeholder_stays_readable_after_its_time(void **state)
{
    assert_ok(pin(*state, "a", "processing"));
    pass_us(TTL_US * 10);
    assert_seen(*state, "a", "v0 processing");
    unpin_placeholder(*state, "a");
}

static void test_an_entry_past_its_time_goes_with_the_last_pin(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US);
    unpin(*state, "a");
    assert_int_equal(cache_stats(*state).entries, 0);
}

static void test_the_time_runs_from_the_put_and_not_from_the_unpin(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US - 1);
    unpin(*state, "a");
    assert_seen(*state, "a", "v1 one");
    pass_us(1);
    assert_seen(*state, "a", "absent");
}

static void test_a_pin_does_not_bring_back_what_is_past_its_time(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    pass_us(TTL_US);
    assert_ok(pin(*state, "a", NULL));
    assert_seen(*state, "a", "absent");
    assert_true(put(*state, "a", 1, "one again"));
    unpin(*state, "a");
    assert_seen(*state, "a", "v1 one again");
}

static void test_while_pinned_an_old_version_cannot_come_back_after_its_time(void **state)
{
    assert_ok(pin(*state, "a", NULL));
    assert_true(put(*state, "a", 5, "five"));
    pass_us(TTL_US * 2);
    assert_false(put(*state, "a", 4, "four"));
    assert_seen(*state, "a", "v5 five");
    unpin(*state, "a");
}

static void test_a_version_too_long_to_keep_is_remembered_while_pinned(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_ok(pin(cache, "a", "processing"));
    assert_false(cache_put(cache, "a", 1, 5, bytes, sizeof(bytes)));
    assert_seen(cache, "a", "absent");
    assert_false(put(cache, "a", 4, "four"));
    assert_seen(cache, "a", "absent");
    assert_ok(pin(cache, "a", "processing"));
    assert_seen(cache, "a", "absent");
    assert_true(put(cache, "a", 6, "six"));
    assert_seen(cache, "a", "v6 six");
    unpin_placeholder(cache, "a");
    unpin_placeholder(cache, "a");
}

static void test_an_entry_emptied_while_pinned_goes_with_the_last_pin(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_ok(pin(cache, "a", NULL));
    assert_true(put(cache, "a", 4, "four"));
    assert_false(cache_put(cache, "a", 1, 5, bytes, sizeof(bytes)));
    unpin(cache, "a");
    assert_int_equal(cache_stats(cache).entries, 0);
    assert_int_equal(cache_stats(cache).bytes, 0);
}

static void test_a_placeholder_that_is_too_long_pins_nothing(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX + 1];
    assert_status(cache_pin(cache, "a", 1, bytes, sizeof(bytes)), STATUS_INVALID_ARGUMENT);
    assert_int_equal(cache_stats(cache).pinned, 0);
}

static void test_stats_count_pinned_bytes_among_all(void **state)
{
    assert_true(put(*state, "a", 1, "one"));
    size_t one = cache_stats(*state).bytes;
    assert_int_equal(cache_stats(*state).pinned_bytes, 0);
    assert_ok(pin(*state, "b", "one"));
    assert_ok(pin(*state, "b", "one"));
    struct cache_stats stats = cache_stats(*state);
    assert_int_equal(stats.bytes, 2 * one);
    assert_int_equal(stats.pinned_bytes, one);
    assert_int_equal(stats.pinned, 1);
    assert_true(put(*state, "b", 1, "one and more"));
    assert_int_equal(cache_stats(*state).pinned_bytes, one + strlen(" and more"));
    unpin_placeholder(*state, "b");
    unpin_placeholder(*state, "b");
    assert_int_equal(cache_stats(*state).pinned_bytes, 0);
}

static void test_outdated_content_is_gone_and_only_newer_comes_in_while_pinned(void **state)
{
    assert_true(put(*state, "a", 3, "old"));
    assert_ok(pin(*state, "a", NULL));
    assert_true(cache_outdate(*state, "a", 1, 3));
    assert_seen(*state, "a", "absent");
    assert_false(cache_outdate(*state, "a", 1, 3));
    assert_false(put(*state, "a", 3, "old again"));
    assert_true(put(*state, "a", 4, "new"));
    assert_seen(*state, "a", "v4 new");
    unpin(*state, "a");
}

static void test_outdating_leaves_what_is_newer(void **state)
{
    assert_true(put(*state, "a", 4, "new"));
    assert_false(cache_outdate(*state, "a", 1, 3));
    assert_seen(*state, "a", "v4 new");
}

static void test_free_takes_what_is_still_pinned(void **state)
{
    (void)state;
    struct cache *cache = make_cache(ROOMY);
    assert_ok(pin(cache, "a", "processing"));
    cache_free(cache);
}

/* Runs in a child of its own: whether it ended by abort(). */
static bool aborts(void (*act)(struct cache *), struct cache *cache)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)close(STDERR_FILENO);
        act(cache);
        _exit(0);
    }
    int end = 0;
    assert_int_equal(waitpid(child, &end, 0), child);
    return WIFSIGNALED(end) && WTERMSIG(end) == SIGABRT;
}

static void unpin_a(struct cache *cache)
{
    unpin(cache, "a");
}

static void test_an_unpin_without_a_pin_stops_the_process(void **state)
{
    assert_true(aborts(unpin_a, *state));
    assert_true(put(*state, "a", 1, "one"));
    assert_true(aborts(unpin_a, *state));
    assert_ok(pin(*state, "a", NULL));
    assert_false(aborts(unpin_a, *state));
    unpin(*state, "a");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, roomy_set_up, roomy_tear_down)
    const struct CMUnitTest tests[] = {
        test(test_a_placeholder_is_readable_with_version_zero),
        test(test_a_placeholder_goes_with_the_last_pin),
        test(test_a_put_replaces_the_placeholder_and_stays_after_the_pin),
        test(test_a_put_leaves_the_pins_in_place),
        test(test_a_put_of_version_zero_does_not_replace_a_placeholder),
        test(test_the_first_placeholder_stays),
        test(test_a_placeholder_does_not_replace_content),
        test(test_an_empty_placeholder_is_content),
        test(test_a_pin_without_content_counts_as_none),
        test(test_a_placeholder_fills_a_pin_without_content),
        test(test_a_readers_fill_is_refused_when_a_newer_version_came_meanwhile),
        test(test_a_readers_fill_stays_after_its_pin),
        test(test_a_placeholder_goes_with_its_last_creation_though_others_hold_the_entry),
        test(test_the_entry_stays_pinned_until_every_pin_is_gone),
        test(test_pins_of_one_key_hold_no_other),
        test(test_a_pinned_entry_stays_readable_after_its_time),
        test(test_a_pinned_placeholder_stays_readable_after_its_time),
        test(test_an_entry_past_its_time_goes_with_the_last_pin),
        test(test_the_time_runs_from_the_put_and_not_from_the_unpin),
        test(test_a_pin_does_not_bring_back_what_is_past_its_time),
        test(test_while_pinned_an_old_version_cannot_come_back_after_its_time),
        test(test_a_version_too_long_to_keep_is_remembered_while_pinned),
        test(test_an_entry_emptied_while_pinned_goes_with_the_last_pin),
        test(test_a_placeholder_that_is_too_long_pins_nothing),
        test(test_stats_count_pinned_bytes_among_all),
        test(test_outdated_content_is_gone_and_only_newer_comes_in_while_pinned),
        test(test_outdating_leaves_what_is_newer),
        test(test_free_takes_what_is_still_pinned),
        test(test_an_unpin_without_a_pin_stops_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
