/* Which URLs and files a store opens, and that a file which is refused is left as it was. */
#include "fixture.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX (4u << 20)

struct snapshot {
    uint8_t *data;
    size_t length;
};

static struct snapshot snapshot(const char *path)
{
    struct snapshot snapshot = {.data = malloc(FILE_MAX)};
    assert_non_null(snapshot.data);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    snapshot.length = fread(snapshot.data, 1, FILE_MAX, file);
    fclose(file);
    return snapshot;
}

static void write_file(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void overwrite(const char *path, off_t offset, const void *data, size_t length)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, length, offset), length);
    close(fd);
}

static bool beside_exists(const struct fixture *fixture, const char *suffix)
{
    char path[160];
    snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
    return access(path, F_OK) == 0;
}

static bool beside_has_bytes(const struct fixture *fixture, const char *suffix)
{
    char path[160];
    snprintf(path, sizeof(path), "%s%s", fixture->path, suffix);
    struct stat info;
    return stat(path, &info) == 0 && info.st_size > 0;
}

/* Opening the fixture's file fails so, says so, and changes nothing. */
static void assert_refused(struct fixture *fixture, enum status expected, const char *word)
{
    struct snapshot before = snapshot(fixture->path);
    struct diag diag = {0};
    assert_status(store_open(fixture->url, &fixture->store, &diag), expected);
    assert_non_null(strstr(diag.text, fixture->path));
    assert_non_null(strstr(diag.text, word));
    struct snapshot after = snapshot(fixture->path);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    free(before.data);
    free(after.data);
}

static void assert_nothing_beside(const struct fixture *fixture)
{
    assert_false(beside_exists(fixture, "-wal"));
    assert_false(beside_exists(fixture, "-shm"));
    assert_false(beside_exists(fixture, "-journal"));
}

static void execute(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_other_urls_are_invalid_and_not_repeated(void **state)
{
    (void)state;
    static const char *const urls[] = {"",        "memory",    "memory:x",
                                       "sqlite:", "panicd.db", "redis://user:secret@host"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct store *store;
        struct diag diag = {0};
        assert_status(store_open(urls[i], &store, &diag), STATUS_INVALID_ARGUMENT);
        assert_true(diag.text[0] != 0);
        assert_null(strstr(diag.text, "secret"));
    }
}

static void test_empty_file_becomes_a_store(void **state)
{
    struct fixture *fixture = *state;
    write_file(fixture->path, "", 0);
    fixture_reopen(fixture);
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
}

static void test_file_that_is_no_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char text[200] = "Dear diary, this is not a database.";
    write_file(fixture->path, text, sizeof(text));
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "not a database");
    assert_nothing_beside(fixture);
    write_file(fixture->path, "SQLite format 3", 16);
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "not a database");
    assert_nothing_beside(fixture);
}

static void test_database_of_another_application_is_refused(void **state)
{
    struct fixture *fixture = *state;
    execute(fixture->path, "PRAGMA application_id=1234; CREATE TABLE stamps (id INTEGER);");
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "another application");
    assert_nothing_beside(fixture);
}

static void test_database_with_tables_and_without_application_id_is_refused(void **state)
{
    struct fixture *fixture = *state;
    execute(fixture->path, "CREATE TABLE stamps (id INTEGER);");
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "another application");
    assert_nothing_beside(fixture);
}

static void test_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    store_close(fixture->store);
    fixture->store = NULL;
    /* The user version, big-endian. */
    static const uint8_t version[] = {0, 0, 0, 99};
    overwrite(fixture->path, 60, version, sizeof(version));
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "schema version 99");
}

/* The file's header is old; what is new is only in the log that a killed panicd left. */
static void test_newer_schema_in_the_log_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    store_close(fixture->store);
    fixture->store = NULL;
    sqlite3 *db;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=98", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "schema version 98");
    assert_true(beside_exists(fixture, "-wal"));
}

static void test_damaged_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    for (unsigned i = 1; i <= 300; i++) {
        struct store_panic panic = panic_of(i);
        assert_status(create(fixture, &panic), STATUS_OK);
    }
    store_close(fixture->store);
    fixture->store = NULL;
    struct stat info;
    assert_int_equal(stat(fixture->path, &info), 0);
    /* A clean close leaves everything in the file itself. */
    assert_false(beside_has_bytes(fixture, "-wal"));
    uint8_t garbage[4096];
    memset(garbage, 0xa5, sizeof(garbage));
    overwrite(fixture->path, info.st_size - 4096, garbage, sizeof(garbage));
    assert_refused(fixture, STATUS_FAILED_PRECONDITION, "damaged");
}

static void test_second_store_on_a_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    struct store *second;
    struct diag diag = {0};
    assert_status(store_open(fixture->url, &second, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "already in use"));
    assert_non_null(strstr(diag.text, fixture->path));
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
}

static void test_second_store_under_another_name_of_the_folder_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    char url[200];
    snprintf(url, sizeof(url), "sqlite:%s/../%s/panicd.db", fixture->folder, strrchr(fixture->folder, '/'));
    struct store *second;
    struct diag diag = {0};
    assert_status(store_open(url, &second, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "already in use"));
}

static void test_lock_goes_with_a_close(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    fixture_reopen(fixture);
}

static void test_missing_folder_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    char url[200];
    snprintf(url, sizeof(url), "sqlite:%s/missing/panicd.db", fixture->folder);
    struct diag diag = {0};
    assert_status(store_open(url, &fixture->store, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, url + strlen("sqlite:")));
}

static void test_path_of_a_folder_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    char url[200];
    snprintf(url, sizeof(url), "sqlite:%s", fixture->folder);
    struct diag diag = {0};
    assert_status(store_open(url, &fixture->store, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "is a folder"));
}

/* In a child without root's rights: the status that opening gives. */
static enum status open_as_nobody(const struct fixture *fixture)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store *store;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) {
            _exit(99);
        }
        _exit((int)store_open(fixture->url, &store, NULL));
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    return (enum status)WEXITSTATUS(result);
}

static void test_folder_without_permission_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(chmod(fixture->folder, 0555), 0);
    assert_status(open_as_nobody(fixture), STATUS_UNAVAILABLE);
    assert_false(beside_exists(fixture, ""));
    assert_int_equal(chmod(fixture->folder, 0755), 0);
}

static void test_file_without_permission_to_write_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    fixture_reopen(fixture);
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    char lock[160];
    snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
    assert_int_equal(chmod(lock, 0666), 0);
    assert_int_equal(chmod(fixture->path, 0444), 0);
    assert_status(open_as_nobody(fixture), STATUS_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_urls_are_invalid_and_not_repeated),
        cmocka_unit_test_setup_teardown(test_empty_file_becomes_a_store, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_file_that_is_no_database_is_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_database_of_another_application_is_refused, setup_folder,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_database_with_tables_and_without_application_id_is_refused,
                                        setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_newer_schema_is_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_newer_schema_in_the_log_is_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_database_is_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_second_store_on_a_file_is_refused, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_second_store_under_another_name_of_the_folder_is_refused,
                                        setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_lock_goes_with_a_close, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_missing_folder_is_unavailable, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_path_of_a_folder_is_unavailable, setup_folder, teardown),
        cmocka_unit_test_setup_teardown(test_folder_without_permission_is_unavailable, setup_folder,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_file_without_permission_to_write_is_unavailable, setup_folder,
                                        teardown),
    };
    return cmocka_run_group_tests_name("store: open", tests, NULL, NULL);
}
