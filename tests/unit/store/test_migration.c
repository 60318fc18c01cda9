/*
 * A database of schema 1, as an older panicd left it, becomes one of the present schema with everything in
 * it. It is built with the statements of that schema, not by the code under test.
 */
#include "fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/sqlite_internal.h"
#include "support/captured_log.h"

/* What CTest takes for a test that could not run (SKIP_RETURN_CODE). */
#define EXIT_SKIPPED 77
/* Room for a database with the padding, and for less than a migration of it takes. */
#define DISK_SIZE "size=8m"
#define LARGE_DISK_SIZE "size=64m"
#define PADDING_BYTES (2 << 20)

#define ID(last) "x'0100000000000000000000000000000" #last "'"

/*
 * Panic 1 is open and fresh, 2 was assigned to unit-1 and is bound, 3 waits since its creation, 4 waits again
 * after a vain search, 5 is closed; another tenant has a panic 1 too. Changes happened in the order of their
 * times, which is not that in which the rows were written.
 */
static const char schema_1[] =
    "CREATE TABLE panic ("
    "  tenant TEXT NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, status INTEGER NOT NULL,"
    "  stage INTEGER NOT NULL, waiting INTEGER NOT NULL, attempts INTEGER NOT NULL, create_us INTEGER NOT "
    "NULL,"
    "  update_us INTEGER NOT NULL, next_action_us INTEGER, responder TEXT, assigned INTEGER NOT NULL,"
    "  assign_us INTEGER NOT NULL, distance_m REAL NOT NULL, outcome TEXT, content BLOB NOT NULL,"
    "  PRIMARY KEY (tenant, id)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX panic_due ON panic (next_action_us) WHERE next_action_us IS NOT NULL;"
    "CREATE INDEX panic_waiting ON panic (waiting, create_us) WHERE waiting != 0;"
    "CREATE UNIQUE INDEX panic_bound ON panic (tenant, responder) WHERE assigned = 1;"
    "CREATE TABLE event ("
    "  tenant TEXT NOT NULL, panic_id BLOB NOT NULL, version INTEGER NOT NULL, at_us INTEGER NOT NULL,"
    "  type TEXT NOT NULL, actor TEXT NOT NULL, from_stage INTEGER NOT NULL, to_stage INTEGER NOT NULL,"
    "  PRIMARY KEY (tenant, panic_id, version)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE responder ("
    "  tenant TEXT NOT NULL, id TEXT NOT NULL, state INTEGER NOT NULL, lat REAL, lng REAL,"
    "  update_us INTEGER NOT NULL, content BLOB NOT NULL,"
    "  PRIMARY KEY (tenant, id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE total (panics INTEGER NOT NULL) STRICT;"
    "INSERT INTO total VALUES (6);"
    "INSERT INTO panic VALUES"
    " ('acme', " ID(
        1) ", 1, 1, 1, 0, 0, 500, 500, 900, NULL, 0, 0, 0, NULL, x'6101'),"
           " ('acme', " ID(
               2) ", 2, 2, 3, 0, 0, 100, 300, 1800, 'unit-1', 1, 300, 12.5, NULL, x'6202'),"
                  " ('acme', " ID(
                      3) ", 1, 1, 2, 1, 1, 250, 250, 600, NULL, 0, 0, 0, NULL, x'6303'),"
                         " ('acme', " ID(
                             4) ", 3, 1, 2, 1, 2, 200, 450, 700, NULL, 0, 0, 0, NULL, x'6404'),"
                                " ('acme', " ID(
                                    5) ", 3, 3, 4, 0, 0, 50, 400, NULL, 'unit-2', 0, 150, -1, 'false alarm', "
                                       "x'6505'),"
                                       " ('acme2', " ID(
                                           1) ", 1, 1, 1, 0, 0, 260, 260, 800, NULL, 0, 0, 0, NULL, x'6606');"
                                              "INSERT INTO event VALUES"
                                              " ('acme', " ID(
                                                  5) ", 3, 400, 'resolved', 'api', 3, 4),"
                                                     " ('acme', " ID(
                                                         5) ", 2, 150, 'assigned', 'dispatch', 1, 3),"
                                                            " ('acme', " ID(
                                                                2) ", 2, 300, 'assigned', 'dispatch', 1, 3),"
                                                                   " ('acme', " ID(
                                                                       4) ", 2, 350, 'no_responder', "
                                                                          "'dispatch', 1, 2),"
                                                                          " ('acme', " ID(
                                                                              4) ", 3, 450, 'no_responder', "
                                                                                 "'dispatch', 2, 2);"
                                                                                 "INSERT INTO responder "
                                                                                 "VALUES ('acme', 'unit-1', "
                                                                                 "1, -33.9, 18.4, 70, "
                                                                                 "x'7501'),"
                                                                                 " ('acme', 'unit-2', 2, "
                                                                                 "NULL, NULL, 80, x'7502');"
                                                                                 "PRAGMA application_id = "
                                                                                 "0x706e6364; PRAGMA "
                                                                                 "user_version = 1; PRAGMA "
                                                                                 "journal_mode = WAL;";

