/* The feed of changes: order, where a page ends, whose changes are in it. */
#include "conformance.h"
#include "fixture.h"

#define PAGE_MAX 20

struct page {
    struct store_change changes[PAGE_MAX];
    size_t n;
    uint64_t last;
    bool more;
};

static struct page read_feed(struct fixture *fixture, const char *tenant, const struct id *id, uint64_t after,
                             size_t max)
{
    struct page page = {0};
    assert_ok(store_changes(fixture->store, tenant, id, after, max, &fixture->arena, page.changes, &page.n,
                            &page.last, &page.more));
    return page;
}

static uint64_t last_seq(struct fixture *fixture)
{
    uint64_t seq;
    assert_ok(store_last_seq(fixture->store, &seq));
    return seq;
}

/* Applies the next version with an event of this type, from stage 1 to 2. */
static void change(struct fixture *fixture, struct store_panic *panic, const char *type)
{
    *panic = bound_next(panic, NULL);
    panic->stage = 2;
    const struct store_event event = {.at_us = 5000000 + (int64_t)panic->version,
                                      .type = type,
                                      .actor = "dispatch",
                                      .from_stage = 1,
                                      .to_stage = 2};
    struct store_op op = update_op(panic, &event);
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_ok(op.outcome);
}

static void assert_change(const struct store_change *change, unsigned panic, uint64_t version,
                          const char *type)
{
    const struct id id = id_of(panic);
    assert_true(id_equal(&change->panic_id, &id));
    assert_int_equal(change->event.version, version);
    assert_string_equal(change->event.type, type);
}

static void test_an_empty_feed_has_nothing_and_ends_where_it_began(void **state)
{
    struct fixture *fixture = *state;
    struct page page = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    assert_int_equal(page.n, 0);
    assert_int_equal(page.last, 0);
    assert_false(page.more);
    assert_int_equal(last_seq(fixture), 0);
}

static void test_the_feed_has_every_change_in_the_order_of_the_commits(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic first = panic_of(9);
    struct store_panic second = panic_of(4);
    assert_status(create(fixture, &first), STATUS_OK);
    assert_status(create(fixture, &second), STATUS_OK);
    change(fixture, &second, "assigned");
    change(fixture, &first, "no_responder");

    struct page page = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    assert_int_equal(page.n, 4);
    assert_change(&page.changes[0], 9, 1, "created");
    assert_change(&page.changes[1], 4, 1, "created");
    assert_change(&page.changes[2], 4, 2, "assigned");
    assert_change(&page.changes[3], 9, 2, "no_responder");
    for (size_t i = 1; i < page.n; i++) {
        assert_true(page.changes[i].seq > page.changes[i - 1].seq);
    }
    assert_int_equal(page.last, page.changes[3].seq);
    assert_false(page.more);
    assert_int_equal(last_seq(fixture), page.last);
}

static void test_a_batch_is_in_the_feed_in_the_order_of_its_ops(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 3);
    struct page page = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    assert_int_equal(page.n, 3);
    assert_change(&page.changes[0], 3, 1, "created");
    assert_change(&page.changes[1], 2, 1, "created");
    assert_change(&page.changes[2], 1, 1, "created");
}

static void test_a_creation_tells_its_time_and_the_stage_it_began_in(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(7);
    assert_status(create(fixture, &panic), STATUS_OK);
    struct page before = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    change(fixture, &panic, "assigned");
    struct page after = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    const struct store_event *const created[] = {&before.changes[0].event, &after.changes[0].event};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(created[i]->at_us, panic.create_time_us);
        assert_string_equal(created[i]->actor, "api");
        assert_int_equal(created[i]->from_stage, 0);
        assert_int_equal(created[i]->to_stage, 1);
    }
}

