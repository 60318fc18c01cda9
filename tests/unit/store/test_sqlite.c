/*
 * What only the SQLite store promises: durability across reopening and kills, its settings, a log that stays
 * short.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/sqlite_internal.h"

static void test_reopen_finds_everything(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    panic.waiting = 1;
    struct store_responder responder = responder_of("unit-1");
    assert_status(create(fixture, &panic), STATUS_OK);
    assert_status(put(fixture, &responder), STATUS_OK);
    struct store_event event = {.at_us = 1, .type = "assigned", .actor = "dispatch"};
    panic = bound_next(&panic, "unit-1");
    struct store_op op = update_op(&panic, &event);
    assert_ok(store_apply(fixture->store, &op, 1));

    fixture_reopen(fixture);
    struct store_panic got = stored(fixture, &panic.id);
    assert_panic_equal(&got, &panic);
    struct store_responder responders[1];
    struct store_event events[1];
    struct store_counts counts;
    size_t n;
    bool more;
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 1, &fixture->arena, responders, &n, &more));
    assert_int_equal(n, 1);
    assert_true(id_equal(&responders[0].panic_id, &panic.id));
    assert_ok(store_events(fixture->store, "acme", &panic.id, 0, 1, &fixture->arena, events, &n));
    assert_int_equal(n, 1);
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics, 1);
    assert_int_equal(counts.waiting, 1);
}

#define BATCH 8
#define BATCHES_BEFORE_KILL 300

/* Creates panics without end, telling each batch that was acknowledged. */
static void write_until_killed(const struct fixture *fixture, int acknowledged)
{
    struct store *store;
    if (store_open(fixture->url, &store, NULL) != STATUS_OK) {
        _exit(1);
    }
    struct arena arena;
    arena_init(&arena, NULL, 0, 4096);
    for (unsigned batch = 0;; batch++) {
        struct store_panic panics[BATCH];
        struct store_op ops[BATCH];
        for (unsigned i = 0; i < BATCH; i++) {
            panics[i] = panic_of(batch * BATCH + i);
            ops[i] = (struct store_op){.kind = STORE_CREATE, .panic = &panics[i], .arena = &arena};
        }
        if (store_apply(store, ops, BATCH) != STATUS_OK ||
            write(acknowledged, &batch, sizeof(batch)) != (ssize_t)sizeof(batch)) {
            _exit(1);
        }
    }
}

static void test_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(fixture, ends[1]);
    }
    close(ends[1]);
    unsigned batch = 0;
    unsigned acknowledged = 0;
    while (read(ends[0], &batch, sizeof(batch)) == (ssize_t)sizeof(batch)) {
        acknowledged = batch + 1;
        if (acknowledged == BATCHES_BEFORE_KILL) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    close(ends[0]);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    assert_true(acknowledged >= BATCHES_BEFORE_KILL);

    fixture_reopen(fixture);
    for (unsigned i = 0; i < acknowledged * BATCH; i++) {
        struct id id = id_of(i);
        struct store_panic got = stored(fixture, &id);
        struct store_panic expected = panic_of(i);
        assert_panic_equal(&got, &expected);
    }
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics % BATCH, 0);
    assert_int_equal(counts.open, counts.panics);
}

static uint64_t size_on_disk(const struct fixture *fixture, const char *suffix)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof(path), "%s%s", fixture->url + strlen("sqlite:"), suffix);
    assert_int_equal(stat(path, &info), 0);
    return (uint64_t)info.st_size;
}

static void test_counts_tell_the_sizes_of_the_files(void **state)
{
    struct fixture *fixture = *state;
    struct store_counts counts;
    create_many(fixture, 64);
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_true(counts.file_bytes > 0 && counts.wal_bytes > 0);
    assert_int_equal(counts.file_bytes, size_on_disk(fixture, ""));
    assert_int_equal(counts.wal_bytes, size_on_disk(fixture, "-wal"));
}

