/* The bound in bytes and what goes to keep it: SIEVE, dropped puts, pinned entries beside the bound. */
#include "script.h"

#include <stdlib.h>

#define FIT 8

/* What one entry with a key and a value of four bytes counts. */
static size_t entry_bytes(void)
{
    struct cache *cache = make_cache(ROOMY);
    assert_true(put(cache, "key0", 1, "text"));
    size_t bytes = cache_stats(cache).bytes;
    cache_free(cache);
    return bytes;
}

/* With room for FIT such entries: the table's own memory is 16 buckets. */
static int set_up(void **state)
{
    *state = make_cache(FIT * entry_bytes() + 16 * sizeof(void *));
    return 0;
}

static int tear_down(void **state)
{
    cache_free(*state);
    return 0;
}

/* "k000" and so on: four bytes like the text. Valid until the next call. */
static const char *numbered(unsigned number)
{
    static char key[8];
    snprintf(key, sizeof(key), "k%03u", number % 1000);
    return key;
}

static bool put_numbered(struct cache *cache, unsigned number)
{
    return put(cache, numbered(number), 1, "text");
}

static bool is_there(struct cache *cache, unsigned number)
{
    return strcmp(seen(cache, numbered(number)), "absent") != 0;
}

static void test_what_fits_is_kept(void **state)
{
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(is_there(*state, i));
    }
    assert_int_equal(cache_stats(*state).evictions, 0);
}

static void test_one_byte_less_holds_one_entry_less(void **state)
{
    (void)state;
    struct cache *cache = make_cache(FIT * entry_bytes() + 16 * sizeof(void *) - 1);
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(cache, i));
    }
    assert_int_equal(cache_stats(cache).entries, FIT - 1);
    cache_free(cache);
}

static void test_the_oldest_unread_entry_goes_first(void **state)
{
    for (unsigned i = 0; i <= FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    assert_int_equal(cache_stats(*state).evictions, 1);
    assert_int_equal(cache_stats(*state).entries, FIT);
    assert_false(is_there(*state, 0));
    assert_true(is_there(*state, 1));
}

static void test_a_read_entry_is_spared_once(void **state)
{
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    assert_true(is_there(*state, 0));
    assert_true(put_numbered(*state, FIT));
    /* The hand took the mark off 0 and evicted 1; it goes on from there, up to the head, and then comes to 0.
     */
    for (unsigned i = 2; i <= FIT; i++) {
        assert_true(put_numbered(*state, FIT + i));
    }
    assert_false(is_there(*state, 1));
    struct cache_stats stats = cache_stats(*state);
    assert_int_equal(stats.evictions, FIT);
    assert_true(is_there(*state, 0));
}

static void test_the_hand_wraps_round_when_everything_was_read(void **state)
{
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(is_there(*state, i));
    }
    assert_true(put_numbered(*state, FIT));
    assert_false(is_there(*state, 0));
    assert_true(is_there(*state, FIT));
}

static void test_an_update_keeps_the_mark(void **state)
{
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    assert_true(is_there(*state, 0));
    assert_true(put(*state, numbered(0), 2, "more"));
    /* Unmarked it would be the eighth to go. */
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(*state, FIT + i));
    }
    assert_seen(*state, numbered(0), "v2 more");
}

/* A queue of FIT numbers, the newest overwriting the oldest: what FIFO would hold. */
struct fifo {
    unsigned slots[FIT];
    unsigned next;
};

static bool fifo_read(struct fifo *fifo, unsigned number)
{
    for (unsigned i = 0; i < FIT; i++) {
        if (fifo->slots[i] == number) {
            return true;
        }
    }
    fifo->slots[fifo->next++ % FIT] = number;
    return false;
}

static bool cache_read(struct cache *cache, unsigned number)
{
    return is_there(cache, number) || (put_numbered(cache, number), false);
}

static void test_a_scan_does_not_wash_out_the_hot_set_as_with_fifo(void **state)
{
    enum { HOT = 4, SCAN = 400 };
    struct fifo fifo;
    memset(&fifo, 0xFF, sizeof(fifo));
    unsigned sieve_misses = 0;
    unsigned fifo_misses = 0;
    for (unsigned i = 0; i < SCAN; i++) {
        unsigned hot = i % HOT;
        sieve_misses += !cache_read(*state, hot);
        fifo_misses += !fifo_read(&fifo, hot);
        /* Read once, never again. */
        (void)cache_read(*state, 100 + i);
        (void)fifo_read(&fifo, 100 + i);
    }
    /* A hot one is new once; the first round passes before the hand has moved at all. */
    assert_int_equal(sieve_misses, HOT);
    assert_true(fifo_misses > SCAN / 4);
}

static void test_a_put_larger_than_the_bound_is_dropped_and_evicts_nothing(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    assert_true(put_numbered(cache, 0));
    assert_false(cache_put(cache, "big", 3, 1, bytes, sizeof(bytes)));
    assert_seen(cache, "big", "absent");
    assert_true(is_there(cache, 0));
    assert_int_equal(cache_stats(cache).evictions, 0);
}