static void test_a_change_tells_all_of_its_event(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(7);
    assert_status(create(fixture, &panic), STATUS_OK);
    change(fixture, &panic, "assigned");
    struct page page = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    const struct store_event *event = &page.changes[1].event;
    assert_int_equal(event->version, 2);
    assert_int_equal(event->at_us, 5000002);
    assert_string_equal(event->actor, "dispatch");
    assert_int_equal(event->from_stage, 1);
    assert_int_equal(event->to_stage, 2);
}

static void test_pages_of_the_feed_join_without_loss_or_repetition(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 8);
    struct store_panic panic = panic_of(5);
    change(fixture, &panic, "assigned");
    change(fixture, &panic, "resolved");
    const struct page whole = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    assert_int_equal(whole.n, 10);
    for (size_t max = 1; max <= 11; max++) {
        struct page page = {.more = true};
        size_t seen = 0;
        while (page.more) {
            page = read_feed(fixture, "acme", NULL, page.last, max);
            for (size_t i = 0; i < page.n; i++) {
                assert_int_equal(page.changes[i].seq, whole.changes[seen++].seq);
            }
        }
        assert_int_equal(seen, 10);
    }
}

static void test_the_feed_of_a_panic_has_its_changes_only(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 3);
    struct store_panic second = panic_of(2);
    struct store_panic third = panic_of(3);
    change(fixture, &second, "no_responder");
    change(fixture, &third, "assigned");
    change(fixture, &second, "assigned");
    struct page page = read_feed(fixture, "acme", &second.id, 0, PAGE_MAX);
    assert_int_equal(page.n, 3);
    assert_change(&page.changes[0], 2, 1, "created");
    assert_change(&page.changes[1], 2, 2, "no_responder");
    assert_change(&page.changes[2], 2, 3, "assigned");
    assert_false(page.more);

    struct page rest = read_feed(fixture, "acme", &second.id, page.changes[0].seq, 1);
    assert_int_equal(rest.n, 1);
    assert_int_equal(rest.last, page.changes[1].seq);
    assert_true(rest.more);
    rest = read_feed(fixture, "acme", &second.id, page.last, 1);
    assert_int_equal(rest.n, 0);
    assert_int_equal(rest.last, page.last);
    assert_false(rest.more);
}

static void test_the_feed_of_an_unknown_panic_is_empty(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 2);
    const struct id unknown = id_of(3);
    struct page page = read_feed(fixture, "acme", &unknown, 0, PAGE_MAX);
    assert_int_equal(page.n, 0);
    assert_false(page.more);
}

static void test_what_changed_nothing_is_not_in_the_feed(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    uint64_t before = last_seq(fixture);
    assert_status(create(fixture, &panic), STATUS_OK);
    struct store_panic overtaken = bound_next(&panic, NULL);
    overtaken.version = 3;
    const struct store_event event = {.type = "assigned", .actor = "dispatch"};
    struct store_op op = update_op(&overtaken, &event);
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_status(op.outcome, STATUS_ABORTED);
    struct store_responder responder = responder_of("unit-1");
    assert_status(put(fixture, &responder), STATUS_OK);
    assert_int_equal(read_feed(fixture, "acme", NULL, 0, PAGE_MAX).n, 1);
    assert_int_equal(last_seq(fixture), before);
}

static void test_another_tenants_changes_are_passed_over(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 2);
    struct store_panic foreign = panic_of(3);
    foreign.tenant = "acme2";
    assert_status(create(fixture, &foreign), STATUS_OK);
    struct page page = read_feed(fixture, "acme", NULL, 0, PAGE_MAX);
    assert_int_equal(page.n, 2);
    assert_int_equal(page.last, last_seq(fixture));
    assert_int_equal(read_feed(fixture, "acme2", NULL, 0, PAGE_MAX).n, 1);
    assert_int_equal(read_feed(fixture, "acme", &foreign.id, 0, PAGE_MAX).n, 0);
    assert_int_equal(read_feed(fixture, "acm", NULL, 0, PAGE_MAX).n, 0);
}

