/*
 * The store: where panics and responders are durable. The truth; everything else is a copy or a hint.
 *
 * Writes come in batches: store_apply() runs a batch in one transaction and returns after it is on stable
 * storage, with an outcome for each operation. Reads see committed state only, run beside writes, and never
 * wait for one.
 *
 * Two kinds stand behind this header: memory (store/memory.c) and SQLite (store/sqlite.c). One suite,
 * tests/unit/store, runs over both.
 *
 * Failures of a whole batch: RESOURCE_EXHAUSTED (disk full, no memory; nothing was changed, later batches may
 * succeed again), and DATA_LOSS for any I/O error: then nobody knows what is on the disk, and the caller must
 * end the process without acknowledging anything (reference: docs/ARCHITECTURE.md, "Fail-stop"). Reads fail
 * in the same two ways, and with INTERNAL where what they found is damaged: other rows may be sound, so
 * whoever asks for them is still served.
 *
 * Ownership: what an operation points to is the caller's and must live until store_apply returns; what a read
 * or an outcome points to lives in the arena that the caller gave.
 *
 * Any thread may call anything at any time between open and close.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/metrics.h"
#include "base/status.h"

/* Longest tenant and responder id, in bytes without the NUL. */
#define STORE_TENANT_MAX 64
#define STORE_RESPONDER_ID_MAX 64
#define STORE_BATCH_MAX 1024
/* Queues that panics may wait in: 1 to STORE_QUEUES. */
#define STORE_QUEUES 2
#define STORE_PAGE_MAX 500
/* Most rows that one store_list() looks at, whatever the tenant has. */
#define STORE_SCAN_MAX 5000
/* Longest content of a panic or responder, in bytes. */
#define STORE_CONTENT_MAX 1048576

struct bytes {
    const uint8_t *data;
    size_t length;
};

struct store_location {
    bool known;
    /* Degrees, WGS-84. */
    double lat;
    double lng;
};

/*
 * A panic as it is stored. `status`, `stage` and `responder state` are numbers that mean something to panic/
 * only; the store needs to know three things of a panic, and they have fields of their own: when somebody
 * must look at it again, which queue it waits in for a responder, and which responder is bound to it.
 */
struct store_panic {
    const char *tenant;
    struct id id;
    /* 1 when created, then one more for each change. */
    uint64_t version;
    uint8_t status;
    uint8_t stage;
    /*
     * Number of the queue in which it waits, while it is open and no responder could be found; 0 = does not
     * wait. store_waiting() lists a queue; what the numbers mean is the caller's affair.
     */
    uint8_t waiting;
    /* True while responder_id is bound by this panic. */
    bool assigned;
    uint32_t attempts;
    int64_t create_time_us;
    int64_t update_time_us;
    /* When the due scan must find it; 0 = closed, never. */
    int64_t next_action_at_us;
    /* NULL = none yet. Stays after the panic is closed; `assigned` says whether it is bound now. */
    const char *responder_id;
    int64_t assign_time_us;
    double distance_m;
    /* How it ended; NULL = open. */
    const char *outcome;
    /* What the creator sent, in canonical form: never changes; two creates are the same if this is equal. */
    struct bytes content;
};

struct store_responder {
    const char *tenant;
    const char *id;
    uint8_t state;
    struct store_location location;
    int64_t update_time_us;
    /* The serialized message as the caller put it. */
    struct bytes content;
    /* Read only, kept by the store: the panic that binds it; nil when free. */
    struct id panic_id;
};

/* Type and actor of the change that a creation is. */
#define STORE_CREATED_TYPE "created"
#define STORE_CREATED_ACTOR "api"

/* One state change, appended in the transaction of the change. Key: (tenant, panic, version after it). */
struct store_event {
    /* Read only: the panic's version after the change. */
    uint64_t version;
    int64_t at_us;
    /* Lower-case words: "assigned", "retry"…; who: "dispatch", "api"… */
    const char *type;
    const char *actor;
    uint8_t from_stage;
    uint8_t to_stage;
};

/*
 * A change in the feed: a creation (version 1, from stage 0), or an update that had an event. Their numbers
 * rise from 1 in the order of the commits, over all tenants, with gaps; whoever has seen one finds every
 * later one behind it, also after a restart.
 */
struct store_change {
    uint64_t seq;
    struct id panic_id;
    struct store_event event;
};

/*
 * Besides the outcomes below, any op may end in INVALID_ARGUMENT (a tenant, id, text, number or content
 * outside the bounds above) and one that reads back in RESOURCE_EXHAUSTED (its arena is full). An op whose
 * outcome is neither OK nor a replay left nothing behind, and the others of the batch are not touched by it.
 */