static void execute(const struct fixture *fixture, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int setup_schema_1_unopened(void **state)
{
    setup_folder(state);
    execute(*state, schema_1);
    return 0;
}

static int setup_schema_1(void **state)
{
    setup_schema_1_unopened(state);
    fixture_reopen(*state);
    return 0;
}

static struct bytes content_of(const char text[2])
{
    return (struct bytes){.data = (const uint8_t *)text, .length = 2};
}

static void assert_stored(struct fixture *fixture, unsigned n, const struct store_panic *rest)
{
    struct store_panic expected = *rest;
    expected.tenant = "acme";
    expected.id = id_of(n);
    struct store_panic got = stored(fixture, &expected.id);
    assert_panic_equal(&got, &expected);
}

static void test_open_and_bound_panics_are_as_they_were(void **state)
{
    const struct store_panic fresh = {.version = 1,
                                      .status = 1,
                                      .stage = 1,
                                      .create_time_us = 500,
                                      .update_time_us = 500,
                                      .next_action_at_us = 900,
                                      .content = content_of("a\x01")};
    const struct store_panic bound = {.version = 2,
                                      .status = 2,
                                      .stage = 3,
                                      .assigned = true,
                                      .create_time_us = 100,
                                      .update_time_us = 300,
                                      .next_action_at_us = 1800,
                                      .responder_id = "unit-1",
                                      .assign_time_us = 300,
                                      .distance_m = 12.5,
                                      .content = content_of("b\x02")};
    assert_stored(*state, 1, &fresh);
    assert_stored(*state, 2, &bound);
}

static void test_waiting_and_closed_panics_are_as_they_were(void **state)
{
    const struct store_panic waiting = {.version = 3,
                                        .status = 1,
                                        .stage = 2,
                                        .waiting = 1,
                                        .attempts = 2,
                                        .create_time_us = 200,
                                        .update_time_us = 450,
                                        .next_action_at_us = 700,
                                        .content = content_of("d\x04")};
    const struct store_panic closed = {.version = 3,
                                       .status = 3,
                                       .stage = 4,
                                       .create_time_us = 50,
                                       .update_time_us = 400,
                                       .responder_id = "unit-2",
                                       .assign_time_us = 150,
                                       .distance_m = -1,
                                       .outcome = "false alarm",
                                       .content = content_of("e\x05")};
    assert_stored(*state, 4, &waiting);
    assert_stored(*state, 5, &closed);
}

static void test_the_feed_has_the_changes_in_the_order_of_their_times(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        unsigned panic;
        uint64_t version;
        const char *type;
        uint8_t to_stage;
    } expected[] = {
        {5, 1, "created", 1},      {2, 1, "created", 1},  {5, 2, "assigned", 3},     {4, 1, "created", 1},
        {3, 1, "created", 2},      {2, 2, "assigned", 3}, {4, 2, "no_responder", 2}, {5, 3, "resolved", 4},
        {4, 3, "no_responder", 2}, {1, 1, "created", 1},
    };
    const size_t n_expected = sizeof(expected) / sizeof(expected[0]);
    struct store_change changes[20];
    size_t n;
    uint64_t last;
    bool more;
    assert_ok(store_changes(fixture->store, "acme", NULL, 0, 20, &fixture->arena, changes, &n, &last, &more));
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) {
        struct id id = id_of(expected[i].panic);
        assert_true(id_equal(&changes[i].panic_id, &id));
        assert_int_equal(changes[i].event.version, expected[i].version);
        assert_string_equal(changes[i].event.type, expected[i].type);
        assert_int_equal(changes[i].event.to_stage, expected[i].to_stage);
    }
    assert_int_equal(last, 11);
}

static void test_what_is_created_next_comes_behind_in_the_feed(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic next = panic_of(9);
    assert_status(create(fixture, &next), STATUS_OK);
    uint64_t seq;
    assert_ok(store_last_seq(fixture->store, &seq));
    assert_int_equal(seq, 12);
}

