/* Lists, scans and counts, and reads that run beside writes. */
#include "conformance.h"
#include "fixture.h"

#include <pthread.h>

/* Creates panics 1 to n in one batch. */
static void create_many(struct fixture *fixture, unsigned n)
{
    struct store_panic panics[64];
    struct store_op ops[64];
    assert_true(n <= 64);
    for (unsigned i = 0; i < n; i++) {
        /* From the last to the first: the order of creation must not matter. */
        panics[i] = panic_of(n - i);
        ops[i] = create_op(fixture, &panics[i]);
    }
    assert_ok(store_apply(fixture->store, ops, n));
}

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
    assert_status(store_list(fixture->store, "acme", NULL, 0, STORE_PAGE_MAX + 1, &fixture->arena, page, &n,
                             &last, &more),
                  STATUS_INVALID_ARGUMENT);
}

static void test_due_lists_overdue_first_then_impossible_times(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 10);
    struct store_key keys[10];
    size_t n;
    /* Panic n is due at second n + 2. */
    assert_ok(store_due(fixture->store, 4000000, 11000000, 10, keys, &n));
    static const unsigned expected[] = {1, 2, 9, 10};
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        struct id id = id_of(expected[i]);
        assert_true(id_equal(&keys[i].id, &id));
        assert_string_equal(keys[i].tenant, "acme");
        assert_int_equal(keys[i].next_action_at_us, (expected[i] + 2) * 1000000LL);
    }
    assert_ok(store_due(fixture->store, 4000000, 11000000, 3, keys, &n));
    assert_int_equal(n, 3);
    assert_ok(store_due(fixture->store, 4000000, 11000000, 1, keys, &n));
    assert_int_equal(n, 1);
    assert_ok(store_due(fixture->store, 2999999, INT64_MAX, 10, keys, &n));
    assert_int_equal(n, 0);
}

static void test_due_with_overlapping_ranges_lists_each_once(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 4);
    struct store_key keys[10];
    size_t n;
    assert_ok(store_due(fixture->store, 5000000, 0, 10, keys, &n));
    assert_int_equal(n, 4);
    assert_ok(store_due(fixture->store, INT64_MAX, INT64_MAX, 10, keys, &n));
    assert_int_equal(n, 4);
}

static void test_due_finds_no_closed_panic(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 1);
    struct store_panic panic = panic_of(1);
    panic.version = 2;
    panic.next_action_at_us = 0;
    assert_status(update(fixture, &panic), STATUS_OK);
    struct store_key keys[1];
    size_t n;
    assert_ok(store_due(fixture->store, INT64_MAX, INT64_MAX, 1, keys, &n));
    assert_int_equal(n, 0);
    assert_int_equal(stored(fixture, &panic.id).next_action_at_us, 0);
}

static void test_waiting_lists_oldest_creation_first(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t created[] = {30, 10, 20, 5};
    for (unsigned i = 0; i < 4; i++) {
        struct store_panic panic = panic_of(i + 1);
        panic.create_time_us = created[i];
        panic.waiting = i != 3 ? 1 : 0;
        assert_status(create(fixture, &panic), STATUS_OK);
    }
    struct store_key keys[4];
    size_t n;
    assert_ok(store_waiting(fixture->store, 1, 4, keys, &n));
    static const unsigned expected[] = {2, 3, 1};
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++) {
        struct id id = id_of(expected[i]);
        assert_true(id_equal(&keys[i].id, &id));
    }
    struct store_panic found = stored(fixture, &keys[0].id);
    found = bound_next(&found, "unit-1");
    found.waiting = 0;
    assert_status(update(fixture, &found), STATUS_OK);
    assert_ok(store_waiting(fixture->store, 1, 1, keys, &n));
    assert_int_equal(n, 1);
    struct id third = id_of(3);
    assert_true(id_equal(&keys[0].id, &third));
}

