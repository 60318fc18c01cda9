/*
 * The store in memory: ordered trees under one mutex. For tests, and for a panicd whose panics may die with
 * it.
 *
 * Each panic is one node that hangs in up to four trees: all panics by key; the open ones by when they are
 * due, and their numbers; the waiting ones by queue and creation; the bound ones by their responder. A node's
 * keys change only between unindex() and index(), so the trees never see a key move. The tree of bound panics
 * is what makes a binding exclusive, whether the responder was ever put or not.
 *
 * A batch is all or nothing because everything that can fail for want of memory happens before the mutex is
 * taken: each op gets its copies first (struct node_parts), and under the mutex they are only moved into the
 * trees. What was not used is freed afterwards. So the mutex is held for pointer work and never for an
 * allocation of the store's own; reads copy out under it, into the caller's arena.
 */
#include "store/kinds.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/copy.h"
#include "store/memory_feed.h"
#include "store/memory_trees.h"

struct memory_store {
    struct store store;
    pthread_mutex_t lock;
    /* All below under `lock`. */
    struct panics panics;
    struct due due;
    struct waiting waiting;
    struct bound bound;
    struct responders responders;
    struct store_counts counts;
    struct memory_feed feed;
};

static struct panic_node *find_panic(struct memory_store *memory, const char *tenant, const struct id *id)
{
    struct panic_node key = {.panic = {.tenant = tenant, .id = *id}};
    return RB_FIND(panics, &memory->panics, &key);
}

static struct panic_node *find_binding(struct memory_store *memory, const char *tenant,
                                       const char *responder_id)
{
    struct panic_node key = {.panic = {.tenant = tenant, .responder_id = responder_id}};
    return RB_FIND(bound, &memory->bound, &key);
}

static void index_panic(struct memory_store *memory, struct panic_node *node)
{
    if (node->panic.next_action_at_us != 0) {
        RB_INSERT(due, &memory->due, node);
        memory->counts.open++;
    }
    if (node->panic.waiting != 0) {
        RB_INSERT(waiting, &memory->waiting, node);
        memory->counts.waiting++;
    }
    if (node->panic.assigned) {
        RB_INSERT(bound, &memory->bound, node);
    }
}

static void unindex_panic(struct memory_store *memory, struct panic_node *node)
{
    if (node->panic.next_action_at_us != 0) {
        RB_REMOVE(due, &memory->due, node);
        memory->counts.open--;
    }
    if (node->panic.waiting != 0) {
        RB_REMOVE(waiting, &memory->waiting, node);
        memory->counts.waiting--;
    }
    if (node->panic.assigned) {
        RB_REMOVE(bound, &memory->bound, node);
    }
}

static enum status apply_create(struct memory_store *memory, struct store_op *op, struct node_parts *parts)
{
    const struct panic_node *stored = find_panic(memory, op->panic->tenant, &op->panic->id);
    if (stored == NULL) {
        RB_INSERT(panics, &memory->panics, parts->panic);
        memory_feed_append(&memory->feed, &parts->panic->created, &parts->panic->panic,
                           &parts->panic->created_event);
        index_panic(memory, parts->panic);
        memory->counts.panics++;
        parts->panic = NULL;
        return STATUS_OK;
    }
    if (!bytes_equal(&stored->panic.content, &op->panic->content)) {
        return STATUS_ALREADY_EXISTS;
    }
    if (!panic_copy_out(op->arena, &stored->panic, &op->existing)) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    op->replayed = true;
    return STATUS_OK;
}

static void append_event(struct memory_store *memory, struct panic_node *node, struct node_parts *parts)
{
    if (parts->event != NULL) {
        memory_feed_append(&memory->feed, &parts->event->change, &node->panic, &parts->event->event);
        *node->events_end = parts->event;
        node->events_end = &parts->event->next;
        parts->event = NULL;
    }
}

static enum status apply_update(struct memory_store *memory, const struct store_op *op,
                                struct node_parts *parts)
{
    struct panic_node *node = find_panic(memory, op->panic->tenant, &op->panic->id);
    if (node == NULL) {
        return STATUS_NOT_FOUND;
    }
    if (node->panic.version != op->panic->version - 1) {
        return STATUS_ABORTED;
    }
    if (op->panic->assigned) {
        const struct panic_node *binding = find_binding(memory, op->panic->tenant, op->panic->responder_id);
        if (binding != NULL && binding != node) {
            return STATUS_ABORTED;
        }
    }
    struct store_panic update = parts->update;
    update.tenant = node->panic.tenant;
    update.create_time_us = node->panic.create_time_us;
    update.content = node->panic.content;