static void test_the_due_scan_finds_every_open_panic(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t times[] = {600, 700, 800, 900, 1800};
    struct store_key keys[10];
    size_t n;
    assert_ok(store_due(fixture->store, 2000, INT64_MAX, 10, keys, &n));
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(keys[i].next_action_at_us, times[i]);
    }
}

static void test_the_queue_has_what_waits_the_oldest_first(void **state)
{
    struct fixture *fixture = *state;
    struct store_key keys[10];
    const struct id again = id_of(4);
    const struct id fresh = id_of(3);
    size_t n;
    assert_ok(store_waiting(fixture->store, 1, 10, keys, &n));
    assert_int_equal(n, 2);
    assert_true(id_equal(&keys[0].id, &again));
    assert_true(id_equal(&keys[1].id, &fresh));
}

static void test_responders_and_what_binds_them_are_there(void **state)
{
    struct fixture *fixture = *state;
    struct store_responder responders[3];
    size_t n;
    bool more;
    const struct id binding = id_of(2);
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 3, &fixture->arena, responders, &n, &more));
    assert_int_equal(n, 2);
    assert_true(id_equal(&responders[0].panic_id, &binding));
    assert_true(responders[0].location.known);
    assert_true(id_is_nil(&responders[1].panic_id));
    assert_false(responders[1].location.known);
}

static void test_a_bound_responder_is_still_exclusive(void **state)
{
    struct fixture *fixture = *state;
    struct id id = id_of(1);
    struct store_panic panic = stored(fixture, &id);
    panic = bound_next(&panic, "unit-1");
    assert_status(update(fixture, &panic), STATUS_ABORTED);
    panic.responder_id = "unit-2";
    assert_status(update(fixture, &panic), STATUS_OK);
}

static void test_the_counts_are_right(void **state)
{
    struct fixture *fixture = *state;
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 750, &counts));
    assert_int_equal(counts.panics, 6);
    assert_int_equal(counts.open, 5);
    assert_int_equal(counts.waiting, 2);
    assert_int_equal(counts.overdue, 2);
}

static void test_the_migrated_file_is_sound_and_opens_again(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics, 6);
    sqlite3_stmt *check;
    sqlite3 *db = ((struct sqlite_store *)fixture->store)->readers[0].db;
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(check), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
    sqlite3_finalize(check);
}

static void test_the_log_has_given_its_room_back(void **state)
{
    const struct fixture *fixture = *state;
    char log[160];
    struct stat info;
    snprintf(log, sizeof(log), "%s-wal", fixture->path);
    assert_int_equal(stat(log, &info), 0);
    assert_int_equal(info.st_size, 0);
}

static void test_beginning_and_end_are_logged(void **state)
{
    static struct captured_log log;
    captured_log_begin(&log);
    fixture_reopen(*state);
    captured_log_end(&log);
    assert_int_equal(captured_log_count(&log, "\"event\":\"store schema migration begins\""), 1);
    assert_int_equal(captured_log_count(&log, "\"event\":\"store schema migrated\""), 1);
    assert_int_equal(captured_log_count(&log, "\"from\":1,\"to\":2,\"panics\":6,"), 2);
    captured_log_begin(&log);
    fixture_reopen(*state);
    captured_log_end(&log);
    assert_int_equal(captured_log_count(&log, "migrat"), 0);
}

/* ---- a disk that is too small ---- */

static bool skipped;

static bool mount_disk(const struct fixture *fixture)
{
    if (mount("none", fixture->folder, "tmpfs", 0, DISK_SIZE) == 0) {
        return true;
    }
    print_message("no small disk: mounting one: %m\n");
    skipped = true;
    return false;
}

static size_t read_file(const char *path, uint8_t *room, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, room, size);
    close(fd);
    assert_in_range(n, 1, size - 1);
    return (size_t)n;
}

static void make_schema_1_with_padding(const struct fixture *fixture)
{
    char padding[128];
    execute(fixture, schema_1);
    snprintf(padding, sizeof(padding), "UPDATE panic SET content = zeroblob(%d) WHERE id = " ID(5),
             PADDING_BYTES);
    execute(fixture, padding);
}