static int64_t pragma(const struct connection *connection, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static void test_writer_has_the_settings_that_durability_needs(void **state)
{
    struct fixture *fixture = *state;
    const struct connection *writer = &((struct sqlite_store *)fixture->store)->writer;
    assert_int_equal(pragma(writer, "PRAGMA synchronous"), 2);
    assert_int_equal(pragma(writer, "PRAGMA page_size"), 4096);
    assert_int_equal(pragma(writer, "PRAGMA cache_size"), -32768);
    assert_int_equal(pragma(writer, "PRAGMA mmap_size"), 0);
    assert_int_equal(pragma(writer, "PRAGMA wal_autocheckpoint"), 0);
    assert_int_equal(pragma(writer, "PRAGMA application_id"), SQLITE_APPLICATION_ID);
    assert_int_equal(pragma(writer, "PRAGMA user_version"), 2);
    assert_int_equal(pragma(writer, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
}

static void test_readers_can_neither_write_nor_checkpoint(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_store *sqlite = (struct sqlite_store *)fixture->store;
    for (size_t i = 0; i < READERS_MAX; i++) {
        const struct connection *reader = &sqlite->readers[i];
        assert_int_equal(sqlite3_db_readonly(reader->db, "main"), 1);
        assert_int_equal(pragma(reader, "PRAGMA query_only"), 1);
        assert_int_equal(pragma(reader, "PRAGMA wal_autocheckpoint"), 0);
        assert_int_equal(pragma(reader, "PRAGMA synchronous"), 2);
        assert_int_equal(sqlite3_exec(reader->db, "DELETE FROM panic", NULL, NULL, NULL), SQLITE_READONLY);
    }
}

static void test_log_stays_short(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t data[4096];
    static struct store_panic panics[64];
    static struct store_op ops[64];
    uint64_t longest = 0;
    for (unsigned batch = 0; batch < 60; batch++) {
        for (unsigned i = 0; i < 64; i++) {
            panics[i] = panic_of(batch * 64 + i);
            panics[i].content = (struct bytes){.data = data, .length = sizeof(data)};
            ops[i] = create_op(fixture, &panics[i]);
        }
        assert_ok(store_apply(fixture->store, ops, 64));
        uint64_t pages = atomic_load(&fixture->store->stats.wal_pages);
        longest = pages > longest ? pages : longest;
    }
    /* 60 batches are some 10,000 pages. */
    assert_in_range(longest, 500, 1500);
}

static void test_no_query_sorts_or_scans_the_panics(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_store *sqlite = (struct sqlite_store *)fixture->store;
    for (size_t i = 0; i < read_statements_n; i++) {
        char sql[2048];
        snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", read_statements[i]);
        sqlite3_stmt *plan;
        assert_int_equal(sqlite3_prepare_v2(sqlite->readers[0].db, sql, -1, &plan, NULL), SQLITE_OK);
        while (sqlite3_step(plan) == SQLITE_ROW) {
            const char *step = (const char *)sqlite3_column_text(plan, 3);
            assert_null(strstr(step, "TEMP B-TREE"));
            if (strcmp(step, "SCAN panic") == 0) {
                fail_msg("%s", read_statements[i]);
            }
        }
        sqlite3_finalize(plan);
    }
}

/* How many steps of the statement's plan hold the word. */
static size_t count_in_plan(struct fixture *fixture, enum read which, const char *word)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)fixture->store;
    char sql[2048];
    sqlite3_stmt *plan;
    size_t n = 0;
    snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", read_statements[which]);
    assert_int_equal(sqlite3_prepare_v2(sqlite->readers[0].db, sql, -1, &plan, NULL), SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
        n += strstr((const char *)sqlite3_column_text(plan, 3), word) != NULL;
    }
    sqlite3_finalize(plan);
    return n;
}

static void test_each_lane_is_searched_for_its_part_alone(void **state)
{
    assert_int_equal(count_in_plan(*state, READ_COUNTS, "panic_due (<expr>=? AND next_action_us<?)"), 3);
    assert_int_equal(count_in_plan(*state, READ_DUE_BEFORE, "panic_due (<expr>=? AND next_action_us<?)"), 3);
    assert_int_equal(count_in_plan(*state, READ_DUE_AFTER, "panic_due (<expr>=? AND next_action_us>?)"), 3);
    assert_int_equal(count_in_plan(*state, READ_OPEN_FROM, "panic_due (<expr>=? AND next_action_us>?)"), 3);
    assert_int_equal(
        count_in_plan(*state, READ_OPEN_FROM, "panic_due (<expr>=? AND next_action_us=? AND rowid>?)"), 3);
}

/* Closed panics, so that nothing but the tenant's size changes. */
static void create_closed(struct fixture *fixture, unsigned first, unsigned n)
{
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned i = 0; i < n; i += STORE_BATCH_MAX) {
        for (unsigned k = 0; k < STORE_BATCH_MAX; k++) {
            panics[k] = panic_of(first + i + k);
            panics[k].next_action_at_us = 0;
            ops[k] = create_op(fixture, &panics[k]);
        }
        assert_ok(store_apply(fixture->store, ops, STORE_BATCH_MAX));
        arena_reset(&fixture->arena);
    }
}

