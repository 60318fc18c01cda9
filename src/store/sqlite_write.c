/*
 * Batches and checkpoints, on the one connection that writes.
 *
 * A batch is BEGIN IMMEDIATE, a statement or two per op, COMMIT. Whether an op takes effect is decided by its
 * one write: an insert that does nothing on a taken id, an update whose WHERE has the expected version and
 * which the unique index panic_bound makes do nothing when the responder is bound. Nothing needs undoing, so
 * there is no savepoint; only when a write changed no row is it asked why.
 *
 * Failures. Before the commit nothing has reached the disk as part of a transaction, so a lack of space or
 * memory is rolled back and told as RESOURCE_EXHAUSTED. Within COMMIT, SQLite writes the pages to the log,
 * syncs the log, and then enters them in the log's index. What fails before the sync leaves the last page,
 * which carries the commit mark, incomplete, and recovery ignores it: a full disk here is a clean failure
 * too. What fails at the sync or behind it may come back after a restart: that is DATA_LOSS, and nothing is
 * written any more. As the index could fail to grow for want of space, its growth comes before the batch
 * (reserve_wal_index), where it can fail cleanly.
 *
 * Checkpoints run here, after a batch that left the log longer than CHECKPOINT_PAGES: short enough that one
 * costs few milliseconds and recovery after a kill reads little. They are PASSIVE, so they wait for no
 * reader; one that could not finish is tried again when the log has grown by a quarter more, and one that
 * failed for want of space after every batch. A batch stays durable whatever becomes of its checkpoint, so
 * only an I/O error of it matters.
 */
#include "store/sqlite_internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/copy.h"

#define CHECKPOINT_PAGES 1000
#define CHECKPOINT_RETRY_PAGES (CHECKPOINT_PAGES / 4)

/*
 * The index of the log: regions of 32 KiB, each for 4096 pages, of which the first loses 34 to its header
 * (https://sqlite.org/walformat.html, section 2).
 */
#define INDEX_REGION_SIZE 32768
#define INDEX_REGION_PAGES 4096
#define INDEX_HEADER_PAGES 34
#define INDEX_REGIONS_MIN 4
/* More pages than an op changes in all trees, besides those that its content fills. */
#define OP_PAGES 12
#define CONTENT_PER_PAGE 4000

enum write {
    WRITE_BEGIN,
    WRITE_COMMIT,
    WRITE_ROLLBACK,
    WRITE_CREATE,
    WRITE_GET,
    WRITE_UPDATE,
    WRITE_EXISTS,
    WRITE_EVENT,
    WRITE_PUT_RESPONDER,
    WRITE_BINDING,
    WRITE_TOTAL,
    WRITE_LAST_SEQ,
};

/* ?1 to ?14 of UPDATE are bound by bind_update(), those of CREATE by bind_create(). */
const char *const write_statements[] = {
    [WRITE_BEGIN] = "BEGIN IMMEDIATE",
    [WRITE_COMMIT] = "COMMIT",
    [WRITE_ROLLBACK] = "ROLLBACK",
    [WRITE_CREATE] =
        "INSERT INTO panic (seq, tenant, id, version, status, stage, waiting, attempts, create_us, update_us,"
        " next_action_us, responder, assigned, assign_us, distance_m, outcome, content)"
        " VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?8, ?9, NULL, 0, 0, 0, NULL, ?10)"
        " ON CONFLICT (tenant, id) DO NOTHING",
    [WRITE_GET] = "SELECT " PANIC_COLUMNS " FROM panic WHERE tenant = ?1 AND id = ?2",
    [WRITE_UPDATE] =
        "UPDATE OR IGNORE panic SET version = ?1, status = ?2, stage = ?3, waiting = ?4, attempts = ?5,"
        " update_us = ?6, next_action_us = ?7, responder = ?8, assigned = ?9, assign_us = ?10,"
        " distance_m = ?11, outcome = ?12 WHERE tenant = ?13 AND id = ?14 AND version = ?1 - 1",
    [WRITE_EXISTS] = "SELECT 1 FROM panic WHERE tenant = ?1 AND id = ?2",
    [WRITE_EVENT] = "INSERT INTO event (seq, tenant, panic_id, version, at_us, type, actor, from_stage,"
                    " to_stage) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [WRITE_PUT_RESPONDER] = "INSERT INTO responder (tenant, id, state, lat, lng, update_us, content)"
                            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant, id) DO UPDATE SET"
                            " state = ?3, lat = ?4, lng = ?5, update_us = ?6, content = ?7",
    [WRITE_BINDING] = "SELECT id FROM panic WHERE tenant = ?1 AND responder = ?2 AND assigned = 1",
    [WRITE_TOTAL] = "UPDATE total SET panics = panics + ?1",
    [WRITE_LAST_SEQ] = "SELECT max((SELECT ifnull(max(seq), 0) FROM panic),"
                       " (SELECT ifnull(max(seq), 0) FROM event))",
};
const size_t write_statements_n = sizeof(write_statements) / sizeof(write_statements[0]);

