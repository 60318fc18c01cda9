/* Lists in pages: order, where a page ends, and how far a search goes. */
#include "conformance.h"
#include "fixture.h"

static void test_list_pages_in_order_of_ids(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 10);
    struct store_panic page[4];
    const struct id *from = NULL;
    unsigned seen = 0;
    size_t n;
    struct id last;
    bool more;
    do {
        assert_ok(store_list(fixture->store, "acme", from, 0, 4, &fixture->arena, page, &n, &last, &more));
        for (size_t i = 0; i < n; i++) {
            struct store_panic expected = panic_of(++seen);
            assert_panic_equal(&page[i], &expected);
        }
        from = &last;
    } while (more);
    assert_int_equal(seen, 10);
}

static void test_a_page_that_ends_with_the_last_panic_says_so(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 4);
    struct store_panic page[5];
    struct id last;
    size_t n;
    bool more;
    for (size_t max = 1; max <= 5; max++) {
        assert_ok(store_list(fixture->store, "acme", NULL, 0, max, &fixture->arena, page, &n, &last, &more));
        assert_int_equal(n, max < 4 ? max : 4);
        assert_true(id_equal(&last, &page[n - 1].id));
        assert_int_equal(more, max < 4);
    }
    struct id fourth = id_of(4);
    assert_ok(store_list(fixture->store, "acme", &fourth, 0, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 0);
    assert_false(more);
}

/* Creates panics 1 to n in batches as large as may be. */
static void create_very_many(struct fixture *fixture, unsigned n)
{
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned first = 1; first <= n; first += STORE_BATCH_MAX) {
        unsigned size = n - first + 1 < STORE_BATCH_MAX ? n - first + 1 : STORE_BATCH_MAX;
        for (unsigned i = 0; i < size; i++) {
            panics[i] = panic_of(first + i);
            ops[i] = create_op(fixture, &panics[i]);
        }
        assert_ok(store_apply(fixture->store, ops, size));
    }
}

static void test_a_rare_status_is_looked_for_in_so_many_rows_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    const unsigned total = 2 * STORE_SCAN_MAX + 1;
    create_very_many(fixture, total);
    struct store_panic rare = panic_of(total);
    rare = bound_next(&rare, NULL);
    rare.status = 3;
    assert_status(update(fixture, &rare), STATUS_OK);

    struct store_panic page[5];
    struct id last;
    size_t n;
    bool more;
    assert_ok(store_list(fixture->store, "acme", NULL, 3, 5, &fixture->arena, page, &n, &last, &more));
    struct id expected = id_of(STORE_SCAN_MAX);
    assert_int_equal(n, 0);
    assert_true(more);
    assert_true(id_equal(&last, &expected));
    struct id after = last;
    assert_ok(store_list(fixture->store, "acme", &after, 3, 5, &fixture->arena, page, &n, &last, &more));
    expected = id_of(2 * STORE_SCAN_MAX);
    assert_int_equal(n, 0);
    assert_true(more);
    assert_true(id_equal(&last, &expected));
    after = last;
    assert_ok(store_list(fixture->store, "acme", &after, 3, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 1);
    assert_panic_equal(&page[0], &rare);
    assert_false(more);
}

/* As many rows as may be looked at, and none behind them. */
static void test_a_search_that_ends_with_the_tenant_says_so(void **state)
{
    struct fixture *fixture = *state;
    create_very_many(fixture, STORE_SCAN_MAX);
    struct store_panic foreign = panic_of(STORE_SCAN_MAX + 1);
    foreign.tenant = "acme2";
    assert_status(create(fixture, &foreign), STATUS_OK);
    struct store_panic page[5];
    struct id last;
    size_t n;
    bool more;
    assert_ok(store_list(fixture->store, "acme", NULL, 3, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 0);
    assert_false(more);
}

static void test_list_filters_by_status(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 5);
    struct store_panic second = panic_of(2);
    second = bound_next(&second, NULL);
    second.status = 3;
    assert_status(update(fixture, &second), STATUS_OK);
    struct store_panic page[5];
    size_t n;
    struct id last;
    bool more;
    assert_ok(store_list(fixture->store, "acme", NULL, 3, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 1);
    assert_true(id_equal(&page[0].id, &second.id));
    assert_ok(store_list(fixture->store, "acme", NULL, 1, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 4);
    assert_ok(store_list(fixture->store, "acme", NULL, 2, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 0);
}

static void test_lists_hold_nothing_of_other_tenants(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 2);
    struct store_panic foreign = panic_of(3);
    foreign.tenant = "acme2";
    assert_status(create(fixture, &foreign), STATUS_OK);
    struct store_responder responder = responder_of("unit-1");
    responder.tenant = "acme2";
    assert_status(put(fixture, &responder), STATUS_OK);

    struct store_panic page[5];
    size_t n;
    struct id last;
    bool more;
    assert_ok(store_list(fixture->store, "acme", NULL, 0, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 2);
    assert_ok(store_list(fixture->store, "acme2", NULL, 0, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 1);
    assert_ok(store_list(fixture->store, "acm", NULL, 0, 5, &fixture->arena, page, &n, &last, &more));
    assert_int_equal(n, 0);
    struct store_responder responders[2];
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 2, &fixture->arena, responders, &n, &more));
    assert_int_equal(n, 0);
    assert_ok(
        store_list_responders(fixture->store, "acme2", NULL, 2, &fixture->arena, responders, &n, &more));
    assert_int_equal(n, 1);
    assert_string_equal(responders[0].tenant, "acme2");
}

static void test_list_with_nearly_full_arena_is_shorter_but_not_empty(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 10);
    struct arena small;
    arena_init(&small, NULL, 0, 100);
    struct store_panic page[10];
    size_t n;
    struct id last;
    bool more;
    assert_ok(store_list(fixture->store, "acme", NULL, 0, 10, &small, page, &n, &last, &more));
    assert_in_range(n, 1, 9);
    struct store_panic first = panic_of(1);
    assert_panic_equal(&page[0], &first);
    assert_true(id_equal(&last, &page[n - 1].id));
    assert_true(more);
    arena_reset(&small);
}

static void test_reads_with_full_arena_are_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 1);
    struct store_responder responder = responder_of("unit-1");
    assert_status(put(fixture, &responder), STATUS_OK);
    struct arena full;
    arena_init(&full, NULL, 0, 7);
    struct store_panic page[1];
    struct store_responder responders[1];
    size_t n;
    struct id last;
    bool more;
    struct id id = id_of(1);
    assert_status(store_get(fixture->store, "acme", &id, &full, page), STATUS_RESOURCE_EXHAUSTED);
    arena_reset(&full);
    assert_status(store_list(fixture->store, "acme", NULL, 0, 1, &full, page, &n, &last, &more),
                  STATUS_RESOURCE_EXHAUSTED);
    arena_reset(&full);
    assert_status(store_list_responders(fixture->store, "acme", NULL, 1, &full, responders, &n, &more),
                  STATUS_RESOURCE_EXHAUSTED);
    arena_reset(&full);
}

