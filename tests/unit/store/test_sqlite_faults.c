/*
 * A disk that fills up or fails. The full disk is a small tmpfs (skipped where mounting is not permitted);
 * the failures are injected by a VFS that is SQLite's own but for the calls named by `fault`.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/captured_log.h"

/* What CTest takes for a test that could not run (SKIP_RETURN_CODE). */
#define EXIT_SKIPPED 77
#define DISK_SIZE "8m"
#define BALLAST_SIZE (2u << 20)
/* By then 8 MiB must be full. */
#define CREATES_MAX 4000

enum fault {
    FAULT_NONE,
    FAULT_LOG_SYNC,
    FAULT_FILE_SYNC,
    FAULT_FILE_SPACE,
    FAULT_LOG_QUOTA,
    FAULT_LOG_WRITE,
    FAULT_INDEX_SPACE
};

static enum fault fault;
static sqlite3_vfs faulty_vfs;
static sqlite3_vfs *real_vfs;
/* SQLite gives its logs other methods than its databases. */
static const sqlite3_io_methods *real_file_methods;
static const sqlite3_io_methods *real_log_methods;
static sqlite3_io_methods file_methods;
static sqlite3_io_methods log_methods;

static int sync_file(sqlite3_file *file, int flags)
{
    if (fault == FAULT_FILE_SYNC) {
        errno = EIO;
        return SQLITE_IOERR_FSYNC;
    }
    return real_file_methods->xSync(file, flags);
}

static int write_file(sqlite3_file *file, const void *data, int length, sqlite3_int64 offset)
{
    if (fault == FAULT_FILE_SPACE) {
        errno = ENOSPC;
        return SQLITE_FULL;
    }
    return real_file_methods->xWrite(file, data, length, offset);
}

/* A sync that finds the disk full has lost what was written before, unlike a write. */
static int sync_log(sqlite3_file *file, int flags)
{
    if (fault == FAULT_LOG_SYNC) {
        errno = ENOSPC;
        return SQLITE_IOERR_FSYNC;
    }
    return real_log_methods->xSync(file, flags);
}

static int write_log(sqlite3_file *file, const void *data, int length, sqlite3_int64 offset)
{
    if (fault == FAULT_LOG_QUOTA || fault == FAULT_LOG_WRITE) {
        errno = fault == FAULT_LOG_QUOTA ? EDQUOT : EIO;
        return SQLITE_IOERR_WRITE;
    }
    return real_log_methods->xWrite(file, data, length, offset);
}

static int map_index(sqlite3_file *file, int region, int size, int extend, void volatile **ret_memory)
{
    if (fault == FAULT_INDEX_SPACE && extend) {
        errno = ENOSPC;
        return SQLITE_IOERR_SHMSIZE;
    }
    return real_file_methods->xShmMap(file, region, size, extend, ret_memory);
}

static void patch_file(sqlite3_file *file)
{
    real_file_methods = file->pMethods;
    file_methods = *real_file_methods;
    file_methods.xSync = sync_file;
    file_methods.xWrite = write_file;
    file_methods.xShmMap = map_index;
    file->pMethods = &file_methods;
}

static void patch_log(sqlite3_file *file)
{
    real_log_methods = file->pMethods;
    log_methods = *real_log_methods;
    log_methods.xSync = sync_log;
    log_methods.xWrite = write_log;
    file->pMethods = &log_methods;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    int code = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);
    if (code == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB) != 0) {
        patch_file(file);
    } else if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
        patch_log(file);
    }
    return code;
}

static int install_vfs(void **state)
{
    (void)state;
    real_vfs = sqlite3_vfs_find(NULL);
    faulty_vfs = *real_vfs;
    faulty_vfs.zName = "faulty";
    faulty_vfs.xOpen = open_file;
    return sqlite3_vfs_register(&faulty_vfs, 1) == SQLITE_OK ? 0 : -1;
}

/* The status of a batch that creates panic n. */
static enum status try_create(struct fixture *fixture, unsigned n)
{
    static uint8_t data[6000];
    struct store_panic panic = panic_of(n);
    panic.content = (struct bytes){.data = data, .length = sizeof(data)};
    struct store_op op = create_op(fixture, &panic);
    return store_apply(fixture->store, &op, 1);
}