/* Panic n of those in `queue`, which must be `expected`, oldest first. */
static void assert_queue_holds(struct fixture *fixture, uint8_t queue, const unsigned *expected, size_t n)
{
    struct store_key keys[8];
    size_t found;
    assert_ok(store_waiting(fixture->store, queue, 8, keys, &found));
    assert_int_equal(found, n);
    for (size_t i = 0; i < n; i++) {
        struct id id = id_of(expected[i]);
        assert_true(id_equal(&keys[i].id, &id));
    }
}

static void test_a_queue_lists_nothing_of_another_queue(void **state)
{
    struct fixture *fixture = *state;
    /* Older ones in the other queues must not come first, nor take the place of what was asked for. */
    static const uint8_t queues[] = {2, 1, 255, 2, 1, 0};
    for (unsigned i = 0; i < 6; i++) {
        struct store_panic panic = panic_of(i + 1);
        panic.waiting = queues[i];
        assert_status(create(fixture, &panic), STATUS_OK);
    }
    assert_queue_holds(fixture, 1, (const unsigned[]){2, 5}, 2);
    assert_queue_holds(fixture, 2, (const unsigned[]){1, 4}, 2);
    assert_queue_holds(fixture, 3, NULL, 0);
    assert_queue_holds(fixture, 255, (const unsigned[]){3}, 1);
    struct store_key key;
    size_t n;
    assert_ok(store_waiting(fixture->store, 1, 1, &key, &n));
    assert_int_equal(n, 1);
    struct id second = id_of(2);
    assert_true(id_equal(&key.id, &second));
    assert_int_equal(stored(fixture, &second).waiting, 1);
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.waiting, 5);
}

static void test_a_panic_that_changes_its_queue_leaves_the_old_one(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    panic.waiting = 1;
    assert_status(create(fixture, &panic), STATUS_OK);
    panic.version = 2;
    panic.waiting = 2;
    assert_status(update(fixture, &panic), STATUS_OK);
    assert_queue_holds(fixture, 1, NULL, 0);
    assert_queue_holds(fixture, 2, (const unsigned[]){1}, 1);
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

struct visits {
    size_t n;
    char text[64];
};

static void note_visit(void *ctx, const struct store_responder *responder)
{
    struct visits *visits = ctx;
    size_t used = strlen(visits->text);
    snprintf(visits->text + used, sizeof(visits->text) - used, "%s/%s%s;", responder->tenant, responder->id,
             id_is_nil(&responder->panic_id) ? "" : "!");
    visits->n++;
}

static void test_all_responders_visits_every_tenant(void **state)
{
    struct fixture *fixture = *state;
    struct store_responder a = responder_of("x");
    struct store_responder b = responder_of("y");
    b.tenant = "umbrella";
    assert_status(put(fixture, &a), STATUS_OK);
    assert_status(put(fixture, &b), STATUS_OK);
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    panic = bound_next(&panic, "x");
    assert_status(update(fixture, &panic), STATUS_OK);
    struct visits visits = {0};
    assert_ok(store_all_responders(fixture->store, note_visit, &visits));
    assert_int_equal(visits.n, 2);
    assert_string_equal(visits.text, "acme/x!;umbrella/y;");
}

static void test_counts_follow_the_panics(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 10);
    /* A replay is no new panic. */
    create_many(fixture, 10);
    struct store_panic closed = panic_of(1);
    closed.version = 2;
    closed.next_action_at_us = 0;
    assert_status(update(fixture, &closed), STATUS_OK);
    struct store_panic waiting = panic_of(2);
    waiting.version = 2;
    waiting.waiting = 1;
    assert_status(update(fixture, &waiting), STATUS_OK);
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 6000000, &counts));
    assert_int_equal(counts.panics, 10);
    assert_int_equal(counts.open, 9);
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(counts.overdue, 2);
}

static void test_stats_count_batches_and_ops(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 3);
    create_many(fixture, 2);
    assert_int_equal(counter_read(&fixture->store->stats.batches), 2);
    assert_int_equal(counter_read(&fixture->store->stats.ops), 5);
    assert_int_equal(fixture->store->stats.commit_us.count, 2);
}

#define PAIRS 200

