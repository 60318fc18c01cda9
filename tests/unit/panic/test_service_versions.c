/*
 * The versions that one reader sees of a panic never fall, nor does one stay below a write that somebody was
 * answered to: many readers and writers at once, over caches that keep nothing, little, and everything.
 */
#include "unit/panic/rig.h"

#include <pthread.h>

#define PANICS 12
#define READERS 4
#define WRITERS 2
#define ROUNDS 300

struct run {
    struct rig *rig;
    pthread_barrier_t start;
    /* The newest version of each panic that anybody was answered. */
    _Atomic int64_t answered[PANICS];
    _Atomic unsigned writers;
    /* What went wrong first; NULL = nothing. */
    _Atomic(const char *) broken;
    _Atomic uint64_t reads;
};

static void break_rule(struct run *run, const char *rule)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&run->broken, &none, rule);
}

static void raise_to(_Atomic int64_t *figure, int64_t version)
{
    int64_t seen = atomic_load(figure);
    while (seen < version && !atomic_compare_exchange_weak(figure, &seen, version)) {
    }
}

static int64_t version_in(const ProtobufCMessage *response)
{
    if (response == NULL) {
        return -1;
    }
    if (response->descriptor == &panic__v1__create_panic_response__descriptor) {
        return ((const Panic__V1__CreatePanicResponse *)response)->panic->version;
    }
    if (response->descriptor == &panic__v1__get_panic_response__descriptor) {
        return ((const Panic__V1__GetPanicResponse *)response)->panic->version;
    }
    return ((const Panic__V1__ResolvePanicResponse *)response)->panic->version;
}

/* Ends the call and holds its version, if it has one, against what was answered before it began. */
static enum status check(struct run *run, unsigned n, struct local_call *call, int64_t before)
{
    enum status status = STATUS_UNKNOWN;
    if (!local_call_await(call, &status)) {
        break_rule(run, "every call is answered");
        return status;
    }
    int64_t version = version_in(local_call_response(call));
    if (version >= 0 && version < before) {
        break_rule(run, "versions never fall");
    }
    if (status == STATUS_NOT_FOUND && before > 0) {
        break_rule(run, "what was stored is found");
    }
    if (version >= 0) {
        raise_to(&run->answered[n], version);
    }
    local_call_free(call);
    return status;
}

static void *read_all(void *arg)
{
    struct run *run = arg;
    pthread_barrier_wait(&run->start);
    while (atomic_load(&run->writers) > 0) {
        for (unsigned n = 0; n < PANICS; n++) {
            int64_t before = atomic_load(&run->answered[n]);
            check(run, n, rig_start_get(run->rig, RIG_TENANT, n), before);
            atomic_fetch_add(&run->reads, 1);
        }
    }
    return NULL;
}

/* Lists show stored versions, which gets must not fall behind. */
static void *list_all(void *arg)
{
    struct run *run = arg;
    pthread_barrier_wait(&run->start);
    while (atomic_load(&run->writers) > 0) {
        int64_t before[PANICS];
        for (unsigned n = 0; n < PANICS; n++) {
            before[n] = atomic_load(&run->answered[n]);
        }
        struct local_call *call = rig_start_list(run->rig, PANICS, "");
        enum status status = STATUS_UNKNOWN;
        if (!local_call_await(call, &status) || status != STATUS_OK) {
            break_rule(run, "lists are answered");
            return NULL;
        }
        const Panic__V1__ListPanicsResponse *page =
            (const Panic__V1__ListPanicsResponse *)local_call_response(call);
        for (size_t i = 0; i < page->n_panics; i++) {
            unsigned long n = strtoul(page->panics[i]->id + 24, NULL, 16);
            if (page->panics[i]->version < before[n]) {
                break_rule(run, "versions in lists never fall");
            }
            raise_to(&run->answered[n], page->panics[i]->version);
        }
        local_call_free(call);
    }
    return NULL;
}

/* Creates and repeats each panic, moves the clock so that dispatch tries, puts responders, resolves at the
 * end. */
static void *write_all(void *arg)
{
    struct run *run = arg;
    pthread_barrier_wait(&run->start);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = round % PANICS;
        int64_t before = atomic_load(&run->answered[n]);
        if (check(run, n, rig_start_create(run->rig, n), before) != STATUS_OK) {
            break_rule(run, "creates and repeats succeed");
        }
        rig_advance(run->rig, LIFECYCLE_RETRY_MAX_US);
        char id[16];
        snprintf(id, sizeof(id), "unit-%u", round % 3);
        enum status status = STATUS_UNKNOWN;
        struct local_call *put = rig_start_put(run->rig, RIG_TENANT, id, RESPONDER_STATE(AVAILABLE));
        if (!local_call_await(put, &status) || status != STATUS_OK) {
            break_rule(run, "puts succeed");
        }
        local_call_free(put);
        if (round > ROUNDS / 2) {
            before = atomic_load(&run->answered[n]);
            check(run, n, rig_start_resolve(run->rig, n, ""), before);
        }
    }
    atomic_fetch_sub(&run->writers, 1);
    return NULL;
}

static void test_versions_never_fall(void **state)
{
    struct run run = {.rig = *state, .writers = WRITERS};
    pthread_t threads[READERS + WRITERS + 1];
    assert_int_equal(pthread_barrier_init(&run.start, NULL, READERS + WRITERS + 1), 0);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &run), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_create(&threads[READERS + i], NULL, write_all, &run), 0);
    }
    assert_int_equal(pthread_create(&threads[READERS + WRITERS], NULL, list_all, &run), 0);
    for (int i = 0; i <= READERS + WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    pthread_barrier_destroy(&run.start);
    if (run.broken != NULL) {
        fail_msg("broken: %s", (const char *)run.broken);
    }
    assert_true(run.reads > 0);
    assert_int_equal(rig_counts(run.rig).panics, PANICS);
    assert_int_equal(rig_counts(run.rig).open, 0);
}

/* Room for some of the panics only. */
static int set_up_with_a_tiny_cache(void **state)
{
    rig_set_up_stopped(state);
    ((struct rig *)*state)->cache_bytes_max = 4096;
    rig_start(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"test_versions_never_fall (nothing cached)", test_versions_never_fall, rig_set_up_without_cache,
         rig_tear_down, NULL},
        {"test_versions_never_fall (little cached)", test_versions_never_fall, set_up_with_a_tiny_cache,
         rig_tear_down, NULL},
        {"test_versions_never_fall (all cached)", test_versions_never_fall, rig_set_up, rig_tear_down, NULL},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