static void assert_stored(struct fixture *fixture, unsigned n)
{
    struct id id = id_of(n);
    assert_int_equal(stored(fixture, &id).content.length, 6000);
    arena_reset(&fixture->arena);
}

static void assert_not_stored(struct fixture *fixture, unsigned n)
{
    struct id id = id_of(n);
    struct store_panic panic;
    assert_status(store_get(fixture->store, "acme", &id, &fixture->arena, &panic), STATUS_NOT_FOUND);
}

static void test_failed_sync_of_the_log_is_data_loss_for_good(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(try_create(fixture, 1));
    fault = FAULT_LOG_SYNC;
    assert_status(try_create(fixture, 2), STATUS_DATA_LOSS);
    fault = FAULT_NONE;
    assert_status(try_create(fixture, 3), STATUS_DATA_LOSS);
    fixture_reopen(fixture);
    assert_stored(fixture, 1);
    assert_not_stored(fixture, 3);
    assert_ok(try_create(fixture, 4));
}

static void test_failed_sync_of_a_checkpoint_is_data_loss(void **state)
{
    struct fixture *fixture = *state;
    fault = FAULT_FILE_SYNC;
    enum status status = STATUS_OK;
    unsigned n = 0;
    while (status == STATUS_OK && n < CREATES_MAX) {
        status = try_create(fixture, ++n);
    }
    fault = FAULT_NONE;
    assert_status(status, STATUS_DATA_LOSS);
    fixture_reopen(fixture);
    for (unsigned i = 1; i < n; i++) {
        assert_stored(fixture, i);
    }
}

/* By then the log is longer than it may be before a checkpoint is tried after every batch. */
#define CREATES_WITH_LONG_LOG 700

static void test_checkpoints_without_room_lose_nothing_and_are_logged_once_and_when_it_is_over(void **state)
{
    struct fixture *fixture = *state;
    static struct captured_log log;
    unsigned n = 0;
    captured_log_begin(&log);
    fault = FAULT_FILE_SPACE;
    while (n < CREATES_WITH_LONG_LOG) {
        assert_ok(try_create(fixture, n++));
    }
    fault = FAULT_NONE;
    assert_ok(try_create(fixture, n++));
    assert_ok(try_create(fixture, n++));
    captured_log_end(&log);
    assert_int_equal(captured_log_count(&log, "\"step\":\"checkpoint\""), 1);
    assert_int_equal(captured_log_count(&log, "store writes again"), 1);
    fixture_reopen(fixture);
    for (unsigned i = 0; i < n; i++) {
        assert_stored(fixture, i);
    }
}

static void test_batches_without_room_are_logged_once_and_when_it_is_over(void **state)
{
    struct fixture *fixture = *state;
    static struct captured_log log;
    captured_log_begin(&log);
    fault = FAULT_LOG_QUOTA;
    for (unsigned n = 0; n < 50; n++) {
        assert_status(try_create(fixture, n), STATUS_RESOURCE_EXHAUSTED);
    }
    fault = FAULT_NONE;
    assert_ok(try_create(fixture, 50));
    assert_ok(try_create(fixture, 51));
    captured_log_end(&log);
    assert_int_equal(captured_log_count(&log, "store write failed"), 1);
    assert_int_equal(captured_log_count(&log, "\"what\":\"batch\",\"failures\":50"), 1);
}

static void test_failed_write_is_data_loss(void **state)
{
    struct fixture *fixture = *state;
    fault = FAULT_LOG_WRITE;
    assert_status(try_create(fixture, 1), STATUS_DATA_LOSS);
    fault = FAULT_NONE;
    assert_status(try_create(fixture, 2), STATUS_DATA_LOSS);
}

static void test_spent_quota_is_resource_exhausted_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(try_create(fixture, 1));
    fault = FAULT_LOG_QUOTA;
    assert_status(try_create(fixture, 2), STATUS_RESOURCE_EXHAUSTED);
    fault = FAULT_NONE;
    assert_not_stored(fixture, 2);
    assert_ok(try_create(fixture, 3));
    fixture_reopen(fixture);
    assert_stored(fixture, 1);
    assert_not_stored(fixture, 2);
    assert_stored(fixture, 3);
}

