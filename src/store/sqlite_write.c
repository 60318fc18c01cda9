/*
 * Batches and checkpoints, on the one connection that writes.
 *
 * A batch is BEGIN IMMEDIATE, its operations (sqlite_ops.c), COMMIT.
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
    if (sqlite3_get_autocommit(writer->db) == 0 && write_run(writer, WRITE_ROLLBACK) != SQLITE_OK) {
        clean = false;
    }
    return fail(sqlite, &sqlite->write_trouble, step, code, system_error, clean);
}

static enum status checkpoint(struct sqlite_store *sqlite, int mode)
{
    int64_t start_us = monotonic_us();
    errno = 0;
    int code = sqlite3_wal_checkpoint_v2(sqlite->writer.db, NULL, mode, NULL, NULL);
    int system_error = errno;
    histogram_record(&sqlite->store.stats.checkpoint_us, (uint64_t)(monotonic_us() - start_us));
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
    code = write_ops(sqlite, ops, n);
    if (code != SQLITE_OK) {
        return roll_back(sqlite, "apply", code, false);
    }
    int64_t start_us = monotonic_us();
    errno = 0;
    code = write_run(&sqlite->writer, WRITE_COMMIT);
    if (code != SQLITE_OK) {
        return roll_back(sqlite, "commit", code, true);
    }
    histogram_record(&sqlite->store.stats.sync_us, (uint64_t)(monotonic_us() - start_us));
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