static void test_one_read_of_the_feed_looks_at_so_many_rows(void **state)
{
    struct fixture *fixture = *state;
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned first = 1; first <= STORE_SCAN_MAX; first += 1000) {
        for (unsigned i = 0; i < 1000; i++) {
            panics[i] = panic_of(first + i);
            panics[i].tenant = "acme2";
            ops[i] = create_op(fixture, &panics[i]);
        }
        assert_ok(store_apply(fixture->store, ops, 1000));
    }
    struct page page = read_feed(fixture, "acme", NULL, 0, 5);
    assert_int_equal(page.n, 0);
    assert_false(page.more);
    struct store_panic own = panic_of(1);
    assert_status(create(fixture, &own), STATUS_OK);
    page = read_feed(fixture, "acme", NULL, 0, 5);
    assert_int_equal(page.n, 0);
    assert_true(page.more);
    page = read_feed(fixture, "acme", NULL, page.last, 5);
    assert_int_equal(page.n, 1);
    assert_false(page.more);
}

static void test_a_feed_with_a_nearly_full_arena_is_shorter_and_a_full_one_fails(void **state)
{
    struct fixture *fixture = *state;
    create_many(fixture, 10);
    struct arena small;
    arena_init(&small, NULL, 0, 100);
    struct page page = {0};
    assert_ok(store_changes(fixture->store, "acme", NULL, 0, 10, &small, page.changes, &page.n, &page.last,
                            &page.more));
    assert_in_range(page.n, 1, 9);
    assert_int_equal(page.last, page.changes[page.n - 1].seq);
    assert_true(page.more);
    arena_reset(&small);
    arena_init(&small, NULL, 0, 7);
    const struct id id = id_of(1);
    assert_status(store_changes(fixture->store, "acme", NULL, 0, 10, &small, page.changes, &page.n,
                                &page.last, &page.more),
                  STATUS_RESOURCE_EXHAUSTED);
    arena_reset(&small);
    assert_status(store_changes(fixture->store, "acme", &id, 0, 10, &small, page.changes, &page.n, &page.last,
                                &page.more),
                  STATUS_RESOURCE_EXHAUSTED);
    arena_reset(&small);
}

static void test_feeds_out_of_bounds_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    struct page page;
    static const struct {
        const char *tenant;
        uint64_t after;
        size_t max;
    } bad[] = {{"", 0, 1}, {"acme", 0, 0}, {"acme", 0, STORE_PAGE_MAX + 1}, {"acme", UINT64_MAX, 1}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(store_changes(fixture->store, bad[i].tenant, NULL, bad[i].after, bad[i].max,
                                    &fixture->arena, page.changes, &page.n, &page.last, &page.more),
                      STATUS_INVALID_ARGUMENT);
    }
}

int run_feed_conformance(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_STORE(test_an_empty_feed_has_nothing_and_ends_where_it_began),
        FOR_EACH_STORE(test_the_feed_has_every_change_in_the_order_of_the_commits),
        FOR_EACH_STORE(test_a_batch_is_in_the_feed_in_the_order_of_its_ops),
        FOR_EACH_STORE(test_a_creation_tells_its_time_and_the_stage_it_began_in),
        FOR_EACH_STORE(test_a_change_tells_all_of_its_event),
        FOR_EACH_STORE(test_pages_of_the_feed_join_without_loss_or_repetition),
        FOR_EACH_STORE(test_the_feed_of_a_panic_has_its_changes_only),
        FOR_EACH_STORE(test_the_feed_of_an_unknown_panic_is_empty),
        FOR_EACH_STORE(test_what_changed_nothing_is_not_in_the_feed),
        FOR_EACH_STORE(test_another_tenants_changes_are_passed_over),
        FOR_EACH_STORE(test_one_read_of_the_feed_looks_at_so_many_rows),
        FOR_EACH_STORE(test_a_feed_with_a_nearly_full_arena_is_shorter_and_a_full_one_fails),
        FOR_EACH_STORE(test_feeds_out_of_bounds_are_invalid),
    };
    return cmocka_run_group_tests_name("store: feed", tests, NULL, NULL);
}