static void test_index_of_the_log_that_cannot_grow_fails_the_batch_before_it_begins(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t data[32768];
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned i = 0; i < STORE_BATCH_MAX; i++) {
        panics[i] = panic_of(i);
        panics[i].content = (struct bytes){.data = data, .length = sizeof(data)};
        ops[i] = create_op(fixture, &panics[i]);
    }
    fault = FAULT_INDEX_SPACE;
    assert_status(store_apply(fixture->store, ops, STORE_BATCH_MAX), STATUS_RESOURCE_EXHAUSTED);
    /* A small batch needs no more index than there is. */
    assert_ok(try_create(fixture, 5000));
    fault = FAULT_NONE;
    assert_not_stored(fixture, 0);
    assert_ok(store_apply(fixture->store, ops, STORE_BATCH_MAX));
}

static void write_ballast(const char *path)
{
    static const uint8_t block[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t written = 0; written < BALLAST_SIZE; written += sizeof(block)) {
        assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
    }
    close(fd);
}

static void fill_free_and_fill_again(struct fixture *fixture)
{
    char ballast[160];
    snprintf(ballast, sizeof(ballast), "%s/ballast", fixture->folder);
    write_ballast(ballast);
    fixture_reopen(fixture);
    unsigned n = 0;
    while (n < CREATES_MAX && try_create(fixture, n) == STATUS_OK) {
        n++;
    }
    assert_in_range(n, 100, CREATES_MAX - 1);
    assert_status(try_create(fixture, n), STATUS_RESOURCE_EXHAUSTED);
    assert_status(try_create(fixture, n), STATUS_RESOURCE_EXHAUSTED);
    for (unsigned i = 0; i < n; i++) {
        assert_stored(fixture, i);
    }
    assert_not_stored(fixture, n);

    assert_int_equal(unlink(ballast), 0);
    for (unsigned i = 0; i < 50; i++) {
        assert_ok(try_create(fixture, n++));
    }
    fixture_reopen(fixture);
    for (unsigned i = 0; i < n; i++) {
        assert_stored(fixture, i);
    }
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics, n);
}

static bool skipped;

static void test_full_disk_is_resource_exhausted_until_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    if (mount("none", fixture->folder, "tmpfs", 0, "size=" DISK_SIZE) != 0) {
        print_message("no small disk to fill: mounting one: %m\n");
        skipped = true;
        skip();
    }
    fill_free_and_fill_again(fixture);
}

static int teardown_without_fault(void **state)
{
    fault = FAULT_NONE;
    return teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failed_sync_of_the_log_is_data_loss_for_good, setup_sqlite,
                                        teardown_without_fault),
        cmocka_unit_test_setup_teardown(test_failed_sync_of_a_checkpoint_is_data_loss, setup_sqlite,
                                        teardown_without_fault),
        cmocka_unit_test_setup_teardown(
            test_checkpoints_without_room_lose_nothing_and_are_logged_once_and_when_it_is_over, setup_sqlite,
            teardown_without_fault),
        cmocka_unit_test_setup_teardown(test_batches_without_room_are_logged_once_and_when_it_is_over,
                                        setup_sqlite, teardown_without_fault),
        cmocka_unit_test_setup_teardown(test_failed_write_is_data_loss, setup_sqlite, teardown_without_fault),
        cmocka_unit_test_setup_teardown(test_spent_quota_is_resource_exhausted_until_there_is_room,
                                        setup_sqlite, teardown_without_fault),
        cmocka_unit_test_setup_teardown(
            test_index_of_the_log_that_cannot_grow_fails_the_batch_before_it_begins, setup_sqlite,
            teardown_without_fault),
        cmocka_unit_test_setup_teardown(test_full_disk_is_resource_exhausted_until_there_is_room,
                                        setup_folder, unmount_and_teardown),
    };
    int failed = cmocka_run_group_tests_name("store: faults", tests, install_vfs, NULL);
    return failed == 0 && skipped ? EXIT_SKIPPED : failed;
}
