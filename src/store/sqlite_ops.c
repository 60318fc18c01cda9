/*
 * What a batch writes, statement by statement.
 *
 * An op is a statement or two, or one for many creates. Whether it takes effect is decided by its one write:
 * an insert that does nothing on a taken id, an update whose WHERE has the expected version and which the
 * unique index panic_bound makes do nothing when the responder is bound. Nothing needs undoing, so there is
 * no savepoint; only when a write changed fewer rows than it could is it asked why.
 */
#include "store/sqlite_internal.h"

#include <string.h>

#include "store/copy.h"

/*
 * Creates that share one statement: much of what a statement costs is opening the table and its indexes, and
 * closing them. As many as CREATE_MANY's text has rows.
 */
#define CREATE_MANY 16

/* Whatever else may fail about a row undoes the batch, so the statement need not be able to undo itself. */
#define CREATE_INTO                                                                                          \
    "INSERT OR FAIL INTO panic (seq, tenant, id, status, stage, waiting, attempts, create_us, update_us,"    \
    " next_action_us, content, version, responder, assigned, assign_us, distance_m, outcome) VALUES "
/* Bound by bind_create(). */
#define CREATE_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, NULL, 0, 0, 0, NULL)"
#define CREATE_PARAMETERS 11
#define CREATE_ONCE " ON CONFLICT (tenant, id) DO NOTHING"
#define FOUR_TIMES(row) row ", " row ", " row ", " row

/* ?1 to ?14 of UPDATE are bound by bind_update(). */
const char *const write_statements[] = {
    [WRITE_BEGIN] = "BEGIN IMMEDIATE",
    [WRITE_COMMIT] = "COMMIT",
    [WRITE_ROLLBACK] = "ROLLBACK",
    [WRITE_CREATE] = CREATE_INTO CREATE_ROW CREATE_ONCE,
    [WRITE_CREATE_MANY] = CREATE_INTO FOUR_TIMES(FOUR_TIMES(CREATE_ROW)) CREATE_ONCE,
    [WRITE_SEQ] = "SELECT seq FROM panic WHERE tenant = ?1 AND id = ?2",
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

int write_run(struct connection *writer, enum write which)
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

static void bind_create(sqlite3_stmt *statement, int row, const struct store_panic *panic, int64_t seq)
{
    int first = row * CREATE_PARAMETERS + 1;
    sqlite3_bind_int64(statement, first, seq);
    bind_text(statement, first + 1, panic->tenant);
    bind_id(statement, first + 2, &panic->id);
    sqlite3_bind_int(statement, first + 3, panic->status);
    sqlite3_bind_int(statement, first + 4, panic->stage);
    sqlite3_bind_int(statement, first + 5, panic->waiting);
    sqlite3_bind_int64(statement, first + 6, panic->attempts);
    sqlite3_bind_int64(statement, first + 7, panic->create_time_us);
    sqlite3_bind_int64(statement, first + 8, panic->create_time_us);
    bind_time(statement, first + 9, panic->next_action_at_us);
    bind_bytes(statement, first + 10, &panic->content);
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

/*
 * For a create that inserted nothing. Were its id not there either, an OK would acknowledge what is not
 * stored: then the file, or SQLite, is not to be trusted with the batch.
 */
static int find_existing(struct connection *writer, struct store_op *op)
{
    sqlite3_stmt *get = writer->statements[WRITE_GET];
    bind_text(get, 1, op->panic->tenant);
    bind_id(get, 2, &op->panic->id);
    bool found = sqlite3_step(get) == SQLITE_ROW;
    if (found) {
        op->outcome = compare_existing(get, op);
    }
    int code = sqlite3_reset(get);
    return code == SQLITE_OK && !found ? SQLITE_CORRUPT : code;
}

static int run_create(struct sqlite_store *sqlite, struct store_op *op, int64_t *created)
{
    struct connection *writer = &sqlite->writer;
    bind_create(writer->statements[WRITE_CREATE], 0, op->panic, sqlite->next_seq);
    int code = write_run(writer, WRITE_CREATE);
    if (code != SQLITE_OK) {
        return code;
    }
    if (sqlite3_changes(writer->db) == 1) {
        sqlite->next_seq++;
        ++*created;
        return SQLITE_OK;
    }
    return find_existing(writer, op);
}

/* The outcome of one of CREATE_MANY creates of which not all inserted their rows; `seq` is its own number. */
static int settle_create(struct connection *writer, struct store_op *op, int64_t seq)
{
    sqlite3_stmt *statement = writer->statements[WRITE_SEQ];
    bind_text(statement, 1, op->panic->tenant);
    bind_id(statement, 2, &op->panic->id);
    bool inserted = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int64(statement, 0) == seq;
    int code = sqlite3_reset(statement);
    return code != SQLITE_OK || inserted ? code : find_existing(writer, op);
}

/* The same as run_create() for each of CREATE_MANY ops. Numbers whose rows are not inserted remain unused. */
static int run_creates(struct sqlite_store *sqlite, struct store_op *ops, int64_t *created)
{
    struct connection *writer = &sqlite->writer;
    int64_t first_seq = sqlite->next_seq;
    for (int i = 0; i < CREATE_MANY; i++) {
        bind_create(writer->statements[WRITE_CREATE_MANY], i, ops[i].panic, first_seq + i);
    }
    int code = write_run(writer, WRITE_CREATE_MANY);
    sqlite->next_seq += CREATE_MANY;
    int inserted = code == SQLITE_OK ? sqlite3_changes(writer->db) : 0;
    *created += inserted;
    for (int i = 0; i < CREATE_MANY && code == SQLITE_OK && inserted < CREATE_MANY; i++) {
        code = settle_create(writer, &ops[i], first_seq + i);
    }
    return code;
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
    return write_run(&sqlite->writer, WRITE_EVENT);
}

static int run_update(struct sqlite_store *sqlite, struct store_op *op)
{
    struct connection *writer = &sqlite->writer;
    bind_update(writer->statements[WRITE_UPDATE], op->panic);
    int code = write_run(writer, WRITE_UPDATE);
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
    int code = write_run(writer, WRITE_PUT_RESPONDER);
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

static bool are_many_creates(const struct store_op *ops, size_t n)
{
    size_t creates = 0;
    while (creates < n && creates < CREATE_MANY && ops[creates].kind == STORE_CREATE &&
           ops[creates].outcome == STATUS_OK) {
        creates++;
    }
    return creates == CREATE_MANY;
}

int write_ops(struct sqlite_store *sqlite, struct store_op *ops, size_t n)
{
    struct connection *writer = &sqlite->writer;
    int64_t created = 0;
    int code = write_run(writer, WRITE_BEGIN);
    for (size_t i = 0; i < n && code == SQLITE_OK;) {
        if (are_many_creates(&ops[i], n - i)) {
            code = run_creates(sqlite, &ops[i], &created);
            i += CREATE_MANY;
        } else {
            code = run_op(sqlite, &ops[i], &created);
            i++;
        }
    }
    if (code == SQLITE_OK && created > 0) {
        sqlite3_bind_int64(writer->statements[WRITE_TOTAL], 1, created);
        code = write_run(writer, WRITE_TOTAL);
    }
    return code;
}