    unindex_panic(memory, node);
    char *old_texts = node->texts;
    node->panic = update;
    node->texts = parts->texts;
    parts->texts = old_texts;
    index_panic(memory, node);
    append_event(memory, node, parts);
    return STATUS_OK;
}

static struct id binding_of(struct memory_store *memory, const struct store_responder *responder)
{
    const struct panic_node *binding = find_binding(memory, responder->tenant, responder->id);
    return binding != NULL ? binding->panic.id : (struct id){0};
}

static enum status apply_put_responder(struct memory_store *memory, struct store_op *op,
                                       struct node_parts *parts)
{
    if (!responder_copy_out(op->arena, op->responder, &op->existing_responder)) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    op->existing_responder.panic_id = binding_of(memory, op->responder);
    struct responder_node *stored = RB_FIND(responders, &memory->responders, parts->responder);
    if (stored != NULL) {
        RB_REMOVE(responders, &memory->responders, stored);
    }
    RB_INSERT(responders, &memory->responders, parts->responder);
    parts->responder = stored;
    return STATUS_OK;
}

static enum status apply_op(struct memory_store *memory, struct store_op *op, struct node_parts *parts)
{
    switch (op->kind) {
    case STORE_CREATE:
        return apply_create(memory, op, parts);
    case STORE_UPDATE:
        return apply_update(memory, op, parts);
    case STORE_PUT_RESPONDER:
        return apply_put_responder(memory, op, parts);
    }
    return STATUS_INVALID_ARGUMENT;
}