struct reading {
    struct store *store;
    _Atomic bool *stop;
    bool torn;
};

/* Panics 2k and 2k + 1 are created in one batch: whoever sees one must see the other. */
static void *read_pairs(void *ctx)
{
    struct reading *reading = ctx;
    struct arena arena;
    arena_init(&arena, NULL, 0, 1 << 20);
    struct store_panic page[STORE_PAGE_MAX];
    bool stop;
    do {
        stop = atomic_load(reading->stop);
        size_t n;
        struct id last;
        bool more;
        if (store_list(reading->store, "acme", NULL, 0, STORE_PAGE_MAX, &arena, page, &n, &last, &more) !=
                STATUS_OK ||
            n % 2 != 0 || (stop && n != (size_t)PAIRS * 2)) {
            reading->torn = true;
        }
        arena_reset(&arena);
    } while (!stop && !reading->torn);
    return NULL;
}

static void test_readers_beside_a_writer_see_whole_batches(void **state)
{
    struct fixture *fixture = *state;
    _Atomic bool stop = false;
    /* More readers than the pool of a store may have connections. */
    struct reading readings[10];
    pthread_t threads[10];
    for (size_t i = 0; i < 10; i++) {
        readings[i] = (struct reading){.store = fixture->store, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &readings[i]), 0);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        struct store_panic pair[2] = {panic_of(2 * i), panic_of(2 * i + 1)};
        struct store_op ops[] = {create_op(fixture, &pair[0]), create_op(fixture, &pair[1])};
        assert_ok(store_apply(fixture->store, ops, 2));
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 10; i++) {
        pthread_join(threads[i], NULL);
        assert_false(readings[i].torn);
    }
}

struct writing {
    struct store *store;
    unsigned first;
    size_t bound;
};

/* Each thread tries to bind the same responder to panics of its own. */
static void *write_bindings(void *ctx)
{
    struct writing *writing = ctx;
    for (unsigned i = 0; i < 50; i++) {
        struct store_panic panic = panic_of(writing->first + i);
        struct store_panic next = bound_next(&panic, "unit-1");
        struct arena arena;
        arena_init(&arena, NULL, 0, 4096);
        struct store_op ops[] = {{.kind = STORE_CREATE, .panic = &panic, .arena = &arena},
                                 update_op(&next, NULL)};
        if (store_apply(writing->store, ops, 2) == STATUS_OK && ops[1].outcome == STATUS_OK) {
            writing->bound++;
        }
    }
    return NULL;
}

static void test_concurrent_writers_bind_a_responder_once(void **state)
{
    struct fixture *fixture = *state;
    struct writing writings[4];
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        writings[i] = (struct writing){.store = fixture->store, .first = 1000 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_bindings, &writings[i]), 0);
    }
    size_t bound = 0;
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        bound += writings[i].bound;
    }
    assert_int_equal(bound, 1);
}

int run_read_conformance(void)
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
        FOR_EACH_STORE(test_due_lists_overdue_first_then_impossible_times),
        FOR_EACH_STORE(test_due_with_overlapping_ranges_lists_each_once),
        FOR_EACH_STORE(test_due_finds_no_closed_panic),
        FOR_EACH_STORE(test_waiting_lists_oldest_creation_first),
        FOR_EACH_STORE(test_a_queue_lists_nothing_of_another_queue),
        FOR_EACH_STORE(test_a_panic_that_changes_its_queue_leaves_the_old_one),
        FOR_EACH_STORE(test_responders_page_in_byte_order_with_what_binds_them),
        FOR_EACH_STORE(test_all_responders_visits_every_tenant),
        FOR_EACH_STORE(test_counts_follow_the_panics),
        FOR_EACH_STORE(test_stats_count_batches_and_ops),
        FOR_EACH_STORE(test_readers_beside_a_writer_see_whole_batches),
        FOR_EACH_STORE(test_concurrent_writers_bind_a_responder_once),
    };
    return cmocka_run_group_tests_name("store: reads", tests, NULL, NULL);
}
