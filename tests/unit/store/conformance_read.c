/* Scans and counts, and reads that run beside writes. */
#include "conformance.h"
#include "fixture.h"

#include <pthread.h>

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
        panic.update_time_us = created[i];
        panic.next_action_at_us = created[i] + 2000000;
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

/* A panic that waits in queue 1, created at n seconds; `tries` more times than at its creation. */
static void create_waiting(struct fixture *fixture, unsigned n, unsigned tries)
{
    struct store_panic panic = panic_of(n);
    panic.waiting = 1;
    assert_status(create(fixture, &panic), STATUS_OK);
    for (unsigned i = 0; i < tries; i++) {
        panic.version++;
        panic.next_action_at_us += 1000000000;
        assert_status(update(fixture, &panic), STATUS_OK);
    }
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
    static const uint8_t queues[] = {2, 1, 2, 2, 1, 0};
    for (unsigned i = 0; i < 6; i++) {
        struct store_panic panic = panic_of(i + 1);
        panic.waiting = queues[i];
        assert_status(create(fixture, &panic), STATUS_OK);
    }
    assert_queue_holds(fixture, 1, (const unsigned[]){2, 5}, 2);
    assert_queue_holds(fixture, 2, (const unsigned[]){1, 3, 4}, 3);
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

static void test_a_panic_that_waits_again_keeps_its_place_among_new_ones(void **state)
{
    struct fixture *fixture = *state;
    create_waiting(fixture, 1, 0);
    create_waiting(fixture, 2, 3);
    create_waiting(fixture, 3, 0);
    create_waiting(fixture, 4, 1);
    create_waiting(fixture, 5, 0);
    assert_queue_holds(fixture, 1, (const unsigned[]){1, 2, 3, 4, 5}, 5);
    struct store_key keys[2];
    size_t n;
    assert_ok(store_waiting(fixture->store, 1, 2, keys, &n));
    assert_int_equal(n, 2);
    struct id second = id_of(2);
    assert_true(id_equal(&keys[1].id, &second));
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.waiting, 5);
    assert_int_equal(counts.open, 5);
}

static void test_due_lists_by_time_whether_panics_wait_or_not(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 0; i < 9; i++) {
        struct store_panic panic = panic_of(9 - i);
        panic.waiting = (uint8_t)(i % 3);
        assert_status(create(fixture, &panic), STATUS_OK);
    }
    struct store_key keys[9];
    size_t n;
    assert_ok(store_due(fixture->store, 8000000, INT64_MAX, 9, keys, &n));
    assert_int_equal(n, 6);
    for (unsigned i = 0; i < 6; i++) {
        struct id id = id_of(i + 1);
        assert_true(id_equal(&keys[i].id, &id));
    }
    assert_ok(store_due(fixture->store, 8000000, 10000000, 7, keys, &n));
    assert_int_equal(n, 7);
    struct id eighth = id_of(8);
    assert_true(id_equal(&keys[6].id, &eighth));
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 8000000, &counts));
    assert_int_equal(counts.overdue, 5);
    assert_int_equal(counts.waiting, 6);
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
    const struct store_stats *stats = &fixture->store->stats;
    assert_int_equal(stats->batch_ops.count, 2);
    assert_int_equal(stats->batch_ops.sum, 5);
    assert_int_equal(stats->batch_us.count, 2);
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

/* Panics 1 to 9, all due at one instant, in all lanes. */
static void create_at_one_instant(struct fixture *fixture)
{
    for (unsigned i = 1; i <= 9; i++) {
        struct store_panic panic = panic_of(i);
        panic.waiting = (uint8_t)(i % 3);
        panic.next_action_at_us = 5000000;
        assert_status(create(fixture, &panic), STATUS_OK);
    }
}

static void test_what_is_open_can_be_gone_through_though_it_is_due_at_one_instant(void **state)
{
    struct fixture *fixture = *state;
    create_at_one_instant(fixture);
    struct store_key last = {.next_action_at_us = 5000000};
    for (unsigned i = 1; i <= 9; i += 2) {
        struct store_key keys[2];
        size_t n;
        assert_ok(store_open_from(fixture->store, last.next_action_at_us, last.seq, 2, keys, &n));
        assert_int_equal(n, i < 9 ? 2 : 1);
        for (size_t k = 0; k < n; k++) {
            const struct id id = id_of(i + (unsigned)k);
            assert_true(id_equal(&keys[k].id, &id));
            assert_int_equal(keys[k].next_action_at_us, 5000000);
        }
        last = keys[n - 1];
    }
    size_t n;
    assert_ok(store_open_from(fixture->store, last.next_action_at_us, last.seq, 1, &last, &n));
    assert_int_equal(n, 0);
}

static void test_open_from_lists_by_time_and_nothing_before(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 9);
    struct store_key keys[9];
    size_t n;
    assert_ok(store_open_from(fixture->store, 8000000, 0, 9, keys, &n));
    assert_int_equal(n, 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct id id = id_of(6 + i);
        assert_true(id_equal(&keys[i].id, &id));
        assert_string_equal(keys[i].tenant, "acme");
    }
}

