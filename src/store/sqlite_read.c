/*
 * Reads: each is one prepared statement on a reader of the pool, stepped, copied into
 * the caller's arena, and reset before the reader goes back. A statement left unreset would keep its snapshot
 * and with it stop checkpoints from reusing the log; so every path ends in finish_read().
 *
 * A list steps over every row of its range and chooses by status itself, so that it can count what it looks
 * at: a WHERE on the status would search a whole tenant for the one row that has it.
 *
 * Texts are read as blobs and get their NUL in the arena: as text SQLite would first make a copy of its own
 * to put a NUL behind.
 */
#include "store/sqlite_internal.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"

/* Columns that decode_responder_numbers() and its callers read. */
#define RESPONDER_COLUMNS                                                                                    \
    "tenant, id, state, lat, lng, update_us, content, (SELECT panic.id FROM panic WHERE "                    \
    "panic.tenant = responder.tenant AND panic.responder = responder.id AND panic.assigned = 1)"

/* Each lane gives its part in order, so that they need only be merged. */
#define IN_LANE(lane, range)                                                                                 \
    "SELECT tenant, id, next_action_us, seq FROM panic WHERE " PANIC_LANE " = " lane " AND " range
#define IN_LANES(range)                                                                                      \
    IN_LANE("0", range) " UNION ALL " IN_LANE("1", range) " UNION ALL " IN_LANE("2", range)
#define FIRST_DUE " ORDER BY next_action_us, seq LIMIT ?2"
#define COUNT_OVERDUE(lane)                                                                                  \
    "(SELECT count(*) FROM panic WHERE " PANIC_LANE " = " lane " AND next_action_us < ?1)"
/*
 * A creation's stage is that of the row as long as the row has not changed, and then what its first event
 * says it came from.
 */
#define FEED_CREATED                                                                                         \
    "SELECT seq, tenant = ?1, id, 1 AS version, create_us, '" STORE_CREATED_TYPE "', '" STORE_CREATED_ACTOR  \
    "', 0,"                                                                                                  \
    " CASE WHEN panic.version > 1 AND tenant = ?1 THEN ifnull((SELECT from_stage FROM event WHERE"           \
    " event.tenant = panic.tenant AND event.panic_id = panic.id AND event.version = 2), stage)"              \
    " ELSE stage END FROM panic"
#define FEED_EVENTS                                                                                          \
    "SELECT seq, tenant = ?1, panic_id, version, at_us, type, actor, from_stage, to_stage FROM event"

static_assert(STORE_QUEUES == 2, "each lane is looked into");