static enum status memory_apply(struct store *store, struct store_op *ops, size_t n)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct node_parts *parts = calloc(n, sizeof(*parts));
    if (parts == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    bool complete = true;
    for (size_t i = 0; i < n && complete; i++) {
        complete = ops[i].outcome != STATUS_OK || node_parts_init(&parts[i], &ops[i]);
    }
    if (complete) {
        pthread_mutex_lock(&memory->lock);
        for (size_t i = 0; i < n; i++) {
            if (ops[i].outcome == STATUS_OK) {
                ops[i].outcome = apply_op(memory, &ops[i], &parts[i]);
            }
        }
        pthread_mutex_unlock(&memory->lock);
    }
    for (size_t i = 0; i < n; i++) {
        node_parts_release(&parts[i]);
    }
    free(parts);
    return complete ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

static enum status memory_get(struct store *store, const char *tenant, const struct id *id,
                              struct arena *arena, struct store_panic *ret_panic)
{
    struct memory_store *memory = (struct memory_store *)store;
    pthread_mutex_lock(&memory->lock);
    enum status status = STATUS_NOT_FOUND;
    const struct panic_node *node = find_panic(memory, tenant, id);
    if (node != NULL) {
        status = panic_copy_out(arena, &node->panic, ret_panic) ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
    }
    pthread_mutex_unlock(&memory->lock);
    return status;
}

static enum status memory_read(struct store *store, const struct store_key *keys, size_t n,
                               struct arena *arena, struct store_panic *ret_panics, enum status *ret_statuses,
                               size_t *ret_n)
{
    struct memory_store *memory = (struct memory_store *)store;
    size_t read = 0;
    bool full = false;
    pthread_mutex_lock(&memory->lock);
    while (read < n && !full) {
        const struct store_key *key = &keys[read];
        const struct panic_node *node = find_panic(memory, key->tenant, &key->id);
        full = node != NULL && !panic_copy_out(arena, &node->panic, &ret_panics[read]);
        if (!full) {
            ret_statuses[read++] = node != NULL ? STATUS_OK : STATUS_NOT_FOUND;
        }
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_n = read;
    return STATUS_OK;
}

/* What a page ends with: full before the first row is a failure, later it is only a shorter page. */
static enum status page_status(size_t n, bool full)
{
    return full && n == 0 ? STATUS_RESOURCE_EXHAUSTED : STATUS_OK;
}

static bool is_of_tenant(const struct panic_node *node, const char *tenant)
{
    return node != NULL && strcmp(node->panic.tenant, tenant) == 0;
}

static enum status memory_list(struct store *store, const char *tenant, const struct id *after,
                               uint8_t status, size_t max, struct arena *arena,
                               struct store_panic *ret_panics, size_t *ret_n, struct id *ret_last,
                               bool *ret_more)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct panic_node key = {.panic = {.tenant = tenant, .id = *after}};
    struct id last = *after;
    size_t n = 0;
    bool full = false;
    pthread_mutex_lock(&memory->lock);
    struct panic_node *node = RB_NFIND(panics, &memory->panics, &key);
    if (node != NULL && compare_ids(node, &key) == 0) {
        node = RB_NEXT(panics, &memory->panics, node);
    }
    for (size_t seen = 0; is_of_tenant(node, tenant) && n < max && seen < STORE_SCAN_MAX; seen++) {
        bool chosen = status == 0 || node->panic.status == status;
        full = chosen && !panic_copy_out(arena, &node->panic, &ret_panics[n]);
        if (full) {
            break;
        }
        n += chosen ? 1 : 0;
        last = node->panic.id;
        node = RB_NEXT(panics, &memory->panics, node);
    }
    bool more = is_of_tenant(node, tenant);
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    *ret_last = last;
    *ret_more = more;
    return page_status(n, full);
}

static enum status memory_events(struct store *store, const char *tenant, const struct id *id,
                                 uint64_t after_version, size_t max, struct arena *arena,
                                 struct store_event *ret_events, size_t *ret_n)
{
    struct memory_store *memory = (struct memory_store *)store;
    size_t n = 0;
    bool full = false;
    pthread_mutex_lock(&memory->lock);
    const struct panic_node *panic = find_panic(memory, tenant, id);
    const struct event_node *node = panic != NULL ? panic->events : NULL;
    for (; node != NULL && n < max && !full; node = node->next) {
        if (node->event.version > after_version) {
            full = !event_copy_out(arena, &node->event, &ret_events[n]);
            n += full ? 0 : 1;
        }
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    return page_status(n, full);
}

static enum status memory_changes(struct store *store, const char *tenant, const struct id *id,
                                  uint64_t after_seq, size_t max, struct arena *arena,
                                  struct store_change *ret_changes, size_t *ret_n, uint64_t *ret_last,
                                  bool *ret_more)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct memory_feed_page page = {
        .tenant = tenant, .max = max, .arena = arena, .changes = ret_changes, .last = after_seq};
    pthread_mutex_lock(&memory->lock);
    const struct panic_node *panic = id != NULL ? find_panic(memory, tenant, id) : NULL;
    if (panic != NULL) {
        memory_feed_read_panic(panic, &page);
    } else if (id == NULL) {
        memory_feed_read(&memory->feed, &page);
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_n = page.n;
    *ret_last = page.last;
    *ret_more = page.more;
    return page_status(page.n, page.full);
}

static enum status memory_last_seq(struct store *store, uint64_t *ret_seq)
{
    struct memory_store *memory = (struct memory_store *)store;
    pthread_mutex_lock(&memory->lock);
    *ret_seq = memory->feed.last_seq;
    pthread_mutex_unlock(&memory->lock);
    return STATUS_OK;
}

static enum status memory_list_responders(struct store *store, const char *tenant, const char *after,
                                          size_t max, struct arena *arena,
                                          struct store_responder *ret_responders, size_t *ret_n,
                                          bool *ret_more)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct responder_node key = {.responder = {.tenant = tenant, .id = after}};
    size_t n = 0;
    bool full = false;
    pthread_mutex_lock(&memory->lock);
    struct responder_node *node = RB_NFIND(responders, &memory->responders, &key);
    if (node != NULL && compare_responders(node, &key) == 0) {
        node = RB_NEXT(responders, &memory->responders, node);
    }
    while (node != NULL && n < max && strcmp(node->responder.tenant, tenant) == 0) {
        full = !responder_copy_out(arena, &node->responder, &ret_responders[n]);
        if (full) {
            break;
        }
        ret_responders[n++].panic_id = binding_of(memory, &node->responder);
        node = RB_NEXT(responders, &memory->responders, node);
    }
    bool more = node != NULL && strcmp(node->responder.tenant, tenant) == 0;
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    *ret_more = more;
    return page_status(n, full);
}

static enum status memory_all_responders(struct store *store,
                                         void (*visit)(void *ctx, const struct store_responder *responder),
                                         void *ctx)
{
    struct memory_store *memory = (struct memory_store *)store;
    pthread_mutex_lock(&memory->lock);
    for (struct responder_node *node = RB_MIN(responders, &memory->responders); node != NULL;
         node = RB_NEXT(responders, &memory->responders, node)) {
        struct store_responder responder = node->responder;
        responder.panic_id = binding_of(memory, &responder);
        visit(ctx, &responder);
    }
    pthread_mutex_unlock(&memory->lock);
    return STATUS_OK;
}

/* Appends keys from the node on, up to this time, until `max` are there. */
static void put_due(struct panic_node *node, int64_t until_us, size_t max, struct store_key *ret_keys,
                    size_t *n)
{
    for (; node != NULL && *n < max && node->panic.next_action_at_us <= until_us; node = due_RB_NEXT(node)) {
        ret_keys[(*n)++] = panic_node_key(node);
    }
}

static enum status memory_due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                              struct store_key *ret_keys, size_t *ret_n)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct panic_node key = {.panic = {.next_action_at_us = after_us}};
    size_t n = 0;
    pthread_mutex_lock(&memory->lock);
    put_due(RB_MIN(due, &memory->due), before_us, max, ret_keys, &n);
    if (after_us > before_us) {
        put_due(RB_NFIND(due, &memory->due, &key), INT64_MAX, max, ret_keys, &n);
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    return STATUS_OK;
}

