/*
 * The part of the store that every kind shares: choosing the kind by URL, refusing what no kind may be asked
 * to keep, and measuring.
 *
 * Operations come from many callers in one batch, so one that is out of bounds must not spoil the others: it
 * gets its own INVALID_ARGUMENT and the kinds skip it. Arguments of reads come from one caller, whose call
 * fails. What only a bug can bring about (a missing pointer) stops the process.
 *
 * The bounds are those that let the kinds behave alike: SQLite keeps signed 64-bit integers, turns NaN into
 * NULL and ends no text at a NUL, so neither kind gets to see such values.
 */
#include "store/store.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "store/kinds.h"

#define SQLITE_PREFIX "sqlite:"

enum status store_open(const char *url, struct store **ret_store, struct diag *diag)
{
    assert(url != NULL && ret_store != NULL);
    if (strcmp(url, "memory:") == 0) {
        enum status status = memory_store_open(ret_store);
        return status == STATUS_OK ? status : diag_fail(diag, status, "store: no memory");
    }
    size_t prefix = strlen(SQLITE_PREFIX);
    if (strncmp(url, SQLITE_PREFIX, prefix) == 0 && url[prefix] != 0) {
        return sqlite_store_open(url + prefix, ret_store, diag);
    }
    /* The URL is not repeated: one meant for another kind of store may hold a password. */
    return diag_fail(diag, STATUS_INVALID_ARGUMENT, "store: must be \"memory:\" or \"sqlite:PATH\"");
}

void store_close(struct store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

static bool text_fits(const char *text, size_t max)
{
    return text != NULL && text[0] != 0 && strnlen(text, max + 1) <= max;
}

static bool tenant_fits(const char *tenant)
{
    return text_fits(tenant, STORE_TENANT_MAX);
}

static bool responder_id_fits(const char *id)
{
    return text_fits(id, STORE_RESPONDER_ID_MAX);
}

static bool content_fits(const struct bytes *content)
{
    return content->length <= STORE_CONTENT_MAX && (content->data != NULL || content->length == 0);
}

static bool panic_fits(const struct store_panic *panic)
{
    return tenant_fits(panic->tenant) && !id_is_nil(&panic->id) && panic->version <= INT64_MAX &&
           panic->waiting <= STORE_QUEUES && panic->next_action_at_us >= 0 && isfinite(panic->distance_m) &&
           (panic->responder_id != NULL ? responder_id_fits(panic->responder_id) : !panic->assigned);
}

static bool is_new(const struct store_panic *panic)
{
    return panic->version == 1 && panic->update_time_us == panic->create_time_us &&
           panic->responder_id == NULL && panic->assign_time_us == 0 && panic->distance_m == 0 &&
           panic->outcome == NULL;
}

static bool op_fits(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_CREATE:
        assert(op->panic != NULL && op->arena != NULL);
        return panic_fits(op->panic) && is_new(op->panic) && content_fits(&op->panic->content);
    case STORE_UPDATE:
        assert(op->panic != NULL);
        assert(op->event == NULL || (op->event->type != NULL && op->event->actor != NULL));
        return panic_fits(op->panic) && op->panic->version > 1;
    case STORE_PUT_RESPONDER:
        assert(op->responder != NULL && op->arena != NULL);
        return tenant_fits(op->responder->tenant) && responder_id_fits(op->responder->id) &&
               isfinite(op->responder->location.lat) && isfinite(op->responder->location.lng) &&
               content_fits(&op->responder->content);
    }
    return false;
}

enum status store_apply(struct store *store, struct store_op *ops, size_t n)
{
    if (n > STORE_BATCH_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < n; i++) {
        ops[i].replayed = false;
        ops[i].outcome = op_fits(&ops[i]) ? STATUS_OK : STATUS_INVALID_ARGUMENT;
    }
    if (n == 0) {
        return STATUS_OK;
    }
    int64_t start_us = monotonic_us();
    enum status status = store->ops->apply(store, ops, n);
    if (status == STATUS_OK) {
        histogram_record(&store->stats.batch_us, (uint64_t)(monotonic_us() - start_us));
        histogram_record(&store->stats.batch_ops, n);
    }
    return status;
}

enum status store_get(struct store *store, const char *tenant, const struct id *id, struct arena *arena,
                      struct store_panic *ret_panic)
{
    assert(id != NULL && arena != NULL && ret_panic != NULL);
    if (!tenant_fits(tenant)) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->get(store, tenant, id, arena, ret_panic);
}

static bool fits_batch(size_t n)
{
    return n > 0 && n <= STORE_BATCH_MAX;
}

static bool key_fits(const struct store_key *key)
{
    return key->seq > 0 ? key->seq <= INT64_MAX : tenant_fits(key->tenant);
}