static void test_a_disk_without_the_room_is_refused_with_nothing_changed(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t before[2 * PADDING_BYTES];
    static uint8_t after[2 * PADDING_BYTES];
    if (!mount_disk(fixture)) {
        skip();
    }
    make_schema_1_with_padding(fixture);
    size_t length = read_file(fixture->path, before, sizeof(before));
    struct diag diag = {0};
    assert_status(store_open(fixture->url, &fixture->store, &diag), STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(diag.text, fixture->path));
    assert_non_null(strstr(diag.text, "needs 7 MiB free on its file system, there are 5 MiB"));
    assert_int_equal(read_file(fixture->path, after, sizeof(after)), length);
    assert_memory_equal(after, before, length);

    assert_int_equal(mount("none", fixture->folder, "tmpfs", MS_REMOUNT, LARGE_DISK_SIZE), 0);
    fixture_reopen(fixture);
    const struct id id = id_of(5);
    assert_int_equal(stored(fixture, &id).content.length, PADDING_BYTES);
}

/* ---- a process that dies in the middle ---- */

/* How a child ends. */
enum { OPENED = 10, DIED_BEFORE, DIED_WITHIN };

/* Of the child: steps of SQLite's machine until it dies. */
static int steps_left;

/* Without a word to anybody, as if killed. The opening has one transaction of its own: the migration's. */
static int count_step(void *db)
{
    if (--steps_left <= 0) {
        _exit(sqlite3_get_autocommit(db) == 0 ? DIED_WITHIN : DIED_BEFORE);
    }
    return 0;
}

/* An extension's entry point: called for each connection that is opened. */
static int count_steps(sqlite3 *db, char **error, const void *api)
{
    (void)error;
    (void)api;
    sqlite3_progress_handler(db, 1, count_step, db);
    return SQLITE_OK;
}

static int open_in_child(const struct fixture *fixture, int steps)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store;
        steps_left = steps;
        sqlite3_auto_extension((void (*)(void))count_steps);
        _exit(store_open(fixture->url, &store, NULL) == STATUS_OK ? OPENED : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return WEXITSTATUS(result);
}

static int schema_version(const struct fixture *fixture)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(fixture->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return version;
}

static void test_death_in_the_middle_leaves_the_old_schema_whole(void **state)
{
    const struct fixture *fixture = *state;
    unsigned within = 0;
    int end;
    int steps = 1;
    while ((end = open_in_child(fixture, steps)) == DIED_WITHIN || end == DIED_BEFORE) {
        if (end == DIED_WITHIN) {
            assert_int_equal(schema_version(fixture), 1);
            within++;
        } else if (within > 0) {
            /* What was in a transaction before is behind it now: the migration is committed. */
            break;
        }
        steps += 1 + steps / 16;
    }
    assert_true(within > 10);
    assert_true(end == OPENED || end == DIED_BEFORE);
    assert_int_equal(schema_version(fixture), 2);
    fixture_reopen(*state);
    test_the_feed_has_the_changes_in_the_order_of_their_times(state);
    test_the_counts_are_right(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_bound_panics_are_as_they_were),
        cmocka_unit_test(test_waiting_and_closed_panics_are_as_they_were),
        cmocka_unit_test(test_the_feed_has_the_changes_in_the_order_of_their_times),
        cmocka_unit_test(test_what_is_created_next_comes_behind_in_the_feed),
        cmocka_unit_test(test_the_due_scan_finds_every_open_panic),
        cmocka_unit_test(test_the_queue_has_what_waits_the_oldest_first),
        cmocka_unit_test(test_responders_and_what_binds_them_are_there),
        cmocka_unit_test(test_a_bound_responder_is_still_exclusive),
        cmocka_unit_test(test_the_counts_are_right),
        cmocka_unit_test(test_the_migrated_file_is_sound_and_opens_again),
        cmocka_unit_test(test_the_log_has_given_its_room_back),
    };
    struct CMUnitTest on_schema_1[sizeof(tests) / sizeof(tests[0])];
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        on_schema_1[i] = tests[i];
        on_schema_1[i].setup_func = setup_schema_1;
        on_schema_1[i].teardown_func = teardown;
    }
    const struct CMUnitTest unopened[] = {
        cmocka_unit_test_setup_teardown(test_beginning_and_end_are_logged, setup_schema_1_unopened, teardown),
        cmocka_unit_test_setup_teardown(test_a_disk_without_the_room_is_refused_with_nothing_changed,
                                        setup_folder, unmount_and_teardown),
        cmocka_unit_test_setup_teardown(test_death_in_the_middle_leaves_the_old_schema_whole,
                                        setup_schema_1_unopened, teardown),
    };
    int failed = cmocka_run_group_tests_name("store: migration", on_schema_1, NULL, NULL) +
                 cmocka_run_group_tests_name("store: a migration's surroundings", unopened, NULL, NULL);
    return failed == 0 && skipped ? EXIT_SKIPPED : failed;
}
