/*
 * Connections to the database: settings, schema, and the check of the start.
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
 *
 * Tables. Every change of a panic, its creation being the first, has a number: one sequence over panic.seq
 * and event.seq, in the order of the commits. As the key of both tables it makes every insert an append, and
 * the two together are the feed of changes. A create is three appends, or nearly: the row, its id (keys that
 * begin with the tenant and go on with a time-ordered id fall on the last page), and its entry in panic_due.
 *
 * panic_due orders what is open by when it is due, within lanes: lane 0, and one for each queue with the
 * panics that have waited in it since they were created. So one entry tells of a fresh panic both when it is
 * due and where it waits, and only one that waits again or still after a change has an entry in
 * panic_waiting. Indices are partial, and so as small as what is open, waits or is bound. panic_bound is what
 * makes a binding exclusive. `total` saves counting a million rows.
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
/*
 * What a connection takes small blocks from instead of malloc: enough for its prepared statements, which keep
 * theirs, and for the cursors and rows of those that run.
 */
#define LOOKASIDE_SIZE 1200
#define LOOKASIDE_SLOTS 400

/* As reported by PRAGMA synchronous. */
#define SYNCHRONOUS_FULL 2

/* migrations[v] brings a database from schema version v to v + 1. */
static const char *const migrations[] = {
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
    "INSERT INTO total VALUES (0);",

    /* Changes get their numbers in the order of their times, which is nearest to that of their commits. */
    "CREATE TABLE change ("
    "  seq INTEGER PRIMARY KEY, tenant TEXT NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL,"
    "  UNIQUE (tenant, id, version));"
    "INSERT INTO change (tenant, id, version) SELECT tenant, id, version FROM ("
    "  SELECT tenant, id, 1 AS version, create_us AS at_us FROM panic UNION ALL"
    "  SELECT tenant, panic_id, version, at_us FROM event) ORDER BY at_us, version;"
    "ALTER TABLE panic RENAME TO old_panic;"
    "ALTER TABLE event RENAME TO old_event;"
    "CREATE TABLE panic ("
    "  seq INTEGER PRIMARY KEY,"
    "  tenant TEXT NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, status INTEGER NOT NULL,"
    "  stage INTEGER NOT NULL, waiting INTEGER NOT NULL, attempts INTEGER NOT NULL, create_us INTEGER NOT "
    "NULL,"
    "  update_us INTEGER NOT NULL, next_action_us INTEGER, responder TEXT, assigned INTEGER NOT NULL,"
    "  assign_us INTEGER NOT NULL, distance_m REAL NOT NULL, outcome TEXT, content BLOB NOT NULL) STRICT;"
    "INSERT INTO panic SELECT change.seq, old_panic.* FROM old_panic"
    "  JOIN change USING (tenant, id) WHERE change.version = 1 ORDER BY change.seq;"
    "CREATE TABLE event ("
    "  seq INTEGER PRIMARY KEY,"
    "  tenant TEXT NOT NULL, panic_id BLOB NOT NULL, version INTEGER NOT NULL, at_us INTEGER NOT NULL,"
    "  type TEXT NOT NULL, actor TEXT NOT NULL, from_stage INTEGER NOT NULL, to_stage INTEGER NOT NULL)"
    "  STRICT;"
    "INSERT INTO event SELECT change.seq, old_event.* FROM old_event"
    "  JOIN change ON change.tenant = old_event.tenant AND change.id = old_event.panic_id"
    "  AND change.version = old_event.version ORDER BY change.seq;"
    "DROP TABLE old_panic; DROP TABLE old_event; DROP TABLE change;"
    "CREATE UNIQUE INDEX panic_id ON panic (tenant, id);"
    "CREATE UNIQUE INDEX panic_bound ON panic (tenant, responder) WHERE assigned = 1;"
    "CREATE UNIQUE INDEX event_panic ON event (tenant, panic_id, version);"
    "CREATE INDEX panic_due ON panic (" PANIC_LANE ", next_action_us) WHERE next_action_us IS NOT NULL;"
    "CREATE INDEX panic_waiting ON panic (waiting, create_us) WHERE waiting != 0 AND version > 1;",
};