enum status store_read(struct store *store, const struct store_key *keys, size_t n, struct arena *arena,
                       struct store_panic *ret_panics, enum status *ret_statuses, size_t *ret_n)
{
    assert(keys != NULL && arena != NULL && ret_panics != NULL && ret_statuses != NULL && ret_n != NULL);
    bool fit = fits_batch(n);
    for (size_t i = 0; fit && i < n; i++) {
        fit = key_fits(&keys[i]);
    }
    return fit ? store->ops->read(store, keys, n, arena, ret_panics, ret_statuses, ret_n)
               : STATUS_INVALID_ARGUMENT;
}

enum status store_list(struct store *store, const char *tenant, const struct id *after, uint8_t status,
                       size_t max, struct arena *arena, struct store_panic *ret_panics, size_t *ret_n,
                       struct id *ret_last, bool *ret_more)
{
    assert(arena != NULL && ret_panics != NULL && ret_n != NULL && ret_last != NULL && ret_more != NULL);
    if (!tenant_fits(tenant) || max == 0 || max > STORE_PAGE_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    static const struct id before_all;
    return store->ops->list(store, tenant, after != NULL ? after : &before_all, status, max, arena,
                            ret_panics, ret_n, ret_last, ret_more);
}

enum status store_events(struct store *store, const char *tenant, const struct id *id, uint64_t after_version,
                         size_t max, struct arena *arena, struct store_event *ret_events, size_t *ret_n)
{
    assert(id != NULL && arena != NULL && ret_events != NULL && ret_n != NULL);
    if (!tenant_fits(tenant) || after_version > INT64_MAX || max == 0 || max > STORE_PAGE_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->events(store, tenant, id, after_version, max, arena, ret_events, ret_n);
}

enum status store_changes(struct store *store, const char *tenant, const struct id *id, uint64_t after_seq,
                          size_t max, struct arena *arena, struct store_change *ret_changes, size_t *ret_n,
                          uint64_t *ret_last, bool *ret_more)
{
    assert(arena != NULL && ret_changes != NULL && ret_n != NULL && ret_last != NULL && ret_more != NULL);
    if (!tenant_fits(tenant) || after_seq > INT64_MAX || max == 0 || max > STORE_PAGE_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->changes(store, tenant, id, after_seq, max, arena, ret_changes, ret_n, ret_last,
                               ret_more);
}

enum status store_last_seq(struct store *store, uint64_t *ret_seq)
{
    assert(ret_seq != NULL);
    return store->ops->last_seq(store, ret_seq);
}

enum status store_list_responders(struct store *store, const char *tenant, const char *after, size_t max,
                                  struct arena *arena, struct store_responder *ret_responders, size_t *ret_n,
                                  bool *ret_more)
{
    assert(arena != NULL && ret_responders != NULL && ret_n != NULL && ret_more != NULL);
    if (!tenant_fits(tenant) || max == 0 || max > STORE_PAGE_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->list_responders(store, tenant, after != NULL ? after : "", max, arena, ret_responders,
                                       ret_n, ret_more);
}

enum status store_all_responders(struct store *store,
                                 void (*visit)(void *ctx, const struct store_responder *responder), void *ctx)
{
    assert(visit != NULL);
    return store->ops->all_responders(store, visit, ctx);
}

enum status store_due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                      struct store_key *ret_keys, size_t *ret_n)
{
    assert(ret_keys != NULL && ret_n != NULL);
    if (!fits_batch(max)) {
        return STATUS_INVALID_ARGUMENT;
    }
    /* What the first range holds the second must not hold again. */
    if (before_us != INT64_MAX && after_us <= before_us) {
        after_us = before_us + 1;
    }
    return store->ops->due(store, before_us, after_us, max, ret_keys, ret_n);
}

enum status store_open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                            struct store_key *ret_keys, size_t *ret_n)
{
    assert(ret_keys != NULL && ret_n != NULL);
    if (!fits_batch(max) || after_seq > INT64_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->open_from(store, from_us, after_seq, max, ret_keys, ret_n);
}

enum status store_waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                          size_t *ret_n)
{
    assert(ret_keys != NULL && ret_n != NULL);
    if (queue == 0 || queue > STORE_QUEUES || !fits_batch(max)) {
        return STATUS_INVALID_ARGUMENT;
    }
    return store->ops->waiting(store, queue, max, ret_keys, ret_n);
}

enum status store_counts(struct store *store, int64_t overdue_before_us, struct store_counts *ret_counts)
{
    assert(ret_counts != NULL);
    return store->ops->counts(store, overdue_before_us, ret_counts);
}