/* Runs a statement that gives no rows to its end. An SQLite code. */
static int run(struct connection *writer, enum write which)
{
    sqlite3_step(writer->statements[which]);
    return sqlite3_reset(writer->statements[which]);
}

static void bind_time(sqlite3_stmt *statement, int index, int64_t time_us)
{
    if (time_us != 0) {
        sqlite3_bind_int64(statement, index, time_us);
    } else {
        sqlite3_bind_null(statement, index);
    }
}

static void bind_update(sqlite3_stmt *statement, const struct store_panic *panic)
{
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)panic->version);
    sqlite3_bind_int(statement, 2, panic->status);
    sqlite3_bind_int(statement, 3, panic->stage);
    sqlite3_bind_int(statement, 4, panic->waiting);
    sqlite3_bind_int64(statement, 5, panic->attempts);
    sqlite3_bind_int64(statement, 6, panic->update_time_us);
    bind_time(statement, 7, panic->next_action_at_us);
    bind_text(statement, 8, panic->responder_id);
    sqlite3_bind_int(statement, 9, panic->assigned);
    sqlite3_bind_int64(statement, 10, panic->assign_time_us);
    sqlite3_bind_double(statement, 11, panic->distance_m);
    bind_text(statement, 12, panic->outcome);
    bind_text(statement, 13, panic->tenant);
    bind_id(statement, 14, &panic->id);
}

static void bind_create(sqlite3_stmt *statement, const struct store_panic *panic, int64_t seq)
{
    sqlite3_bind_int64(statement, 1, seq);
    bind_text(statement, 2, panic->tenant);
    bind_id(statement, 3, &panic->id);
    sqlite3_bind_int(statement, 4, panic->status);
    sqlite3_bind_int(statement, 5, panic->stage);
    sqlite3_bind_int(statement, 6, panic->waiting);
    sqlite3_bind_int64(statement, 7, panic->attempts);
    sqlite3_bind_int64(statement, 8, panic->create_time_us);
    bind_time(statement, 9, panic->next_action_at_us);
    bind_bytes(statement, 10, &panic->content);
}

/* The outcome of a create whose id is taken. */
static enum status compare_existing(sqlite3_stmt *row, struct store_op *op)
{
    const struct bytes stored = {.data = sqlite3_column_blob(row, PANIC_COLUMN_CONTENT),
                                 .length = (size_t)sqlite3_column_bytes(row, PANIC_COLUMN_CONTENT)};
    if (stored.data == NULL && stored.length > 0) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    if (!bytes_equal(&stored, &op->panic->content)) {
        return STATUS_ALREADY_EXISTS;
    }
    const char *tenant = arena_copy(op->arena, op->panic->tenant, strlen(op->panic->tenant));
    if (tenant == NULL || !decode_panic(row, op->arena, tenant, &op->existing)) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    op->replayed = true;
    return STATUS_OK;
}

static int run_create(struct sqlite_store *sqlite, struct store_op *op, int64_t *created)
{
    struct connection *writer = &sqlite->writer;
    bind_create(writer->statements[WRITE_CREATE], op->panic, sqlite->next_seq);
    int code = run(writer, WRITE_CREATE);
    if (code != SQLITE_OK) {
        return code;
    }
    if (sqlite3_changes(writer->db) == 1) {
        sqlite->next_seq++;
        ++*created;
        return SQLITE_OK;
    }
    sqlite3_stmt *get = writer->statements[WRITE_GET];
    bind_text(get, 1, op->panic->tenant);
    bind_id(get, 2, &op->panic->id);
    if (sqlite3_step(get) == SQLITE_ROW) {
        op->outcome = compare_existing(get, op);
    }
    return sqlite3_reset(get);
}

