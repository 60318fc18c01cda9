/*
 * One bit for each registered worker in `parked`, and one futex word for each worker, its state:
 *
 *     AWAKE → REGISTERED          park_prepare, by the worker, before it sets its bit
 *     REGISTERED → ASLEEP         park_wait, by the worker, by compare-and-swap
 *     any → NOTIFIED              a waker
 *     any → AWAKE                 the worker, after it has cleared its bit: it was woken, or cancelled
 *
 * No lost wake-up. Let the producer publish (P1) and load `parked` (P2); let a worker set its bit (W1) and
 * look for work (W2). If P2 misses the bit, either W1 and so W2 come after P1, and the worker finds the work,
 * or the worker has cleared its bit already and is going to look before it sleeps again. If P2 sees the bit,
 * the clearing of it comes after P1, and the look that follows finds the work; it remains that the worker
 * does not sleep for ever. REGISTERED or ASLEEP, this waker notifies it. NOTIFIED, somebody has: no worker
 * goes from there to ASLEEP other than through AWAKE. AWAKE, it left meanwhile, and the waker looks again for
 * another.
 *
 * Wakers hold no claim: only the worker clears its bit, and a waker's last step, FUTEX_WAKE_OP, sets the word
 * and wakes in one system call. A waker that is stopped anywhere has therefore either done nothing, so that
 * the next waker picks the same worker, or everything. One that comes late notifies a worker that has moved
 * on: a wake-up for no reason, or a word that the next park_prepare overwrites before anybody may rely on it.
 */
#include "core/park.h"

#include <assert.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/atomic_ops.h"

enum worker_state { AWAKE, REGISTERED, ASLEEP, NOTIFIED };

struct parked_worker {
    /* enum worker_state; the futex. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint32_t state;
    /* When it registered last, in registrations of the lot. Written by the worker, read by wakers. */
    _Atomic uint64_t registered_at;
};

struct park {
    /* Bit w: worker w has registered. Set and cleared by the worker only. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t parked;
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t registrations;
    _Atomic uint64_t wakeups;
    unsigned n_workers;
    struct parked_worker workers[];
};

enum status park_new(unsigned workers, struct park **ret_park)
{
    if (workers < 1 || workers > PARK_WORKERS_MAX) {
        return STATUS_INVALID_ARGUMENT;
    }
    size_t size = sizeof(struct park) + workers * sizeof(struct parked_worker);
    struct park *park = aligned_alloc(CACHE_LINE_SIZE, size);
    if (park == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    atomic_init(&park->parked, 0);
    atomic_init(&park->registrations, 0);
    atomic_init(&park->wakeups, 0);
    park->n_workers = workers;
    for (unsigned i = 0; i < workers; i++) {
        atomic_init(&park->workers[i].state, AWAKE);
        atomic_init(&park->workers[i].registered_at, 0);
    }
    *ret_park = park;
    return STATUS_OK;
}

void park_free(struct park *park)
{
    assert(park == NULL || atomic_load(&park->parked) == 0);
    free(park);
}

/* Returns on any signal too, and at once when the worker is not asleep any more: the caller looks at the
 * state. */
static void sleep_while_asleep(struct parked_worker *self)
{
    (void)syscall(SYS_futex, &self->state, FUTEX_WAIT_PRIVATE, ASLEEP, NULL, NULL, 0);
}

/* Sets the state and wakes the sleeper, in one step for everybody else. The comparison never holds. */
static void wake_sleeper(struct park *park, struct parked_worker *sleeper)
{
    const uint32_t set_notified = FUTEX_OP(FUTEX_OP_SET, NOTIFIED, FUTEX_OP_CMP_LT, 0);
    ATOMIC_STEP("wake sleeper");
    long woken =
        syscall(SYS_futex, &sleeper->state, FUTEX_WAKE_OP_PRIVATE, 1, NULL, &sleeper->state, set_notified);
    assert(woken >= 0);
    atomic_fetch_add(&park->wakeups, 1);
}

void park_prepare(struct park *park, unsigned worker)
{
    assert(worker < park->n_workers);
    struct parked_worker *self = &park->workers[worker];
    uint64_t now = step_add("prepare stamp", &park->registrations, 1);
    step_store("prepare stamped", &self->registered_at, now);
    step_store("prepare state", &self->state, REGISTERED);
    step_or("prepare register", &park->parked, 1ULL << worker);
}

/* Back to AWAKE; the bit goes first, so that a waker that finds AWAKE need not wait for the bit to go. */
static uint32_t leave(struct park *park, unsigned worker)
{
    step_and("leave", &park->parked, ~(1ULL << worker));
    return step_exchange("leave state", &park->workers[worker].state, AWAKE);
}

void park_cancel(struct park *park, unsigned worker)
{
    assert(worker < park->n_workers);
    if (leave(park, worker) == NOTIFIED) {
        park_wake_one(park);
    }
}

void park_wait(struct park *park, unsigned worker)
{
    assert(worker < park->n_workers);
    struct parked_worker *self = &park->workers[worker];
    uint32_t state = REGISTERED;
    if (step_swap("wait", &self->state, &state, ASLEEP)) {
        while (step_load("wait look", &self->state) == ASLEEP) {
            sleep_while_asleep(self);
        }
    }
    leave(park, worker);
}

/* False when the worker is awake already. */
static bool notify(struct park *park, struct parked_worker *worker)
{
    uint32_t state = REGISTERED;
    if (step_swap("notify", &worker->state, &state, NOTIFIED)) {
        return true;
    }
    if (state == ASLEEP) {
        wake_sleeper(park, worker);
    }
    return state != AWAKE;
}

/* Of the workers in `parked`, which is not 0, the one to wake: one that is on its way, or the latest to
 * register. */
static struct parked_worker *choose(struct park *park, uint64_t parked)
{
    struct parked_worker *latest = NULL;
    uint64_t latest_at = 0;
    for (; parked != 0; parked &= parked - 1) {
        struct parked_worker *worker = &park->workers[__builtin_ctzll(parked)];
        if (step_load("choose state", &worker->state) == NOTIFIED) {
            return worker;
        }
        uint64_t at = step_load("choose stamp", &worker->registered_at);
        if (latest == NULL || at > latest_at) {
            latest = worker;
            latest_at = at;
        }
    }
    return latest;
}

void park_wake_one(struct park *park)
{
    uint64_t parked;
    do {
        parked = step_load("wake look", &park->parked);
    } while (parked != 0 && !notify(park, choose(park, parked)));
}

void park_wake_all(struct park *park)
{
    uint64_t parked = step_load("wake all", &park->parked);
    for (; parked != 0; parked &= parked - 1) {
        (void)notify(park, &park->workers[__builtin_ctzll(parked)]);
    }
}

uint64_t park_wakeups(const struct park *park)
{
    return atomic_load(&park->wakeups);
}
