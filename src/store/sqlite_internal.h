/*
 * The SQLite store between its own files:
 *   sqlite_file.c    the path: resolving, the lock, what the header says before SQLite is let near it
 *   sqlite_connect.c connections, their settings, the check of the start
 *   sqlite_schema.c  the schema, and the migrations to it
 *   sqlite_read.c    statements of the readers, rows into structs
 *   sqlite_due.c     what dispatch asks for: who is due, open or waits
 *   sqlite_feed.c    the feed of changes
 *   sqlite_ops.c     what a batch writes
 *   sqlite_write.c   batches and checkpoints
 *   sqlite.c         putting these together: open, close, the pool of readers
 */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>

#include "store/store.h"
#include "store/trouble.h"

/* "pncd": the application id in the header of our files. */
#define SQLITE_APPLICATION_ID 0x706e6364

#define READERS_MAX 8
#define STATEMENTS_MAX 20

/* A connection and its statements, prepared once. Used by one thread at a time. */
struct connection {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS_MAX];
    /* Of a free reader; under readers_lock. */
    struct connection *next;
};

/* The file under a store. */
struct database_file {
    /* Absolute, without symbolic links in its folder. */
    char path[PATH_MAX];
    /* Holds the flock on PATH.lock; -1 = none. Owned. */
    int lock_fd;
    /* False when there is nothing in it yet. */
    bool exists;
};

struct sqlite_store {
    struct store store;
    struct database_file file;

    pthread_mutex_t write_lock;
    /* Under write_lock: the only connection that writes or checkpoints. */
    struct connection writer;
    /* Under write_lock: an I/O error was seen; nothing is written any more, not even a checkpoint. */
    bool failed;
    /* Under write_lock: batches, and checkpoints, that fail for want of room. */
    struct trouble write_trouble;
    struct trouble checkpoint_trouble;
    /* Under write_lock: the number of the next change. */
    int64_t next_seq;
    /*
     * Under write_lock: pages in the write-ahead log, the length at which to checkpoint, and how many its
     * index can hold.
     */
    uint64_t wal_pages;
    uint64_t checkpoint_at;
    uint64_t wal_index_pages;

    pthread_mutex_t readers_lock;
    pthread_cond_t reader_free;
    struct connection readers[READERS_MAX];
    /* Under readers_lock. */
    struct connection *free_readers;
};

/* sqlite_file.c */

/*
 * Resolves the path, takes the lock and looks at the file's header, all before any connection to it exists.
 * Statuses as of store_open(). On success the caller owns the lock; database_file_release() gives it up.
 */
MUST_USE enum status database_file_claim(const char *path, struct database_file *ret_file, struct diag *diag);
void database_file_release(struct database_file *file);

/* Makes the file's name durable. False with errno on failure. */
MUST_USE bool database_file_sync_folder(const struct database_file *file);

/* Of the file and of the write-ahead log beside it, in bytes; 0 for what is not there. */
void database_file_sizes(const struct database_file *file, uint64_t *ret_file, uint64_t *ret_wal);

/* sqlite_schema.c */

/*
 * FAILED_PRECONDITION with a diag unless the application id and schema version are ones that this program
 * works with.
 */
MUST_USE enum status schema_check_identity(const char *path, uint32_t application_id, int64_t version,
                                           bool has_tables, struct diag *diag);

/*
 * Brings the database from this version (0 = empty) to the present one, in one transaction.
 * RESOURCE_EXHAUSTED, with nothing changed, when its file system has too little room for that.
 */
MUST_USE enum status schema_migrate(struct connection *connection, const char *path, int64_t version,
                                    struct diag *diag);

/* The lane of panic_due that a row is in. To be used to the letter: the index is on this expression. */
#define PANIC_LANE "(CASE version WHEN 1 THEN waiting ELSE 0 END)"

/* sqlite_connect.c */

/* The status of a failure while opening, told in a diag. */
enum status connection_failed(const struct connection *connection, const char *path, struct diag *diag);
/* Statements that give no rows; false when one fails. */
MUST_USE bool connection_execute(struct connection *connection, const char *sql);
/* The first column of the first row; false when it fails or there is none. */
MUST_USE bool connection_query_number(struct connection *connection, const char *sql, int64_t *ret_number);

/*
 * Opens the writer: settings, identity, check, schema. *connection is to be closed by the caller in any case.
 */
MUST_USE enum status writer_connect(const struct database_file *file, struct connection *connection,
                                    struct diag *diag);
MUST_USE enum status reader_connect(const struct database_file *file, struct connection *connection,
                                    struct diag *diag);
/* A connection that was never opened is fine. */
void connection_close(struct connection *connection);

/* sqlite_read.c */

enum read {
    READ_BEGIN,
    READ_COMMIT,
    READ_GET,
    READ_OF_SEQ,
    READ_LIST,
    READ_EVENTS,
    READ_LIST_RESPONDERS,
    READ_ALL_RESPONDERS,
    READ_DUE_BEFORE,
    READ_DUE_AFTER,
    READ_OPEN_FROM,
    READ_WAITING_NEW,
    READ_WAITING_AGAIN,
    READ_COUNTS,
    READ_FEED,
    READ_FEED_OF,
    READ_LAST_SEQ,
};

extern const char *const read_statements[];
extern const size_t read_statements_n;

/* The columns that decode_panic() reads, in its order. */
#define PANIC_COLUMNS_BUT_CONTENT                                                                            \
    "id, version, status, stage, waiting, attempts, create_us, update_us, next_action_us, responder, "       \
    "assigned, assign_us, distance_m, outcome"
