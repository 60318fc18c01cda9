/*
 * Connections to the database: their settings, and the check of the start.
 *
 * Settings that durability hangs on are set on each connection and read back, because SQLite answers a
 * setting that it does not follow with silence: synchronous=FULL syncs the log at each commit (NORMAL may
 * lose acknowledged commits when power fails), journal_mode=WAL lets reads run beside writes. Nothing
 * checkpoints by itself: SQLite's own checkpoint after a commit swallows its errors, and its checkpoint at
 * the last close would write to a file that we may just have refused. Only one connection ever writes or
 * checkpoints: up to SQLite 3.51.2 two of them doing so at once can corrupt the file
 * (https://sqlite.org/wal.html, "The WAL-Reset Bug").
 *
 * A new database gets its schema, application id and version in one transaction in SQLite's default journal
 * mode, and turns to WAL afterwards: so they are in the header of the file itself from the first moment,
 * where the check before the opening finds them. A migration is followed by a checkpoint for the same reason.
 */
#include "store/sqlite_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define PAGE_SIZE 4096
#define WRITER_CACHE_KIB 32768
#define READER_CACHE_KIB 1024
#define BUSY_TIMEOUT_MS 1000
#define CHECK_TIME_US (200 * US_PER_MS)

/* As reported by PRAGMA synchronous. */
#define SYNCHRONOUS_FULL 2

enum status connection_failed(const struct connection *connection, const char *path, struct diag *diag)
{
    int code = sqlite3_extended_errcode(connection->db);
    const char *text = sqlite3_errmsg(connection->db);
    if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
        return diag_fail(diag, STATUS_FAILED_PRECONDITION,
                         "store: %s is damaged (%s); restore it from a copy or name another file", path,
                         text);
    }
    errno = sqlite3_system_errno(connection->db);
    return errno != 0 ? diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %s (%m)", path, text)
                      : diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %s", path, text);
}