static int run_event(struct sqlite_store *sqlite, const struct store_panic *panic,
                     const struct store_event *event)
{
    sqlite3_stmt *statement = sqlite->writer.statements[WRITE_EVENT];
    sqlite3_bind_int64(statement, 1, sqlite->next_seq++);
    bind_text(statement, 2, panic->tenant);
    bind_id(statement, 3, &panic->id);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)panic->version);
    sqlite3_bind_int64(statement, 5, event->at_us);
    bind_text(statement, 6, event->type);
    bind_text(statement, 7, event->actor);
    sqlite3_bind_int(statement, 8, event->from_stage);
    sqlite3_bind_int(statement, 9, event->to_stage);
    return run(&sqlite->writer, WRITE_EVENT);
}

static int run_update(struct sqlite_store *sqlite, struct store_op *op)
{
    struct connection *writer = &sqlite->writer;
    bind_update(writer->statements[WRITE_UPDATE], op->panic);
    int code = run(writer, WRITE_UPDATE);
    if (code != SQLITE_OK) {
        return code;
    }
    if (sqlite3_changes(writer->db) == 1) {
        return op->event != NULL ? run_event(sqlite, op->panic, op->event) : SQLITE_OK;
    }
    sqlite3_stmt *exists = writer->statements[WRITE_EXISTS];
    bind_text(exists, 1, op->panic->tenant);
    bind_id(exists, 2, &op->panic->id);
    op->outcome = sqlite3_step(exists) == SQLITE_ROW ? STATUS_ABORTED : STATUS_NOT_FOUND;
    return sqlite3_reset(exists);
}

static int read_binding(struct connection *writer, const struct store_responder *responder, struct id *ret_id)
{
    sqlite3_stmt *statement = writer->statements[WRITE_BINDING];
    bind_text(statement, 1, responder->tenant);
    bind_text(statement, 2, responder->id);
    *ret_id = sqlite3_step(statement) == SQLITE_ROW ? decode_id(statement, 0) : (struct id){0};
    return sqlite3_reset(statement);
}

static int run_put_responder(struct connection *writer, struct store_op *op)
{
    const struct store_responder *responder = op->responder;
    if (!responder_copy_out(op->arena, responder, &op->existing_responder)) {
        op->outcome = STATUS_RESOURCE_EXHAUSTED;
        return SQLITE_OK;
    }
    sqlite3_stmt *statement = writer->statements[WRITE_PUT_RESPONDER];
    bind_text(statement, 1, responder->tenant);
    bind_text(statement, 2, responder->id);
    sqlite3_bind_int(statement, 3, responder->state);
    if (responder->location.known) {
        sqlite3_bind_double(statement, 4, responder->location.lat);
        sqlite3_bind_double(statement, 5, responder->location.lng);
    } else {
        sqlite3_bind_null(statement, 4);
        sqlite3_bind_null(statement, 5);
    }
    sqlite3_bind_int64(statement, 6, responder->update_time_us);
    bind_bytes(statement, 7, &responder->content);
    int code = run(writer, WRITE_PUT_RESPONDER);
    return code == SQLITE_OK ? read_binding(writer, responder, &op->existing_responder.panic_id) : code;
}

static int run_op(struct sqlite_store *sqlite, struct store_op *op, int64_t *created)
{
    if (op->outcome != STATUS_OK) {
        return SQLITE_OK;
    }
    switch (op->kind) {
    case STORE_CREATE:
        return run_create(sqlite, op, created);
    case STORE_UPDATE:
        return run_update(sqlite, op);
    case STORE_PUT_RESPONDER:
        return run_put_responder(&sqlite->writer, op);
    }
    return SQLITE_MISUSE;
}