#define PANIC_COLUMNS PANIC_COLUMNS_BUT_CONTENT ", content"
#define PANIC_COLUMN_STATUS 2
#define PANIC_COLUMN_CONTENT 14
/* In statements that have it behind the others. */
#define PANIC_COLUMN_TENANT 15

/* A row of PANIC_COLUMNS into the arena. False when the arena is full or memory short. */
MUST_USE bool decode_panic(sqlite3_stmt *row, struct arena *arena, const char *tenant,
                           struct store_panic *ret_panic);
/* The same for version, time, type, actor and stages in the columns from `first`. */
MUST_USE bool decode_event(sqlite3_stmt *row, int first, struct arena *arena, struct store_event *ret_event);
/* The id in the column; nil when it is NULL. */
struct id decode_id(sqlite3_stmt *row, int column);

/* Bind what `data` points to without a copy; it must stay until the statement is reset. */
void bind_text(sqlite3_stmt *statement, int index, const char *text);
void bind_id(sqlite3_stmt *statement, int index, const struct id *id);
void bind_bytes(sqlite3_stmt *statement, int index, const struct bytes *bytes);

/*
 * What a failed step means, logged. PROTOCOL is a race for the log's index that was lost too often, so it
 * passes like BUSY. Damage is no reason to stop: a restart would find it again, and what is sound can still
 * be read.
 */
enum status read_failure(const struct connection *reader, int code);

/*
 * Ends a read whose last step gave `code`: ROW and DONE are fine, where `full` says that a row found no room.
 */
MUST_USE enum status finish_read(struct sqlite_store *sqlite, struct connection *reader,
                                 sqlite3_stmt *statement, int code, bool full);

/* The same for one of `n` rows: no room only makes the page shorter, unless it was for the first. */
MUST_USE enum status finish_page(struct sqlite_store *sqlite, struct connection *reader,
                                 sqlite3_stmt *statement, int code, size_t n, size_t *ret_n);

enum status sqlite_get(struct store *store, const char *tenant, const struct id *id, struct arena *arena,
                       struct store_panic *ret_panic);
enum status sqlite_list(struct store *store, const char *tenant, const struct id *after, uint8_t status,
                        size_t max, struct arena *arena, struct store_panic *ret_panics, size_t *ret_n,
                        struct id *ret_last, bool *ret_more);
enum status sqlite_events(struct store *store, const char *tenant, const struct id *id,
                          uint64_t after_version, size_t max, struct arena *arena,
                          struct store_event *ret_events, size_t *ret_n);
enum status sqlite_list_responders(struct store *store, const char *tenant, const char *after, size_t max,
                                   struct arena *arena, struct store_responder *ret_responders, size_t *ret_n,
                                   bool *ret_more);
enum status sqlite_all_responders(struct store *store,
                                  void (*visit)(void *ctx, const struct store_responder *responder),
                                  void *ctx);
enum status sqlite_counts(struct store *store, int64_t overdue_before_us, struct store_counts *ret_counts);

/* sqlite_due.c */

enum status sqlite_read(struct store *store, const struct store_key *keys, size_t n, struct arena *arena,
                        struct store_panic *ret_panics, enum status *ret_statuses, size_t *ret_n);
enum status sqlite_due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                       struct store_key *ret_keys, size_t *ret_n);
enum status sqlite_open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                             struct store_key *ret_keys, size_t *ret_n);
enum status sqlite_waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                           size_t *ret_n);

/* sqlite_feed.c */

enum status sqlite_changes(struct store *store, const char *tenant, const struct id *id, uint64_t after_seq,
                           size_t max, struct arena *arena, struct store_change *ret_changes, size_t *ret_n,
                           uint64_t *ret_last, bool *ret_more);
enum status sqlite_last_seq(struct store *store, uint64_t *ret_seq);

/* sqlite_ops.c */

enum write {
    WRITE_BEGIN,
    WRITE_COMMIT,
    WRITE_ROLLBACK,
    WRITE_CREATE,
    WRITE_CREATE_MANY,
    WRITE_SEQ,
    WRITE_GET,
    WRITE_UPDATE,
    WRITE_EXISTS,
    WRITE_EVENT,
    WRITE_PUT_RESPONDER,
    WRITE_BINDING,
    WRITE_TOTAL,
    WRITE_LAST_SEQ,
};

extern const char *const write_statements[];
extern const size_t write_statements_n;

/* Runs a statement that gives no rows to its end. An SQLite code. */
int write_run(struct connection *writer, enum write which);
/*
 * Begins a transaction and runs the ops that are well-formed, each with its outcome. An SQLite code: after
 * any but OK the transaction is to be rolled back.
 */
int write_ops(struct sqlite_store *sqlite, struct store_op *ops, size_t n);

/* sqlite_write.c */

/* Hooks the writer up with the store, once, before the first batch. */
MUST_USE enum status writer_start(struct sqlite_store *sqlite, struct diag *diag);
/* Brings the write-ahead log into the database, unless an I/O error was seen. For the close. */
void writer_finish(struct sqlite_store *sqlite);

enum status sqlite_apply(struct store *store, struct store_op *ops, size_t n);

/* sqlite.c */

/*
 * A reader of the pool, waiting for one if need be; to be given back soon: while it reads, the log cannot be
 * reused.
 */
struct connection *reader_take(struct sqlite_store *sqlite);
void reader_give(struct sqlite_store *sqlite, struct connection *reader);

#endif