enum store_op_kind {
    /*
     * Insert op->panic as it is when new: version 1, updated when created, no responder, no outcome. (Its
     * creation is event 1 and needs no row.)
     * Outcome: OK; or, if the id is taken: OK with `replayed` and *existing when the content is equal,
     * ALREADY_EXISTS when it is not. A replay is durable like the original when store_apply returns.
     */
    STORE_CREATE,
    /*
     * Replace the mutable part of op->panic (all but create_time_us and content, which are not looked at) and
     * append op->event (NULL = none), if the stored version is op->panic->version - 1. If the panic gains a
     * responder (`assigned`, stored one not assigned), that responder must not be bound by another panic; it
     * is bound now. If it loses it, the responder is freed. Outcome: OK; ABORTED when the version differs or
     * the responder is bound: then nothing of this op was done; NOT_FOUND.
     */
    STORE_UPDATE,
    /*
     * Insert or replace op->responder. Does not change what binds it. Outcome: OK, with *existing_responder
     * read back.
     */
    STORE_PUT_RESPONDER,
};

struct store_op {
    enum store_op_kind kind;
    const struct store_panic *panic;
    const struct store_event *event;
    const struct store_responder *responder;
    /*
     * Where what is read back is put; one per op, so that it can be the arena of the op's RPC call. Not for
     * updates.
     */
    struct arena *arena;

    /* Set by store_apply. */
    enum status outcome;
    bool replayed;
    struct store_panic existing;
    struct store_responder existing_responder;
};

/* Names a panic in lists of hints: no pointers, may be copied freely. */
struct store_key {
    char tenant[STORE_TENANT_MAX + 1];
    struct id id;
    /* The number of its creation in the feed, which finds it quicker; 0 = not known. With another's number it
     * is found all the same. */
    uint64_t seq;
    int64_t next_action_at_us;
};

struct store_counts {
    uint64_t panics;
    uint64_t open;
    /* In all queues. */
    uint64_t waiting;
    /* Open panics whose next_action_at_us is before the given time: the auditor's figure. */
    uint64_t overdue;
    /* Of the database's file and of its write-ahead log, on disk; 0 for memory. */
    uint64_t file_bytes;
    uint64_t wal_bytes;
};

/* Written by the store, read by anybody. */
struct store_stats {
    /* How many operations a batch has. */
    struct histogram batch_ops;
    /* Whole batches, from the call to stable storage. */
    struct histogram batch_us;
    /* Of these, SQLite's COMMIT: the log is written and synced. Nothing for memory. */
    struct histogram sync_us;
    /* Checkpoints, for which the next batch waits. Nothing for memory. */
    struct histogram checkpoint_us;
    /* Length of SQLite's write-ahead log in pages after the last batch; 0 for memory. */
    _Atomic uint64_t wal_pages;
};

struct store;

/*
 * What a kind of store implements. Contracts as of the functions below, which check their arguments and call
 * these. apply gets ops whose outcome says whether they are well-formed, and leaves those alone that are not.
 */
struct store_ops {
    void (*close)(struct store *store);
    enum status (*apply)(struct store *store, struct store_op *ops, size_t n);
    enum status (*get)(struct store *store, const char *tenant, const struct id *id, struct arena *arena,
                       struct store_panic *ret_panic);
    enum status (*read)(struct store *store, const struct store_key *keys, size_t n, struct arena *arena,
                        struct store_panic *ret_panics, enum status *ret_statuses, size_t *ret_n);
    enum status (*list)(struct store *store, const char *tenant, const struct id *after, uint8_t status,
                        size_t max, struct arena *arena, struct store_panic *ret_panics, size_t *ret_n,
                        struct id *ret_last, bool *ret_more);
    enum status (*events)(struct store *store, const char *tenant, const struct id *id,
                          uint64_t after_version, size_t max, struct arena *arena,
                          struct store_event *ret_events, size_t *ret_n);
    enum status (*changes)(struct store *store, const char *tenant, const struct id *id, uint64_t after_seq,
                           size_t max, struct arena *arena, struct store_change *ret_changes, size_t *ret_n,
                           uint64_t *ret_last, bool *ret_more);
    enum status (*last_seq)(struct store *store, uint64_t *ret_seq);
    enum status (*list_responders)(struct store *store, const char *tenant, const char *after, size_t max,
                                   struct arena *arena, struct store_responder *ret_responders, size_t *ret_n,
                                   bool *ret_more);
    enum status (*all_responders)(struct store *store,
                                  void (*visit)(void *ctx, const struct store_responder *responder),
                                  void *ctx);
    enum status (*due)(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                       struct store_key *ret_keys, size_t *ret_n);
    enum status (*open_from)(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                             struct store_key *ret_keys, size_t *ret_n);
    enum status (*waiting)(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                           size_t *ret_n);
    enum status (*counts)(struct store *store, int64_t overdue_before_us, struct store_counts *ret_counts);
};

/* Kinds embed this as their first member. */
struct store {
    const struct store_ops *ops;
    struct store_stats stats;
};

/*
 * Opens what `url` names: "memory:" or "sqlite:PATH" (created if it does not exist; an existing file that is
 * no database, damaged, or of a newer schema is refused and left untouched). INVALID_ARGUMENT for another
 * form, FAILED_PRECONDITION for a file that is refused, RESOURCE_EXHAUSTED when memory is short, or the room
 * on the disk for bringing a file of an older schema up to date, UNAVAILABLE when the path cannot be opened
 * or another process has it open; diag says which and how to mend it. The caller owns *ret_store.
 */
