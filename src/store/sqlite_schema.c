/*
 * The schema and how a database gets it: from nothing, or from what an older panicd left.
 *
 * Every step from one version to the next is SQL, and all steps run in one transaction: a process that dies
 * in the middle, or finds the disk full, leaves the old schema as it was. A step that rewrites every panic
 * holds the old rows and the new until the commit, and the new ones a second time in the write-ahead log
 * until the checkpoint. Rather than find out after many minutes that the disk has no room for that, it is
 * asked before, and the file is refused untouched. It is logged when such a step begins and ends, since
 * nothing is served in between.
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

#include <stdio.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * What the step to version 2 takes beside the file while it runs, as measured with contents of 0 to 8 KB and
 * up to 6 events a panic, rounded up: the rows twice and the old ones, which SQLite may overwrite with zeros,
 * once; and for each creation and event its number.
 */
#define ROOM_PER_BYTE 3
#define ROOM_PER_CHANGE 160

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

static bool run_migrations(struct connection *connection, int64_t version)
{
    if (!connection_execute(connection, "BEGIN IMMEDIATE")) {
        return false;
    }
    char numbers[128];
    snprintf(numbers, sizeof(numbers), "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
             SQLITE_APPLICATION_ID, SCHEMA_VERSION);
    for (; version < SCHEMA_VERSION; version++) {
        if (!connection_execute(connection, migrations[version])) {
            return false;
        }
    }
    return connection_execute(connection, numbers);
}

/* What a database that is not empty holds. */
struct holdings {
    int64_t panics;
    int64_t events;
    int64_t bytes;
};

static enum status count_holdings(struct connection *connection, const char *path,
                                  struct holdings *ret_holdings, struct diag *diag)
{
    int64_t pages;
    int64_t page_size;
    if (!connection_query_number(connection, "SELECT panics FROM total", &ret_holdings->panics) ||
        !connection_query_number(connection, "SELECT count(*) FROM event", &ret_holdings->events) ||
        !connection_query_number(connection, "PRAGMA page_count", &pages) ||
        !connection_query_number(connection, "PRAGMA page_size", &page_size)) {
        return connection_failed(connection, path, diag);
    }
    ret_holdings->bytes = pages * page_size;
    return STATUS_OK;
}

static enum status check_room(const char *path, int64_t version, const struct holdings *holdings,
                              struct diag *diag)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: the room on its file system: %m", path);
    }
    uint64_t needed = (uint64_t)holdings->bytes * ROOM_PER_BYTE +
                      (uint64_t)(holdings->panics + holdings->events) * ROOM_PER_CHANGE;
    uint64_t there = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (there >= needed) {
        return STATUS_OK;
    }
    return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED,
                     "store: %s: going from schema version %lld to %d needs %llu MiB free on its file system,"
                     " there are %llu MiB; nothing was changed. Make room, or move the file",
                     path, (long long)version, SCHEMA_VERSION, (unsigned long long)(needed >> 20) + 1,
                     (unsigned long long)there >> 20);
}

/* What is not committed goes with the connection; what it has taken of the disk is given back. */
static enum status migration_failed(struct connection *connection, const char *path, struct diag *diag)
{
    int code = sqlite3_errcode(connection->db);
    enum status status = connection_failed(connection, path, diag);
    /* Some failures have rolled back already. */
    bool rolled_back =
        sqlite3_get_autocommit(connection->db) != 0 || connection_execute(connection, "ROLLBACK");
    if (code == SQLITE_FULL && rolled_back &&
        !connection_execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)")) {
        log_warn("store: the write-ahead log of a vain migration stays", log_str("path", path));
    }
    return status;
}

static enum status migrate_holdings(struct connection *connection, const char *path, int64_t version,
                                    struct diag *diag)
{
    struct holdings holdings;
    enum status status = count_holdings(connection, path, &holdings, diag);
    if (status == STATUS_OK) {
        status = check_room(path, version, &holdings, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    log_info("store schema migration begins", log_str("path", path), log_int("from", version),
             log_int("to", SCHEMA_VERSION), log_int("panics", holdings.panics),
             log_int("bytes", holdings.bytes));
    int64_t start_us = monotonic_us();
    if (!run_migrations(connection, version)) {
        return migration_failed(connection, path, diag);
    }
    log_info("store schema migrated", log_str("path", path), log_int("from", version),
             log_int("to", SCHEMA_VERSION), log_int("panics", holdings.panics),
             log_int("took_ms", (monotonic_us() - start_us) / US_PER_MS));
    return STATUS_OK;
}

enum status schema_migrate(struct connection *connection, const char *path, int64_t version,
                           struct diag *diag)
{
    if (version == SCHEMA_VERSION) {
        return STATUS_OK;
    }
    if (version > 0) {
        return migrate_holdings(connection, path, version, diag);
    }
    return run_migrations(connection, version) ? STATUS_OK : migration_failed(connection, path, diag);
}