static int run_ops(struct sqlite_store *sqlite, struct store_op *ops, size_t n)
{
    struct connection *writer = &sqlite->writer;
    int64_t created = 0;
    int code = run(writer, WRITE_BEGIN);
    for (size_t i = 0; i < n && code == SQLITE_OK; i++) {
        code = run_op(sqlite, &ops[i], &created);
    }
    if (code == SQLITE_OK && created > 0) {
        sqlite3_bind_int64(writer->statements[WRITE_TOTAL], 1, created);
        code = run(writer, WRITE_TOTAL);
    }
    return code;
}

static uint64_t content_pages(const struct store_op *op)
{
    size_t length =
        op->kind == STORE_PUT_RESPONDER ? op->responder->content.length : op->panic->content.length;
    return length <= STORE_CONTENT_MAX ? length / CONTENT_PER_PAGE : 0;
}

/* Lets the index of the log grow to what the batch may need at most. An SQLite code. */
static int reserve_wal_index(struct sqlite_store *sqlite, const struct store_op *ops, size_t n)
{
    uint64_t needed = sqlite->wal_pages + n * OP_PAGES;
    for (size_t i = 0; i < n; i++) {
        needed += content_pages(&ops[i]);
    }
    if (needed <= sqlite->wal_index_pages) {
        return SQLITE_OK;
    }
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(sqlite->writer.db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    if (code != SQLITE_OK) {
        return code;
    }
    uint64_t regions = (needed + INDEX_HEADER_PAGES) / INDEX_REGION_PAGES + 1;
    void volatile *mapped = NULL;
    code = file->pMethods->xShmMap(file, (int)regions - 1, INDEX_REGION_SIZE, 1, &mapped);
    if (code == SQLITE_OK) {
        sqlite->wal_index_pages = regions * INDEX_REGION_PAGES - INDEX_HEADER_PAGES;
    }
    return code;
}

static bool no_space(int system_error)
{
    return system_error == ENOSPC || system_error == EDQUOT;
}

/*
 * True when the failure leaves nothing behind; `committing`: it came from COMMIT. The system error is errno
 * as SQLite left it, cleared before the call: sqlite3_system_errno() is not set by a COMMIT and may hold an
 * older error.
 */
static bool is_clean_failure(int code, int system_error, bool committing)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_BUSY:
        return true;
    case SQLITE_NOMEM:
        return !committing;
    case SQLITE_IOERR:
        /*
         * SQLite tells a lack of space as FULL where it writes, but not a lack of quota, nor where the index
         * grows.
         */
        return no_space(system_error) &&
               (code == SQLITE_IOERR_WRITE || (!committing && (code == SQLITE_IOERR_SHMSIZE)));
    default:
        return false;
    }
}

static enum status fail(struct sqlite_store *sqlite, struct trouble *trouble, const char *step, int code,
                        int system_error, bool clean)
{
    bool due = trouble_note(trouble, monotonic_us());
    if (due || !clean) {
        log_error("store write failed", log_str("step", step), log_str("error", sqlite3_errstr(code)),
                  log_int("sqlite", code), log_int("errno", system_error),
                  log_int("failures", (int64_t)trouble->failures));
    }
    sqlite->failed = !clean;
    return clean ? STATUS_RESOURCE_EXHAUSTED : STATUS_DATA_LOSS;
}

static void note_success(struct trouble *trouble, const char *what)
{
    uint64_t failures = trouble_end(trouble);
    if (failures > 0) {
        log_info("store writes again", log_str("what", what), log_int("failures", (int64_t)failures));
    }
}

static enum status roll_back(struct sqlite_store *sqlite, const char *step, int code, bool committing)
{
    int system_error = errno;
    struct connection *writer = &sqlite->writer;
    bool clean = is_clean_failure(code, system_error, committing);
    /* Some failures have rolled back already. */
    if (sqlite3_get_autocommit(writer->db) == 0 && run(writer, WRITE_ROLLBACK) != SQLITE_OK) {
        clean = false;
    }
    return fail(sqlite, &sqlite->write_trouble, step, code, system_error, clean);
}