MUST_USE enum status store_open(const char *url, struct store **ret_store, struct diag *diag);

/* Closes and frees. NULL is fine. No other call may be under way. */
void store_close(struct store *store);

/*
 * One transaction; at most STORE_BATCH_MAX ops. Each op's outcome is set only when OK is returned. May block
 * on disk.
 */
MUST_USE enum status store_apply(struct store *store, struct store_op *ops, size_t n);

/* NOT_FOUND; RESOURCE_EXHAUSTED when the arena is full. */
MUST_USE enum status store_get(struct store *store, const char *tenant, const struct id *id,
                               struct arena *arena, struct store_panic *ret_panic);

/*
 * Many panics (1 to STORE_BATCH_MAX) as of one moment, for less than as many store_get(). *ret_n: how many of
 * the keys, from the first, were looked up; fewer when arena or memory ended, and then perhaps none.
 * ret_statuses has for each of them OK, NOT_FOUND, or INTERNAL where its row is damaged.
 */
MUST_USE enum status store_read(struct store *store, const struct store_key *keys, size_t n,
                                struct arena *arena, struct store_panic *ret_panics,
                                enum status *ret_statuses, size_t *ret_n);

/*
 * Panics of a tenant in the order of their ids, beginning behind `after` (NULL = from the start), of one
 * status (0 = all). At most `max` (<= STORE_PAGE_MAX); fewer when the arena is nearly full, or when
 * STORE_SCAN_MAX rows were looked at, and then perhaps none, so that a rare status costs no more than a
 * common one. *ret_last is the last row looked at, behind which to go on, and *ret_more is false once there
 * is nothing behind it.
 */
MUST_USE enum status store_list(struct store *store, const char *tenant, const struct id *after,
                                uint8_t status, size_t max, struct arena *arena,
                                struct store_panic *ret_panics, size_t *ret_n, struct id *ret_last,
                                bool *ret_more);

/*
 * The events of a panic in order, beginning behind `after_version` (0 = from the start). At most `max`
 * (<= STORE_PAGE_MAX); fewer, but at least one if there is one, when the arena is nearly full; so that only
 * *ret_n == 0 means that there are no more. An unknown panic has none.
 */
MUST_USE enum status store_events(struct store *store, const char *tenant, const struct id *id,
                                  uint64_t after_version, size_t max, struct arena *arena,
                                  struct store_event *ret_events, size_t *ret_n);

/*
 * The feed: the changes of a tenant behind number `after_seq` (0 = from the start) in order, of one panic or
 * of all (`id` NULL). At most `max` (<= STORE_PAGE_MAX); fewer when the arena is nearly full, or when
 * STORE_SCAN_MAX rows, also of other tenants, were looked at, and then perhaps none. *ret_last is the last
 * number looked at, behind which to go on, and *ret_more is false once there is nothing behind it.
 */
MUST_USE enum status store_changes(struct store *store, const char *tenant, const struct id *id,
                                   uint64_t after_seq, size_t max, struct arena *arena,
                                   struct store_change *ret_changes, size_t *ret_n, uint64_t *ret_last,
                                   bool *ret_more);

/* The highest number of a change that is committed, of any tenant; 0 = none yet. */
MUST_USE enum status store_last_seq(struct store *store, uint64_t *ret_seq);

/*
 * Responders of a tenant in the byte order of their ids, in pages like those of store_list(); *ret_more tells
 * whether there are any behind the last of the page.
 */
MUST_USE enum status store_list_responders(struct store *store, const char *tenant, const char *after,
                                           size_t max, struct arena *arena,
                                           struct store_responder *ret_responders, size_t *ret_n,
                                           bool *ret_more);

/*
 * Calls visit for every responder of every tenant; what it gets is valid during the call only, and it must
 * not call the store. For the start.
 */
MUST_USE enum status store_all_responders(struct store *store,
                                          void (*visit)(void *ctx, const struct store_responder *responder),
                                          void *ctx);

/*
 * Open panics whose next_action_at_us is at most before_us, or at least after_us (times that cannot be true,
 * left by a clock that was ahead), earliest first. Here and in the next two `max` is 1 to STORE_BATCH_MAX.
 */
MUST_USE enum status store_due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                               struct store_key *ret_keys, size_t *ret_n);

/*
 * Open panics in the order of (next_action_at_us, seq), beginning behind (from_us, after_seq): with after_seq
 * 0 at from_us itself. To go through all that is open, go on behind the last one.
 */
MUST_USE enum status store_open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                                     struct store_key *ret_keys, size_t *ret_n);

/*
 * What waits in the queue, of all tenants, oldest creation first; of panics that were not changed since they
 * were created, all of which are first due equally long after that, the one that is due first counts as the
 * oldest. INVALID_ARGUMENT for a number that is no queue.
 */
MUST_USE enum status store_waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                                   size_t *ret_n);

/* Takes time proportional to the number of open panics, not of all: for the auditor, not for the hot path. */
MUST_USE enum status store_counts(struct store *store, int64_t overdue_before_us,
                                  struct store_counts *ret_counts);

#endif
