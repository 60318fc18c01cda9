/*
 * The store in a SQLite database.
 *
 * One connection writes and checkpoints, under write_lock, and so do batches queue up there; group commit is
 * the caller's batch. Eight more connections only read, each in the hands of one thread at a time: WAL lets
 * them run beside the writer on the last committed state. They are opened with the store, so that a read
 * never fails for want of descriptors or memory that opening one would take; a caller that finds none free
 * waits for one, which takes no longer than a read.
 *
 * Locks: write_lock and readers_lock are never held together. A reader taken from the pool belongs to its
 * thread, without a lock, until it is given back.
 */
#include "store/sqlite_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "store/kinds.h"

struct connection *reader_take(struct sqlite_store *sqlite)
{
    pthread_mutex_lock(&sqlite->readers_lock);
    while (sqlite->free_readers == NULL) {
        pthread_cond_wait(&sqlite->reader_free, &sqlite->readers_lock);
    }
    struct connection *reader = sqlite->free_readers;
    sqlite->free_readers = reader->next;
    pthread_mutex_unlock(&sqlite->readers_lock);
    return reader;
}

void reader_give(struct sqlite_store *sqlite, struct connection *reader)
{
    pthread_mutex_lock(&sqlite->readers_lock);
    reader->next = sqlite->free_readers;
    sqlite->free_readers = reader;
    pthread_cond_signal(&sqlite->reader_free);
    pthread_mutex_unlock(&sqlite->readers_lock);
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    for (size_t i = 0; i < READERS_MAX; i++) {
        connection_close(&sqlite->readers[i]);
    }
    writer_finish(sqlite);
    connection_close(&sqlite->writer);
    /* Last: whoever takes the lock next must find no connection of ours. */
    database_file_release(&sqlite->file);
    pthread_cond_destroy(&sqlite->reader_free);
    pthread_mutex_destroy(&sqlite->readers_lock);
    pthread_mutex_destroy(&sqlite->write_lock);
    free(sqlite);
}

static enum status open_readers(struct sqlite_store *sqlite, struct diag *diag)
{
    for (size_t i = 0; i < READERS_MAX; i++) {
        enum status status = reader_connect(&sqlite->file, &sqlite->readers[i], diag);
        if (status != STATUS_OK) {
            return status;
        }
        reader_give(sqlite, &sqlite->readers[i]);
    }
    return STATUS_OK;
}

static enum status open_connections(struct sqlite_store *sqlite, struct diag *diag)
{
    enum status status = writer_connect(&sqlite->file, &sqlite->writer, diag);
    if (status == STATUS_OK) {
        status = writer_start(sqlite, diag);
    }
    if (status == STATUS_OK) {
        status = open_readers(sqlite, diag);
    }
    if (status == STATUS_OK && !database_file_sync_folder(&sqlite->file)) {
        status = diag_fail(diag, STATUS_UNAVAILABLE, "store: the folder of %s: %m", sqlite->file.path);
    }
    /* A file that was refused is not touched, so its log is not brought in on the way out. */
    sqlite->failed = status != STATUS_OK;
    return status;
}

/* Counting its memory would cost SQLite a mutex for each allocation. Before its first use, once. */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum status sqlite_store_open(const char *path, struct store **ret_store, struct diag *diag)
{
    static const struct store_ops ops = {
        .close = sqlite_close,
        .apply = sqlite_apply,
        .get = sqlite_get,
        .read = sqlite_read,
        .list = sqlite_list,
        .events = sqlite_events,
        .changes = sqlite_changes,
        .last_seq = sqlite_last_seq,
        .list_responders = sqlite_list_responders,
        .all_responders = sqlite_all_responders,
        .due = sqlite_due,
        .open_from = sqlite_open_from,
        .waiting = sqlite_waiting,
        .counts = sqlite_counts,
    };
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, configure_library);
    struct sqlite_store *sqlite = calloc(1, sizeof(*sqlite));
    if (sqlite == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "store: no memory");
    }
    enum status status = database_file_claim(path, &sqlite->file, diag);
    if (status != STATUS_OK) {
        free(sqlite);
        return status;
    }
    sqlite->store.ops = &ops;
    pthread_mutex_init(&sqlite->write_lock, NULL);
    pthread_mutex_init(&sqlite->readers_lock, NULL);
    pthread_cond_init(&sqlite->reader_free, NULL);
    status = open_connections(sqlite, diag);
    if (status != STATUS_OK) {
        sqlite_close(&sqlite->store);
        return status;
    }
    *ret_store = &sqlite->store;
    return STATUS_OK;
}