const char *const read_statements[] = {
    [READ_BEGIN] = "BEGIN",
    [READ_COMMIT] = "COMMIT",
    [READ_GET] = "SELECT " PANIC_COLUMNS ", tenant FROM panic WHERE tenant = ?1 AND id = ?2",
    [READ_OF_SEQ] = "SELECT " PANIC_COLUMNS ", tenant FROM panic WHERE seq = ?3 AND tenant = ?1 AND id = ?2",
    /* The content may fill pages of its own, which are read for the chosen rows only. */
    [READ_LIST] = "SELECT " PANIC_COLUMNS_BUT_CONTENT ", CASE WHEN ?3 IN (0, status) THEN content END"
                  " FROM panic WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?4",
    [READ_EVENTS] = "SELECT version, at_us, type, actor, from_stage, to_stage FROM event"
                    " WHERE tenant = ?1 AND panic_id = ?2 AND version > ?3 ORDER BY version LIMIT ?4",
    [READ_LIST_RESPONDERS] = "SELECT " RESPONDER_COLUMNS " FROM responder WHERE tenant = ?1 AND id > ?2"
                             " ORDER BY id LIMIT ?3",
    [READ_ALL_RESPONDERS] = "SELECT " RESPONDER_COLUMNS " FROM responder",
    [READ_DUE_BEFORE] = IN_LANES("next_action_us <= ?1") FIRST_DUE,
    [READ_DUE_AFTER] = IN_LANES("next_action_us >= ?1") FIRST_DUE,
    /* As (next_action_us, seq) > (?1, ?3), for which SQLite would walk through all that is due at ?1. */
    [READ_OPEN_FROM] =
        IN_LANES("next_action_us = ?1 AND seq > ?3") " UNION ALL " IN_LANES("next_action_us > ?1") FIRST_DUE,
    [READ_WAITING_NEW] = "SELECT tenant, id, next_action_us, seq, create_us FROM panic"
                         " WHERE " PANIC_LANE " = ?1 AND next_action_us IS NOT NULL ORDER BY next_action_us",
    [READ_WAITING_AGAIN] = "SELECT tenant, id, next_action_us, seq, create_us FROM panic"
                           " WHERE waiting = ?1 AND waiting != 0 AND version > 1 ORDER BY create_us",
    [READ_COUNTS] = "SELECT (SELECT panics FROM total),"
                    " (SELECT count(*) FROM panic WHERE next_action_us IS NOT NULL),"
                    " (SELECT count(*) FROM panic WHERE " PANIC_LANE " > 0 AND next_action_us IS NOT NULL) +"
                    " (SELECT count(*) FROM panic WHERE waiting != 0 AND version > 1),"
                    " " COUNT_OVERDUE("0") " + " COUNT_OVERDUE("1") " + " COUNT_OVERDUE("2"),
    [READ_FEED] = FEED_CREATED " WHERE seq > ?2 UNION ALL " FEED_EVENTS " WHERE seq > ?2 ORDER BY seq",
    [READ_FEED_OF] = FEED_CREATED " WHERE tenant = ?1 AND id = ?3 AND seq > ?2 UNION ALL " FEED_EVENTS
                                  " WHERE tenant = ?1 AND panic_id = ?3 AND seq > ?2 ORDER BY version",
    [READ_LAST_SEQ] = "SELECT max((SELECT ifnull(max(seq), 0) FROM panic),"
                      " (SELECT ifnull(max(seq), 0) FROM event))",
};
const size_t read_statements_n = sizeof(read_statements) / sizeof(read_statements[0]);

void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

void bind_id(sqlite3_stmt *statement, int index, const struct id *id)
{
    sqlite3_bind_blob(statement, index, id->bytes, sizeof(id->bytes), SQLITE_STATIC);
}

void bind_bytes(sqlite3_stmt *statement, int index, const struct bytes *bytes)
{
    /* A NULL pointer would be bound as NULL, which is not the empty content. */
    sqlite3_bind_blob(statement, index, bytes->length > 0 ? (const void *)bytes->data : "",
                      (int)bytes->length, SQLITE_STATIC);
}

struct id decode_id(sqlite3_stmt *row, int column)
{
    struct id id = {0};
    const void *data = sqlite3_column_blob(row, column);
    if (data != NULL && sqlite3_column_bytes(row, column) == (int)sizeof(id.bytes)) {
        memcpy(id.bytes, data, sizeof(id.bytes));
    }
    return id;
}

static bool decode_bytes(sqlite3_stmt *row, int column, struct arena *arena, struct bytes *ret_bytes)
{
    const void *data = sqlite3_column_blob(row, column);
    size_t length = (size_t)sqlite3_column_bytes(row, column);
    if (data == NULL && length > 0) {
        return false;
    }
    *ret_bytes = (struct bytes){.data = arena_copy(arena, data, length), .length = length};
    return ret_bytes->data != NULL;
}

static bool decode_text(sqlite3_stmt *row, int column, struct arena *arena, const char **ret_text)
{
    struct bytes bytes = {0};
    if (sqlite3_column_type(row, column) != SQLITE_NULL && !decode_bytes(row, column, arena, &bytes)) {
        return false;
    }
    *ret_text = (const char *)bytes.data;
    return true;
}

bool decode_panic(sqlite3_stmt *row, struct arena *arena, const char *tenant, struct store_panic *ret_panic)
{
    struct store_panic panic = {
        .tenant = tenant,
        .id = decode_id(row, 0),
        .version = (uint64_t)sqlite3_column_int64(row, 1),
        .status = (uint8_t)sqlite3_column_int(row, 2),
        .stage = (uint8_t)sqlite3_column_int(row, 3),
        .waiting = (uint8_t)sqlite3_column_int(row, 4),
        .attempts = (uint32_t)sqlite3_column_int64(row, 5),
        .create_time_us = sqlite3_column_int64(row, 6),
        .update_time_us = sqlite3_column_int64(row, 7),
        .next_action_at_us = sqlite3_column_int64(row, 8),
        .assigned = sqlite3_column_int(row, 10) != 0,
        .assign_time_us = sqlite3_column_int64(row, 11),
        .distance_m = sqlite3_column_double(row, 12),
    };
    if (!decode_text(row, 9, arena, &panic.responder_id) || !decode_text(row, 13, arena, &panic.outcome) ||
        !decode_bytes(row, PANIC_COLUMN_CONTENT, arena, &panic.content)) {
        return false;
    }
    *ret_panic = panic;
    return true;
}