#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

enum status schema_check_identity(const char *path, uint32_t application_id, int64_t version, bool has_tables,
                                  struct diag *diag)
{
    bool untouched = application_id == 0 && version == 0 && !has_tables;
    if (application_id != SQLITE_APPLICATION_ID && !untouched) {
        return diag_fail(diag, STATUS_FAILED_PRECONDITION,
                         "store: %s is a database of another application; name another file", path);
    }
    if (version > SCHEMA_VERSION) {
        return diag_fail(
            diag, STATUS_FAILED_PRECONDITION,
            "store: %s has schema version %lld, this panicd knows up to %d; run the newer panicd", path,
            (long long)version, SCHEMA_VERSION);
    }
    if (version < 0) {
        return diag_fail(diag, STATUS_FAILED_PRECONDITION,
                         "store: %s has schema version %lld, which never was", path, (long long)version);
    }
    return STATUS_OK;
}

/* The status of a failure while opening, told in a diag. */
static enum status open_failed(const struct connection *connection, const char *path, struct diag *diag)
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

static bool execute(struct connection *connection, const char *sql)
{
    return sqlite3_exec(connection->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* The first column of the first row; false when it fails or there is none. */
static bool query_number(struct connection *connection, const char *sql, int64_t *ret_number)
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
            return open_failed(connection, path, diag);
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
    if (code != SQLITE_OK ||
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_SIZE, LOOKASIDE_SLOTS) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(connection->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK ||
        !execute(connection, "PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA wal_autocheckpoint=0;"
                             "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;") ||
        !execute(connection, pragmas) || !query_number(connection, "PRAGMA synchronous", &synchronous)) {
        return open_failed(connection, path, diag);
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
    if (!query_number(connection, "PRAGMA application_id", &application_id) ||
        !query_number(connection, "PRAGMA user_version", ret_version) ||
        !query_number(connection, "SELECT count(*) FROM sqlite_schema", &tables)) {
        return open_failed(connection, path, diag);
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
        return open_failed(connection, path, diag);
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
        status = open_failed(connection, path, diag);
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

static bool run_migrations(struct connection *connection, int64_t version)
{
    if (!execute(connection, "BEGIN IMMEDIATE")) {
        return false;
    }
    char numbers[128];
    snprintf(numbers, sizeof(numbers), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             SQLITE_APPLICATION_ID, SCHEMA_VERSION);
    for (; version < SCHEMA_VERSION; version++) {
        if (!execute(connection, migrations[version])) {
            return false;
        }
    }
    return execute(connection, numbers);
}

static enum status migrate(struct connection *connection, const char *path, int64_t version,
                           struct diag *diag)
{
    if (version == SCHEMA_VERSION) {
        return STATUS_OK;
    }
    if (!run_migrations(connection, version)) {
        /* What is not committed goes with the connection. */
        return open_failed(connection, path, diag);
    }
    if (version > 0) {
        log_info("store schema migrated", log_str("path", path), log_int("from", version),
                 log_int("to", SCHEMA_VERSION));
    }
    return STATUS_OK;
}

static enum status turn_to_wal(struct connection *connection, const char *path, struct diag *diag)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
        sqlite3_finalize(statement);
        return open_failed(connection, path, diag);
    }
    bool turned = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (!turned) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: its file system cannot hold a write-ahead log",
                         path);
    }
    /* A log left by a kill goes into the database now, rather than in the first caller's time. */
    if (sqlite3_wal_checkpoint_v2(connection->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) != SQLITE_OK) {
        return open_failed(connection, path, diag);
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
        status = migrate(connection, file->path, version, diag);
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