static void test_many_panics_are_read_by_number_and_by_id(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 9);
    struct store_key keys[4];
    struct store_panic panics[4];
    enum status statuses[4];
    size_t n;
    assert_ok(store_due(fixture->store, 5000000, INT64_MAX, 4, keys, &n));
    assert_int_equal(n, 3);
    keys[1].seq = 0;
    keys[3] = (struct store_key){.tenant = "ecma", .id = id_of(1)};
    assert_ok(store_read(fixture->store, keys, 4, &fixture->arena, panics, statuses, &n));
    assert_int_equal(n, 4);
    for (unsigned i = 0; i < 3; i++) {
        const struct store_panic expected = panic_of(i + 1);
        assert_status(statuses[i], STATUS_OK);
        assert_panic_equal(&panics[i], &expected);
    }
    assert_status(statuses[3], STATUS_NOT_FOUND);
}

/* A number that is left from another key must not bring another panic, nor hide this one. */
static void test_a_key_with_the_number_of_another_panic_finds_its_own(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 3);
    struct store_key keys[3];
    struct store_panic panics[3];
    enum status statuses[3];
    size_t n;
    assert_ok(store_due(fixture->store, 5000000, INT64_MAX, 3, keys, &n));
    assert_int_equal(n, 3);
    uint64_t first = keys[0].seq;
    keys[0].seq = keys[1].seq;
    keys[1].seq = first;
    keys[2] = (struct store_key){.tenant = "ecma", .id = keys[2].id, .seq = keys[2].seq};
    assert_ok(store_read(fixture->store, keys, 3, &fixture->arena, panics, statuses, &n));
    assert_int_equal(n, 3);
    for (unsigned i = 0; i < 2; i++) {
        const struct store_panic expected = panic_of(i + 1);
        assert_status(statuses[i], STATUS_OK);
        assert_panic_equal(&panics[i], &expected);
    }
    assert_status(statuses[2], STATUS_NOT_FOUND);
}

static void test_many_panics_are_read_as_far_as_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    static const uint8_t data[2000];
    struct store_key keys[3];
    for (unsigned i = 0; i < 3; i++) {
        struct store_panic panic = panic_of(i + 1);
        panic.content = (struct bytes){.data = data, .length = sizeof(data)};
        assert_status(create(fixture, &panic), STATUS_OK);
        keys[i] = (struct store_key){.tenant = "acme", .id = panic.id};
    }
    struct arena arena;
    struct store_panic panics[3];
    enum status statuses[3];
    size_t n;
    arena_init(&arena, NULL, 0, 5000);
    assert_ok(store_read(fixture->store, keys, 3, &arena, panics, statuses, &n));
    assert_int_equal(n, 2);
    assert_int_equal(panics[1].content.length, sizeof(data));
    arena_reset(&arena);
    arena_init(&arena, NULL, 0, 1000);
    assert_ok(store_read(fixture->store, keys, 3, &arena, panics, statuses, &n));
    assert_int_equal(n, 0);
    arena_reset(&arena);
}

int run_read_conformance(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_STORE(test_due_lists_overdue_first_then_impossible_times),
        FOR_EACH_STORE(test_due_with_overlapping_ranges_lists_each_once),
        FOR_EACH_STORE(test_due_finds_no_closed_panic),
        FOR_EACH_STORE(test_waiting_lists_oldest_creation_first),
        FOR_EACH_STORE(test_a_panic_that_waits_again_keeps_its_place_among_new_ones),
        FOR_EACH_STORE(test_due_lists_by_time_whether_panics_wait_or_not),
        FOR_EACH_STORE(test_what_is_open_can_be_gone_through_though_it_is_due_at_one_instant),
        FOR_EACH_STORE(test_open_from_lists_by_time_and_nothing_before),
        FOR_EACH_STORE(test_many_panics_are_read_by_number_and_by_id),
        FOR_EACH_STORE(test_a_key_with_the_number_of_another_panic_finds_its_own),
        FOR_EACH_STORE(test_many_panics_are_read_as_far_as_there_is_room),
        FOR_EACH_STORE(test_a_queue_lists_nothing_of_another_queue),
        FOR_EACH_STORE(test_a_panic_that_changes_its_queue_leaves_the_old_one),
        FOR_EACH_STORE(test_all_responders_visits_every_tenant),
        FOR_EACH_STORE(test_counts_follow_the_panics),
        FOR_EACH_STORE(test_stats_count_batches_and_ops),
        FOR_EACH_STORE(test_readers_beside_a_writer_see_whole_batches),
        FOR_EACH_STORE(test_concurrent_writers_bind_a_responder_once),
    };
    return cmocka_run_group_tests_name("store: reads", tests, NULL, NULL);
}