static enum status checkpoint(struct sqlite_store *sqlite, int mode)
{
    errno = 0;
    int code = sqlite3_wal_checkpoint_v2(sqlite->writer.db, NULL, mode, NULL, NULL);
    int system_error = errno;
    if (code == SQLITE_OK || code == SQLITE_BUSY) {
        sqlite->checkpoint_at = sqlite->wal_pages + CHECKPOINT_RETRY_PAGES;
        note_success(&sqlite->checkpoint_trouble, "checkpoint");
        return STATUS_OK;
    }
    /* Again after the next batch: the log must not take the room that the database needs to take it in. */
    bool clean = is_clean_failure(code, system_error, false);
    enum status status = fail(sqlite, &sqlite->checkpoint_trouble, "checkpoint", code, system_error, clean);
    return clean ? STATUS_OK : status;
}

static enum status apply_locked(struct sqlite_store *sqlite, struct store_op *ops, size_t n)
{
    errno = 0;
    int code = reserve_wal_index(sqlite, ops, n);
    if (code != SQLITE_OK) {
        int system_error = errno;
        return fail(sqlite, &sqlite->write_trouble, "reserve", code, system_error,
                    is_clean_failure(code, system_error, false));
    }
    code = run_ops(sqlite, ops, n);
    if (code != SQLITE_OK) {
        return roll_back(sqlite, "apply", code, false);
    }
    errno = 0;
    code = run(&sqlite->writer, WRITE_COMMIT);
    if (code != SQLITE_OK) {
        return roll_back(sqlite, "commit", code, true);
    }
    note_success(&sqlite->write_trouble, "batch");
    enum status status = STATUS_OK;
    if (sqlite->wal_pages >= sqlite->checkpoint_at) {
        status = checkpoint(sqlite, SQLITE_CHECKPOINT_PASSIVE);
    }
    atomic_store_explicit(&sqlite->store.stats.wal_pages, sqlite->wal_pages, memory_order_relaxed);
    return status;
}

enum status sqlite_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    pthread_mutex_lock(&sqlite->write_lock);
    enum status status = sqlite->failed ? STATUS_DATA_LOSS : apply_locked(sqlite, ops, n);
    pthread_mutex_unlock(&sqlite->write_lock);
    return status;
}

/* Called by SQLite within COMMIT, under write_lock. */
static int note_wal_pages(void *ctx, sqlite3 *db, const char *database, int pages)
{
    (void)db;
    (void)database;
    struct sqlite_store *sqlite = ctx;
    if ((uint64_t)pages < sqlite->wal_pages) {
        /* The log began anew. */
        sqlite->checkpoint_at = CHECKPOINT_PAGES;
    }
    sqlite->wal_pages = (uint64_t)pages;
    return SQLITE_OK;
}

static enum status read_last_seq(struct sqlite_store *sqlite, struct diag *diag)
{
    sqlite3_stmt *statement = sqlite->writer.statements[WRITE_LAST_SEQ];
    bool found = sqlite3_step(statement) == SQLITE_ROW;
    sqlite->next_seq = sqlite3_column_int64(statement, 0) + 1;
    if (sqlite3_reset(statement) != SQLITE_OK || !found) {
        return diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: %s", sqlite->file.path,
                         sqlite3_errmsg(sqlite->writer.db));
    }
    return STATUS_OK;
}

enum status writer_start(struct sqlite_store *sqlite, struct diag *diag)
{
    enum status status = read_last_seq(sqlite, diag);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite->checkpoint_at = CHECKPOINT_PAGES;
    sqlite3_wal_hook(sqlite->writer.db, note_wal_pages, sqlite);
    sqlite->wal_pages = (uint64_t)(INDEX_REGIONS_MIN - 1) * INDEX_REGION_PAGES;
    int code = reserve_wal_index(sqlite, NULL, 0);
    sqlite->wal_pages = 0;
    return code == SQLITE_OK ? STATUS_OK
                             : diag_fail(diag, STATUS_UNAVAILABLE, "store: %s: no room for the log's index",
                                         sqlite->file.path);
}

void writer_finish(struct sqlite_store *sqlite)
{
    if (sqlite->writer.db != NULL && !sqlite->failed) {
        /*
         * Emptied, so that the file alone is the whole store: it may be copied away, and another copy put in
         * its place finds no log of this one beside it.
         */
        (void)checkpoint(sqlite, SQLITE_CHECKPOINT_TRUNCATE);
    }
}
