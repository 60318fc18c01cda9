/*
 * The feed of changes: creations are the rows of `panic`, everything else those of `event`, and one sequence
 * numbers both; so the feed is the merge of two walks along the keys of the two tables. Both walks are in one
 * statement, and so see one state: with two, a commit between their beginnings would show in the second only,
 * and the reader would go on behind a creation that it has never seen.
 *
 * A tenant's feed walks over the changes of all tenants, because an index for it would cost every create a
 * write; what a call looks at is bounded instead. A panic's feed walks along its entries in the indices.
 */
#include "store/sqlite_internal.h"

enum { COLUMN_SEQ, COLUMN_IS_OF_TENANT, COLUMN_ID, COLUMN_EVENT };

static uint64_t decode_seq(sqlite3_stmt *row)
{
    return (uint64_t)sqlite3_column_int64(row, COLUMN_SEQ);
}

static bool decode_change(sqlite3_stmt *row, struct arena *arena, struct store_change *ret_change)
{
    struct store_change change = {.seq = decode_seq(row), .panic_id = decode_id(row, COLUMN_ID)};
    if (!decode_event(row, COLUMN_EVENT, arena, &change.event)) {
        return false;
    }
    *ret_change = change;
    return true;
}

static sqlite3_stmt *begin(const struct connection *reader, const char *tenant, const struct id *id,
                           uint64_t after_seq)
{
    sqlite3_stmt *statement = reader->statements[id != NULL ? READ_FEED_OF : READ_FEED];
    bind_text(statement, 1, tenant);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)after_seq);
    if (id != NULL) {
        bind_id(statement, 3, id);
    }
    return statement;
}

enum status sqlite_changes(struct store *store, const char *tenant, const struct id *id, uint64_t after_seq,
                           size_t max, struct arena *arena, struct store_change *ret_changes, size_t *ret_n,
                           uint64_t *ret_last, bool *ret_more)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = begin(reader, tenant, id, after_seq);
    uint64_t last = after_seq;
    size_t n = 0;
    bool full = false;
    int code = sqlite3_step(statement);
    for (size_t seen = 0; code == SQLITE_ROW && n < max && seen < STORE_SCAN_MAX; seen++) {
        bool chosen = sqlite3_column_int(statement, COLUMN_IS_OF_TENANT) != 0;
        full = chosen && !decode_change(statement, arena, &ret_changes[n]);
        if (full) {
            break;
        }
        n += chosen ? 1 : 0;
        last = decode_seq(statement);
        code = sqlite3_step(statement);
    }
    enum status status = finish_read(sqlite, reader, statement, code, full && n == 0);
    if (status == STATUS_OK) {
        *ret_n = n;
        *ret_last = last;
        *ret_more = code == SQLITE_ROW;
    }
    return status;
}

enum status sqlite_last_seq(struct store *store, uint64_t *ret_seq)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_LAST_SEQ];
    int code = sqlite3_step(statement);
    uint64_t seq = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    enum status status = finish_read(sqlite, reader, statement, code, false);
    if (status == STATUS_OK) {
        *ret_seq = seq;
    }
    return status;
}