/* All of a responder but its texts and content. */
static struct store_responder decode_responder_numbers(sqlite3_stmt *row)
{
    return (struct store_responder){
        .state = (uint8_t)sqlite3_column_int(row, 2),
        .location = {.known = sqlite3_column_type(row, 3) != SQLITE_NULL,
                     .lat = sqlite3_column_double(row, 3),
                     .lng = sqlite3_column_double(row, 4)},
        .update_time_us = sqlite3_column_int64(row, 5),
        .panic_id = decode_id(row, 7),
    };
}

static bool decode_responder(sqlite3_stmt *row, struct arena *arena, const char *tenant,
                             struct store_responder *ret_responder)
{
    struct store_responder responder = decode_responder_numbers(row);
    responder.tenant = tenant;
    if (!decode_text(row, 1, arena, &responder.id) || !decode_bytes(row, 6, arena, &responder.content)) {
        return false;
    }
    *ret_responder = responder;
    return true;
}

bool decode_event(sqlite3_stmt *row, int first, struct arena *arena, struct store_event *ret_event)
{
    struct store_event event = {
        .version = (uint64_t)sqlite3_column_int64(row, first),
        .at_us = sqlite3_column_int64(row, first + 1),
        .from_stage = (uint8_t)sqlite3_column_int(row, first + 4),
        .to_stage = (uint8_t)sqlite3_column_int(row, first + 5),
    };
    if (!decode_text(row, first + 2, arena, &event.type) ||
        !decode_text(row, first + 3, arena, &event.actor)) {
        return false;
    }
    *ret_event = event;
    return true;
}

enum status read_failure(const struct connection *reader, int code)
{
    log_error("store read failed", log_str("error", sqlite3_errmsg(reader->db)), log_int("sqlite", code),
              log_int("errno", sqlite3_system_errno(reader->db)));
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
        return STATUS_RESOURCE_EXHAUSTED;
    case SQLITE_CORRUPT:
        return STATUS_INTERNAL;
    default:
        return STATUS_DATA_LOSS;
    }
}

enum status finish_read(struct sqlite_store *sqlite, struct connection *reader, sqlite3_stmt *statement,
                        int code, bool full)
{
    enum status status = full ? STATUS_RESOURCE_EXHAUSTED : STATUS_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = read_failure(reader, code);
    }
    sqlite3_reset(statement);
    reader_give(sqlite, reader);
    return status;
}

enum status finish_page(struct sqlite_store *sqlite, struct connection *reader, sqlite3_stmt *statement,
                        int code, size_t n, size_t *ret_n)
{
    enum status status = finish_read(sqlite, reader, statement, code, code == SQLITE_ROW && n == 0);
    if (status == STATUS_OK) {
        *ret_n = n;
    }
    return status;
}

enum status sqlite_get(struct store *store, const char *tenant, const struct id *id, struct arena *arena,
                       struct store_panic *ret_panic)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    const char *tenant_copy = arena_copy(arena, tenant, strlen(tenant));
    if (tenant_copy == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_GET];
    bind_text(statement, 1, tenant);
    bind_id(statement, 2, id);
    int code = sqlite3_step(statement);
    bool full = code == SQLITE_ROW && !decode_panic(statement, arena, tenant_copy, ret_panic);
    enum status status = finish_read(sqlite, reader, statement, code, full);
    return status == STATUS_OK && code == SQLITE_DONE ? STATUS_NOT_FOUND : status;
}

