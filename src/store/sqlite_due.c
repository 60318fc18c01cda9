/*
 * What dispatch asks for: keys of panics that are due, open or wait, and many panics at once.
 *
 * panic_due has an entry for each open panic, in lanes; the entries of a lane are in the order of (due time,
 * number), since the number is the key of the table and so the last column of every index. A list over the
 * lanes is one statement that merges them.
 *
 * Many panics are read in one transaction, so that the locks of the log are taken once for all of them. A
 * row that is damaged is one panic's bad luck: the others are read all the same.
 */
#include "store/sqlite_internal.h"

#include <string.h>

/* Ends the transaction of a reader, if one is open: an error may have ended it. */
static void end_transaction(const struct connection *reader)
{
    if (sqlite3_get_autocommit(reader->db) == 0) {
        sqlite3_step(reader->statements[READ_COMMIT]);
        sqlite3_reset(reader->statements[READ_COMMIT]);
    }
}

static int step_for(sqlite3_stmt *statement, const struct store_key *key)
{
    bind_text(statement, 1, key->tenant);
    bind_id(statement, 2, &key->id);
    return sqlite3_step(statement);
}

/* Finds the panic's row, by its number if that is known and its own. The column behind those of a panic is
 * the tenant. *ret_statement is to be reset. */
static int find(const struct connection *reader, const struct store_key *key, sqlite3_stmt **ret_statement)
{
    if (key->seq > 0) {
        *ret_statement = reader->statements[READ_OF_SEQ];
        sqlite3_bind_int64(*ret_statement, 3, (sqlite3_int64)key->seq);
        int code = step_for(*ret_statement, key);
        if (code != SQLITE_DONE) {
            return code;
        }
        sqlite3_reset(*ret_statement);
    }
    *ret_statement = reader->statements[READ_GET];
    return step_for(*ret_statement, key);
}

/* RESOURCE_EXHAUSTED and DATA_LOSS end the whole read. */
static enum status read_one(const struct connection *reader, const struct store_key *key, struct arena *arena,
                            struct store_panic *ret_panic)
{
    sqlite3_stmt *statement;
    int code = find(reader, key, &statement);
    enum status status = code == SQLITE_DONE ? STATUS_NOT_FOUND : STATUS_OK;
    if (code == SQLITE_ROW) {
        const char *tenant = arena_copy(arena, sqlite3_column_blob(statement, PANIC_COLUMN_TENANT),
                                        (size_t)sqlite3_column_bytes(statement, PANIC_COLUMN_TENANT));
        bool fits = tenant != NULL && decode_panic(statement, arena, tenant, ret_panic);
        status = fits ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
    } else if (code != SQLITE_DONE) {
        status = read_failure(reader, code);
    }
    sqlite3_reset(statement);
    return status;
}

enum status sqlite_read(struct store *store, const struct store_key *keys, size_t n, struct arena *arena,
                        struct store_panic *ret_panics, enum status *ret_statuses, size_t *ret_n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_step(reader->statements[READ_BEGIN]);
    sqlite3_reset(reader->statements[READ_BEGIN]);
    enum status status = STATUS_OK;
    size_t read = 0;
    while (read < n) {
        status = read_one(reader, &keys[read], arena, &ret_panics[read]);
        if (status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_DATA_LOSS) {
            break;
        }
        ret_statuses[read++] = status;
    }
    end_transaction(reader);
    reader_give(sqlite, reader);
    if (status == STATUS_DATA_LOSS) {
        return status;
    }
    *ret_n = read;
    return STATUS_OK;
}

static void decode_key(sqlite3_stmt *row, struct store_key *ret_key)
{
    size_t length = (size_t)sqlite3_column_bytes(row, 0);
    *ret_key = (struct store_key){.id = decode_id(row, 1),
                                  .next_action_at_us = sqlite3_column_int64(row, 2),
                                  .seq = (uint64_t)sqlite3_column_int64(row, 3)};
    memcpy(ret_key->tenant, sqlite3_column_blob(row, 0),
           length <= STORE_TENANT_MAX ? length : STORE_TENANT_MAX);
}

/*
 * Appends rows of keys until `max` are there or the statement ends, which is then the result, as it is when
 * max is 0.
 */
static int step_keys(sqlite3_stmt *statement, size_t max, struct store_key *ret_keys, size_t *n)
{
    int code = SQLITE_DONE;
    while (*n < max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        decode_key(statement, &ret_keys[(*n)++]);
    }
    return code;
}

enum status sqlite_due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                       struct store_key *ret_keys, size_t *ret_n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_DUE_BEFORE];
    sqlite3_bind_int64(statement, 1, before_us);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)max);
    size_t n = 0;
    int code = step_keys(statement, max, ret_keys, &n);
    if (code == SQLITE_DONE && n < max && after_us > before_us) {
        sqlite3_reset(statement);
        statement = reader->statements[READ_DUE_AFTER];
        sqlite3_bind_int64(statement, 1, after_us);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)(max - n));
        code = step_keys(statement, max, ret_keys, &n);
    }
    return finish_page(sqlite, reader, statement, code, n, ret_n);
}

enum status sqlite_open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                             struct store_key *ret_keys, size_t *ret_n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    sqlite3_stmt *statement = reader->statements[READ_OPEN_FROM];
    sqlite3_bind_int64(statement, 1, from_us);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)max);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)after_seq);
    size_t n = 0;
    int code = step_keys(statement, max, ret_keys, &n);
    return finish_page(sqlite, reader, statement, code, n, ret_n);
}

/* A statement whose rows are keys with the time of creation behind, and the code of its last step. */
struct waiters {
    sqlite3_stmt *statement;
    int code;
};

static void waiters_begin(struct waiters *waiters, sqlite3_stmt *statement, uint8_t queue)
{
    sqlite3_bind_int(statement, 1, queue);
    *waiters = (struct waiters){.statement = statement, .code = sqlite3_step(statement)};
}

static bool waited_longer(const struct waiters *a, const struct waiters *b)
{
    return b->code != SQLITE_ROW || (a->code == SQLITE_ROW && sqlite3_column_int64(a->statement, 4) <=
                                                                  sqlite3_column_int64(b->statement, 4));
}

/*
 * Two lists, merged. While both have rows they overlap in time, and so see the same state; otherwise one may
 * be a little older, and what it misses is found the next time.
 */
enum status sqlite_waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                           size_t *ret_n)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct connection *reader = reader_take(sqlite);
    struct waiters new;
    struct waiters again;
    waiters_begin(&new, reader->statements[READ_WAITING_NEW], queue);
    waiters_begin(&again, reader->statements[READ_WAITING_AGAIN], queue);
    size_t n = 0;
    while (n < max && (new.code == SQLITE_ROW || again.code == SQLITE_ROW)) {
        struct waiters *next = waited_longer(&again, &new) ? &again : &new;
        decode_key(next->statement, &ret_keys[n++]);
        next->code = sqlite3_step(next->statement);
    }
    bool failed = new.code != SQLITE_ROW &&new.code != SQLITE_DONE;
    sqlite3_reset(failed ? again.statement : new.statement);
    struct waiters *last = failed ? &new : &again;
    return finish_page(sqlite, reader, last->statement, last->code, n, ret_n);
}