static enum status memory_open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                                    struct store_key *ret_keys, size_t *ret_n)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct panic_node key = {.panic = {.next_action_at_us = from_us}, .created = {.seq = after_seq + 1}};
    size_t n = 0;
    pthread_mutex_lock(&memory->lock);
    put_due(RB_NFIND(due, &memory->due, &key), INT64_MAX, max, ret_keys, &n);
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    return STATUS_OK;
}

static enum status memory_waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                                  size_t *ret_n)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct panic_node key = {.panic = {.tenant = "", .waiting = queue, .create_time_us = INT64_MIN}};
    size_t n = 0;
    pthread_mutex_lock(&memory->lock);
    struct panic_node *node = RB_NFIND(waiting, &memory->waiting, &key);
    for (; node != NULL && n < max && node->panic.waiting == queue;
         node = RB_NEXT(waiting, &memory->waiting, node)) {
        ret_keys[n++] = panic_node_key(node);
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_n = n;
    return STATUS_OK;
}

static enum status memory_counts(struct store *store, int64_t overdue_before_us,
                                 struct store_counts *ret_counts)
{
    struct memory_store *memory = (struct memory_store *)store;
    pthread_mutex_lock(&memory->lock);
    struct store_counts counts = memory->counts;
    struct panic_node *node = RB_MIN(due, &memory->due);
    for (; node != NULL && node->panic.next_action_at_us < overdue_before_us;
         node = RB_NEXT(due, &memory->due, node)) {
        counts.overdue++;
    }
    pthread_mutex_unlock(&memory->lock);
    *ret_counts = counts;
    return STATUS_OK;
}

static void memory_close(struct store *store)
{
    struct memory_store *memory = (struct memory_store *)store;
    struct panic_node *panic;
    while ((panic = RB_ROOT(&memory->panics)) != NULL) {
        RB_REMOVE(panics, &memory->panics, panic);
        panic_node_free(panic);
    }
    struct responder_node *responder;
    while ((responder = RB_ROOT(&memory->responders)) != NULL) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a removed node is linked nowhere. */
        RB_REMOVE(responders, &memory->responders, responder);
        free(responder);
    }
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

enum status memory_store_open(struct store **ret_store)
{
    static const struct store_ops ops = {
        .close = memory_close,
        .apply = memory_apply,
        .get = memory_get,
        .read = memory_read,
        .list = memory_list,
        .events = memory_events,
        .changes = memory_changes,
        .last_seq = memory_last_seq,
        .list_responders = memory_list_responders,
        .all_responders = memory_all_responders,
        .due = memory_due,
        .open_from = memory_open_from,
        .waiting = memory_waiting,
        .counts = memory_counts,
    };
    struct memory_store *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    memory->store.ops = &ops;
    pthread_mutex_init(&memory->lock, NULL);
    *ret_store = &memory->store;
    return STATUS_OK;
}
