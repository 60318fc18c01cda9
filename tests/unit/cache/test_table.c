/* The table below the cache, for what a cache with a secret hash cannot be made to do: keys that collide. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "cache/table.h"

#define ROOMY (1U << 20)

static struct cache_key make_key(const char *text, uint64_t hash)
{
    return (struct cache_key){.bytes = text, .length = strlen(text), .hash = hash};
}

static struct entry *add(struct table *table, const struct cache_key *key)
{
    struct entry *entry = entry_new(key, "value", 5);
    assert_non_null(entry);
    assert_true(table_add(table, entry));
    return entry;
}

static int set_up(void **state)
{
    static struct table table;
    assert_ok(table_init(&table, ROOMY));
    *state = &table;
    return 0;
}

static int tear_down(void **state)
{
    table_release(*state);
    return 0;
}

static void test_keys_of_one_hash_are_told_apart(void **state)
{
    struct cache_key a = make_key("a", 42);
    struct cache_key b = make_key("b", 42);
    struct cache_key ab = make_key("ab", 42);
    struct entry *entry_a = add(*state, &a);
    assert_null(table_find(*state, &b));
    assert_null(table_find(*state, &ab));
    struct entry *entry_ab = add(*state, &ab);
    assert_ptr_equal(table_find(*state, &a), entry_a);
    assert_ptr_equal(table_find(*state, &ab), entry_ab);
}

static void test_a_chain_holds_when_its_middle_goes(void **state)
{
    struct cache_key keys[] = {make_key("a", 7), make_key("b", 7), make_key("c", 7)};
    struct entry *entries[3];
    for (size_t i = 0; i < 3; i++) {
        entries[i] = add(*state, &keys[i]);
    }
    table_remove(*state, entries[1]);
    assert_ptr_equal(table_find(*state, &keys[0]), entries[0]);
    assert_null(table_find(*state, &keys[1]));
    assert_ptr_equal(table_find(*state, &keys[2]), entries[2]);
}

static void test_hashes_that_differ_above_the_bucket_are_told_apart(void **state)
{
    struct cache_key low = make_key("a", 1);
    struct cache_key high = make_key("a", 1 | 1ULL << 63);
    (void)add(*state, &low);
    assert_null(table_find(*state, &high));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_keys_of_one_hash_are_told_apart),
        test(test_a_chain_holds_when_its_middle_goes),
        test(test_hashes_that_differ_above_the_bucket_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