static void test_a_dropped_put_takes_the_older_content_away(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    assert_true(put(cache, "a", 1, "one"));
    assert_false(cache_put(cache, "a", 1, 2, bytes, sizeof(bytes)));
    assert_seen(cache, "a", "absent");
    assert_int_equal(cache_stats(cache).bytes, 0);
}

static void test_one_large_entry_evicts_as_many_as_it_needs(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(cache, i));
    }
    assert_true(cache_put(cache, "big0", 4, 1, bytes, 4 + 2 * entry_bytes()));
    assert_int_equal(cache_stats(cache).evictions, 3);
    assert_int_equal(cache_stats(cache).entries, FIT - 2);
}

static void test_pinned_entries_are_not_evicted(void **state)
{
    assert_ok(pin(*state, "hold", "processing"));
    assert_true(put_numbered(*state, 0));
    assert_ok(pin(*state, numbered(0), NULL));
    for (unsigned i = 1; i < 10 * FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    assert_seen(*state, "hold", "v0 processing");
    assert_true(is_there(*state, 0));
    unpin_placeholder(*state, "hold");
    unpin(*state, numbered(0));
}

static void test_pinned_entries_take_no_room_from_others(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    assert_ok(cache_pin(cache, "big", 3, bytes, sizeof(bytes)));
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(cache, i));
    }
    assert_int_equal(cache_stats(cache).entries, FIT + 1);
    assert_int_equal(cache_stats(cache).evictions, 0);
    cache_unpin_placeholder(cache, "big", 3);
}

static void test_a_put_to_a_pinned_key_never_fails_for_the_bound(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(put_numbered(cache, i));
    }
    assert_ok(pin(cache, "big", NULL));
    assert_true(cache_put(cache, "big", 3, 1, bytes, sizeof(bytes)));
    assert_string_not_equal(seen(cache, "big"), "absent");
    assert_int_equal(cache_stats(cache).evictions, 0);
    cache_unpin(cache, "big", 3);
}

static void test_an_entry_too_large_goes_with_its_last_pin_alone(void **state)
{
    struct cache *cache = *state;
    static uint8_t bytes[CACHE_VALUE_MAX];
    assert_true(put_numbered(cache, 0));
    assert_ok(pin(cache, "big", NULL));
    assert_true(cache_put(cache, "big", 3, 1, bytes, sizeof(bytes)));
    unpin(cache, "big");
    assert_seen(cache, "big", "absent");
    assert_true(is_there(cache, 0));
    assert_int_equal(cache_stats(cache).evictions, 1);
    assert_int_equal(cache_stats(cache).pinned_bytes, 0);
}

static void test_the_last_unpin_evicts_others_to_keep_the_bound(void **state)
{
    assert_ok(pin(*state, numbered(0), NULL));
    assert_true(put_numbered(*state, 0));
    for (unsigned i = 1; i <= FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    assert_int_equal(cache_stats(*state).evictions, 0);
    unpin(*state, numbered(0));
    assert_int_equal(cache_stats(*state).evictions, 1);
    assert_true(is_there(*state, 0));
    assert_false(is_there(*state, 1));
}

static void test_a_pin_moves_the_hand_on(void **state)
{
    for (unsigned i = 0; i <= FIT; i++) {
        assert_true(put_numbered(*state, i));
    }
    /* The hand now stands before 1, which leaves the list. */
    assert_ok(pin(*state, numbered(1), NULL));
    assert_true(put_numbered(*state, FIT + 1));
    assert_true(put_numbered(*state, FIT + 2));
    assert_true(is_there(*state, 1));
    assert_false(is_there(*state, 2));
    unpin(*state, numbered(1));
}

static void test_with_no_bytes_only_what_is_pinned_is_kept(void **state)
{
    (void)state;
    struct cache *cache = make_cache(0);
    assert_false(put(cache, "a", 1, "one"));
    assert_ok(pin(cache, "a", "processing"));
    assert_true(put(cache, "a", 1, "one"));
    assert_seen(cache, "a", "v1 one");
    unpin_placeholder(cache, "a");
    assert_seen(cache, "a", "absent");
    cache_free(cache);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_what_fits_is_kept),
        test(test_one_byte_less_holds_one_entry_less),
        test(test_the_oldest_unread_entry_goes_first),
        test(test_a_read_entry_is_spared_once),
        test(test_the_hand_wraps_round_when_everything_was_read),
        test(test_an_update_keeps_the_mark),
        test(test_a_scan_does_not_wash_out_the_hot_set_as_with_fifo),
        test(test_a_put_larger_than_the_bound_is_dropped_and_evicts_nothing),
        test(test_a_dropped_put_takes_the_older_content_away),
        test(test_one_large_entry_evicts_as_many_as_it_needs),
        test(test_pinned_entries_are_not_evicted),
        test(test_pinned_entries_take_no_room_from_others),
        test(test_a_put_to_a_pinned_key_never_fails_for_the_bound),
        test(test_an_entry_too_large_goes_with_its_last_pin_alone),
        test(test_the_last_unpin_evicts_others_to_keep_the_bound),
        test(test_a_pin_moves_the_hand_on),
        test(test_with_no_bytes_only_what_is_pinned_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