static void test_reads_out_of_bounds_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic page[1];
    size_t n;
    struct id last;
    bool more;
    struct id id = id_of(1);
    assert_status(store_get(fixture->store, "", &id, &fixture->arena, page), STATUS_INVALID_ARGUMENT);
    assert_status(store_get(fixture->store, NULL, &id, &fixture->arena, page), STATUS_INVALID_ARGUMENT);
    assert_status(store_list(fixture->store, "acme", NULL, 0, 0, &fixture->arena, page, &n, &last, &more),
                  STATUS_INVALID_ARGUMENT);
    struct store_key key;
    assert_status(store_waiting(fixture->store, 0, 1, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_waiting(fixture->store, STORE_QUEUES + 1, 1, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_waiting(fixture->store, 1, 0, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_waiting(fixture->store, 1, STORE_BATCH_MAX + 1, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_due(fixture->store, 1, 2, 0, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_open_from(fixture->store, 1, 0, 0, &key, &n), STATUS_INVALID_ARGUMENT);
    assert_status(store_list(fixture->store, "acme", NULL, 0, STORE_PAGE_MAX + 1, &fixture->arena, page, &n,
                             &last, &more),
                  STATUS_INVALID_ARGUMENT);
}

static void test_responders_page_in_byte_order_with_what_binds_them(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"b", "B", "a\xff", "a"};
    for (size_t i = 0; i < 4; i++) {
        struct store_responder responder = responder_of(ids[i]);
        assert_status(put(fixture, &responder), STATUS_OK);
    }
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    panic = bound_next(&panic, "a");
    assert_status(update(fixture, &panic), STATUS_OK);

    struct store_responder page[3];
    size_t n;
    bool more;
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 3, &fixture->arena, page, &n, &more));
    assert_int_equal(n, 3);
    assert_string_equal(page[0].id, "B");
    assert_string_equal(page[1].id, "a");
    assert_string_equal(page[2].id, "a\xff");
    assert_true(more);
    assert_true(id_is_nil(&page[0].panic_id));
    assert_true(id_equal(&page[1].panic_id, &panic.id));
    assert_ok(store_list_responders(fixture->store, "acme", "a\xff", 3, &fixture->arena, page, &n, &more));
    assert_int_equal(n, 1);
    assert_string_equal(page[0].id, "b");
    assert_false(more);
    assert_ok(store_list_responders(fixture->store, "acme", "a", 2, &fixture->arena, page, &n, &more));
    assert_int_equal(n, 2);
    assert_false(more);
}

int run_list_conformance(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_STORE(test_list_pages_in_order_of_ids),
        FOR_EACH_STORE(test_a_page_that_ends_with_the_last_panic_says_so),
        FOR_EACH_STORE(test_a_rare_status_is_looked_for_in_so_many_rows_at_a_time),
        FOR_EACH_STORE(test_a_search_that_ends_with_the_tenant_says_so),
        FOR_EACH_STORE(test_list_filters_by_status),
        FOR_EACH_STORE(test_lists_hold_nothing_of_other_tenants),
        FOR_EACH_STORE(test_list_with_nearly_full_arena_is_shorter_but_not_empty),
        FOR_EACH_STORE(test_reads_with_full_arena_are_resource_exhausted),
        FOR_EACH_STORE(test_reads_out_of_bounds_are_invalid),
        FOR_EACH_STORE(test_responders_page_in_byte_order_with_what_binds_them),
    };
    return cmocka_run_group_tests_name("store: lists", tests, NULL, NULL);
}