enum status sqlite_list(struct store *store, const char *tenant, const struct id *after, uint8_t status,
                        size_t max, struct arena *arena, struct store_panic *ret_panics, size_t *ret_n,
                        struct id *ret_last, bool *ret_more)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    const char *tenant_copy = arena_copy(arena, tenant, strlen(tenant));
    if (tenant_copy == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_LIST];
    bind_text(statement, 1, tenant);
    bind_id(statement, 2, after);
    sqlite3_bind_int(statement, 3, status);
    /* One row more than is looked at: it tells that there is more. */
    sqlite3_bind_int64(statement, 4, STORE_SCAN_MAX + 1);
    struct id last = *after;
    size_t n = 0;
    bool full = false;
    int code = sqlite3_step(statement);
    for (size_t seen = 0; code == SQLITE_ROW && n < max && seen < STORE_SCAN_MAX; seen++) {
        bool chosen = status == 0 || sqlite3_column_int(statement, PANIC_COLUMN_STATUS) == status;
        full = chosen && !decode_panic(statement, arena, tenant_copy, &ret_panics[n]);
        if (full) {
            break;
        }
        n += chosen ? 1 : 0;
        last = decode_id(statement, 0);
        code = sqlite3_step(statement);
    }
    enum status result = finish_read(sqlite, reader, statement, code, full && n == 0);
    if (result == STATUS_OK) {
        *ret_n = n;
        *ret_last = last;
        *ret_more = code == SQLITE_ROW;
    }
    return result;
}

enum status sqlite_events(struct store *store, const char *tenant, const struct id *id,
                          uint64_t after_version, size_t max, struct arena *arena,
                          struct store_event *ret_events, size_t *ret_n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_EVENTS];
    bind_text(statement, 1, tenant);
    bind_id(statement, 2, id);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)after_version);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)max);
    size_t n = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW &&
           decode_event(statement, 0, arena, &ret_events[n])) {
        n++;
    }
    return finish_page(sqlite, reader, statement, code, n, ret_n);
}

enum status sqlite_list_responders(struct store *store, const char *tenant, const char *after, size_t max,
                                   struct arena *arena, struct store_responder *ret_responders, size_t *ret_n,
                                   bool *ret_more)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    const char *tenant_copy = arena_copy(arena, tenant, strlen(tenant));
    if (tenant_copy == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_LIST_RESPONDERS];
    bind_text(statement, 1, tenant);
    bind_text(statement, 2, after);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)max + 1);
    size_t n = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && n < max &&
           decode_responder(statement, arena, tenant_copy, &ret_responders[n])) {
        n++;
    }
    enum status status = finish_page(sqlite, reader, statement, code, n, ret_n);
    if (status == STATUS_OK) {
        *ret_more = code == SQLITE_ROW;
    }
    return status;
}

enum status sqlite_all_responders(struct store *store,
                                  void (*visit)(void *ctx, const struct store_responder *responder),
                                  void *ctx)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_ALL_RESPONDERS];
    bool full = false;
    int code;
    while (!full && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_responder responder = decode_responder_numbers(statement);
        responder.tenant = (const char *)sqlite3_column_text(statement, 0);
        responder.id = (const char *)sqlite3_column_text(statement, 1);
        responder.content.data = sqlite3_column_blob(statement, 6);
        responder.content.length = (size_t)sqlite3_column_bytes(statement, 6);
        full = responder.tenant == NULL || responder.id == NULL ||
               (responder.content.data == NULL && responder.content.length > 0);
        if (!full) {
            visit(ctx, &responder);
        }
    }
    return finish_read(sqlite, reader, statement, full ? SQLITE_ROW : code, full);
}

enum status sqlite_counts(struct store *store, int64_t overdue_before_us, struct store_counts *ret_counts)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_COUNTS];
    sqlite3_bind_int64(statement, 1, overdue_before_us);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_counts = (struct store_counts){
            .panics = (uint64_t)sqlite3_column_int64(statement, 0),
            .open = (uint64_t)sqlite3_column_int64(statement, 1),
            .waiting = (uint64_t)sqlite3_column_int64(statement, 2),
            .overdue = (uint64_t)sqlite3_column_int64(statement, 3),
        };
        database_file_sizes(&sqlite->file, &ret_counts->file_bytes, &ret_counts->wal_bytes);
    }
    return finish_read(sqlite, reader, statement, code, false);
}