/* Every read that serves a request or a scan, each asking for what is rare or not there. */
static void read_everything(struct fixture *fixture)
{
    static struct store_panic panics[10];
    struct store_responder responders[10];
    struct store_event events[10];
    struct store_change changes[10];
    struct store_key keys[10];
    struct store_counts counts;
    uint64_t seq;
    struct store *store = fixture->store;
    struct arena *arena = &fixture->arena;
    struct id id = id_of(1);
    size_t n;
    bool more;
    assert_ok(store_get(store, "acme", &id, arena, &panics[0]));
    assert_ok(store_list(store, "acme", NULL, 9, 10, arena, panics, &n, &id, &more));
    assert_ok(store_list(store, "acme", NULL, 0, 10, arena, panics, &n, &id, &more));
    assert_ok(store_list_responders(store, "acme", NULL, 10, arena, responders, &n, &more));
    assert_ok(store_events(store, "acme", &id, 0, 10, arena, events, &n));
    assert_ok(store_changes(store, "other", NULL, 0, 10, arena, changes, &n, &seq, &more));
    assert_ok(store_changes(store, "acme", &id, 0, 10, arena, changes, &n, &seq, &more));
    assert_ok(store_last_seq(store, &seq));
    assert_ok(store_due(store, 1, INT64_MAX, 10, keys, &n));
    assert_ok(store_open_from(store, 1, 1, 10, keys, &n));
    assert_ok(store_waiting(store, 1, 10, keys, &n));
    assert_ok(store_counts(store, 1, &counts));
    arena_reset(arena);
}

/* Steps of SQLite's machine that the readers have taken since they were last asked. */
static int64_t steps_of_readers(struct fixture *fixture)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)fixture->store;
    int64_t steps = 0;
    for (size_t i = 0; i < READERS_MAX; i++) {
        for (size_t k = 0; k < read_statements_n; k++) {
            steps += sqlite3_stmt_status(sqlite->readers[i].statements[k], SQLITE_STMTSTATUS_VM_STEP, 1);
        }
    }
    return steps;
}

/* A plan does not tell a search for one row from one through a whole tenant; what it costs does. */
static void test_no_read_takes_more_steps_in_a_larger_tenant(void **state)
{
    struct fixture *fixture = *state;
    const unsigned n = (STORE_SCAN_MAX / STORE_BATCH_MAX + 1) * STORE_BATCH_MAX;
    create_closed(fixture, 1, n);
    steps_of_readers(fixture);
    read_everything(fixture);
    int64_t steps = steps_of_readers(fixture);
    assert_true(steps > STORE_SCAN_MAX);
    create_closed(fixture, 1 + n, n);
    read_everything(fixture);
    assert_int_equal(steps_of_readers(fixture), steps);
}

/* Overwrites every page of the database but the first, behind the back of who has it open. */
static void damage_tables(const struct fixture *fixture)
{
    uint8_t page[4096];
    memset(page, 0xee, sizeof(page));
    int fd = open(fixture->path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_true(size > (off_t)sizeof(page));
    for (off_t at = sizeof(page); at < size; at += (off_t)sizeof(page)) {
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
    }
    close(fd);
}

static void test_a_read_that_finds_damage_is_internal(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    /* Closing brings the log into the database, so that the readers find the rows there. */
    fixture_reopen(fixture);
    damage_tables(fixture);
    struct store_panic got;
    struct id last;
    size_t n;
    bool more;
    assert_status(store_get(fixture->store, "acme", &panic.id, &fixture->arena, &got), STATUS_INTERNAL);
    assert_status(store_list(fixture->store, "acme", NULL, 0, 1, &fixture->arena, &got, &n, &last, &more),
                  STATUS_INTERNAL);
    const struct store_key keys[] = {{.tenant = "acme", .id = panic.id}, {.seq = 1}};
    struct store_panic panics[2];
    enum status statuses[2];
    assert_ok(store_read(fixture->store, keys, 2, &fixture->arena, panics, statuses, &n));
    assert_int_equal(n, 2);
    assert_status(statuses[0], STATUS_INTERNAL);
    assert_status(statuses[1], STATUS_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reopen_finds_everything, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_kill_loses_nothing_acknowledged, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_counts_tell_the_sizes_of_the_files, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_writer_has_the_settings_that_durability_needs, setup_sqlite,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_readers_can_neither_write_nor_checkpoint, setup_sqlite,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_log_stays_short, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_no_query_sorts_or_scans_the_panics, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_each_lane_is_searched_for_its_part_alone, setup_sqlite,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_read_takes_more_steps_in_a_larger_tenant, setup_sqlite,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_read_that_finds_damage_is_internal, setup_sqlite, teardown),
    };
    return cmocka_run_group_tests_name("store: sqlite", tests, NULL, NULL);
}