bool connection_execute(struct connection *connection, const char *sql)
{
    return sqlite3_exec(connection->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

bool connection_query_number(struct connection *connection, const char *sql, int64_t *ret_number)
{
    sqlite3_stmt *statement = NULL;
    bool found = sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        *ret_number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return found;
}

static enum status prepare_all(struct connection *connection, const char *path, const char *const *sql,
                               size_t n, struct diag *diag)
{
    assert(n <= STATEMENTS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (sqlite3_prepare_v3(connection->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &connection->statements[i], NULL) != SQLITE_OK) {
            return connection_failed(connection, path, diag);
        }
    }
    return STATUS_OK;
}

static enum status connect(struct connection *connection, const char *path, int flags, const char *pragmas,
                           struct diag *diag)
{
    int code =
        sqlite3_open_v2(path, &connection->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (connection->db == NULL) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: no memory", path);
    }
    int64_t synchronous;
    if (code != SQLITE_OK || sqlite3_busy_timeout(connection->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        !connection_execute(connection,
                            "PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;"
                            "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;") ||
        !connection_execute(connection, pragmas) ||
        !connection_query_number(connection, "PRAGMA synchronous", &synchronous)) {
        return connection_failed(connection, path, diag);
    }
    if (synchronous != SYNCHRONOUS_FULL) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: synchronous=FULL is not followed", path);
    }
    return STATUS_OK;
}

static enum status check_identity(struct connection *connection, const char *path, int64_t *ret_version,
                                  struct diag *diag)
{
    int64_t application_id;
    int64_t tables;
    if (!connection_query_number(connection, "PRAGMA application_id", &application_id) ||
        !connection_query_number(connection, "PRAGMA user_version", ret_version) ||
        !connection_query_number(connection, "SELECT count(*) FROM sqlite_schema", &tables)) {
        return connection_failed(connection, path, diag);
    }
    return schema_check_identity(path, (uint32_t)application_id, *ret_version, tables > 0, diag);
}

/*
 * Interrupts the check of the start when its time is over, as the check polls for nothing else while it walks
 * a tree.
 */
struct check_timer {
    sqlite3 *db;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under `lock`. */
    bool done;
    bool fired;
};

static void *run_check_timer(void *ctx)
{
    struct check_timer *timer = ctx;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CHECK_TIME_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&timer->lock);
    int waited = 0;
    while (!timer->done && waited != ETIMEDOUT) {
        waited = pthread_cond_clockwait(&timer->changed, &timer->lock, CLOCK_MONOTONIC, &until);
    }
    if (!timer->done) {
        timer->fired = true;
        sqlite3_interrupt(timer->db);
    }
    pthread_mutex_unlock(&timer->lock);
    return NULL;
}

/* PRAGMA quick_check on the calling thread, as far as it gets; damage found is FAILED_PRECONDITION. */
static enum status check_tables(struct connection *connection, const char *path, struct check_timer *timer,
                                struct diag *diag)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(connection->db, "PRAGMA quick_check(1)", -1, &statement, NULL) != SQLITE_OK) {
        return connection_failed(connection, path, diag);
    }
    int code = sqlite3_step(statement);
    pthread_mutex_lock(&timer->lock);
    timer->done = true;
    bool fired = timer->fired;
    pthread_cond_signal(&timer->changed);
    pthread_mutex_unlock(&timer->lock);

    enum status status = STATUS_OK;
    if (fired) {
        /* A check cut short reports what it has not reached as damage, so its findings mean nothing. */
        log_info("store check ended early", log_str("path", path), log_int("after_us", CHECK_TIME_US));
    } else if (code != SQLITE_ROW) {
        status = connection_failed(connection, path, diag);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        status =
            diag_fail(diag, STATUS_FAILED_PRECONDITION, "store: %s is damaged (%s); restore it from a copy",
                      path, (const char *)sqlite3_column_text(statement, 0));
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status check_bounded(struct connection *connection, const char *path, struct diag *diag)
{
    struct check_timer timer = {
        .db = connection->db, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run_check_timer, &timer);
    if (error != 0) {
        errno = error;
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: no thread for the check: %m");
    }
    enum status status = check_tables(connection, path, &timer, diag);
    pthread_mutex_lock(&timer.lock);
    timer.done = true;
    pthread_cond_signal(&timer.changed);
    pthread_mutex_unlock(&timer.lock);
    pthread_join(thread, NULL);
    return status;
}

static enum status turn_to_wal(struct connection *connection, const char *path, struct diag *diag)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        sqlite3_finalize(statement);
        return connection_failed(connection, path, diag);
    }
    bool turned = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (!turned) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: its file system cannot hold a write-ahead log",
                         path);
    }
    /*
     * What a kill or a migration left in the log goes into the database now, rather than in the first
     * caller's time, and the log gives its room back. Nobody reads yet.
     */
    if (sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK) {
        return connection_failed(connection, path, diag);
    }
    return STATUS_OK;
}

enum status writer_connect(const struct database_file *file, struct connection *connection, struct diag *diag)
{
    char pragmas[128];
    snprintf(pragmas, sizeof(pragmas), "PRAGMA page_size=%d; PRAGMA cache_size=-%d", PAGE_SIZE,
             WRITER_CACHE_KIB);
    enum status status =
        connect(connection, file->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, pragmas, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (sqlite3_db_readonly(connection->db, "main") == 1) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: no permission to write", file->path);
    }
    int64_t version = 0;
    status = check_identity(connection, file->path, &version, diag);
    if (status == STATUS_OK && version > 0) {
        status = check_bounded(connection, file->path, diag);
    }
    if (status == STATUS_OK) {
        status = schema_migrate(connection, file->path, version, diag);
    }
    if (status == STATUS_OK) {
        status = turn_to_wal(connection, file->path, diag);
    }
    if (status == STATUS_OK) {
        status = prepare_all(connection, file->path, write_statements, write_statements_n, diag);
    }
    return status;
}

enum status reader_connect(const struct database_file *file, struct connection *connection, struct diag *diag)
{
    char pragmas[64];
    snprintf(pragmas, sizeof(pragmas), "PRAGMA query_only=ON; PRAGMA cache_size=-%d", READER_CACHE_KIB);
    enum status status = connect(connection, file->path, SQLITE_OPEN_READONLY, pragmas, diag);
    if (status == STATUS_OK) {
        status = prepare_all(connection, file->path, read_statements, read_statements_n, diag);
    }
    return status;
}

void connection_close(struct connection *connection)
{
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        sqlite3_finalize(connection->statements[i]);
        connection->statements[i] = NULL;
    }
    int code = sqlite3_close(connection->db);
    assert(code == SQLITE_OK);
    connection->db = NULL;
}
