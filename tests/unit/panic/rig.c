#include "unit/panic/rig.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define ARENA_MAX ((size_t)64 * 1024)

static int64_t wall_us(const struct clock *clock)
{
    const struct rig *rig = (const struct rig *)((const char *)clock - offsetof(struct rig, clock));
    return atomic_load(&rig->now_us);
}

void rig_start(struct rig *rig)
{
    const struct cache_config cache_config = {
        .bytes_max = rig->cache_bytes_max, .ttl_us = 3600 * US_PER_S, .shards = 1};
    assert_ok(cache_new(&cache_config, &rig->cache));
    const struct service_config config = {.store = gated_store_outer(rig->store),
                                          .cache = rig->cache,
                                          .clock = &rig->clock,
                                          .calls_max = RIG_CALLS_MAX,
                                          .responders_max = rig->responders_max};
    assert_ok(service_start(&config, &rig->service));
    struct rpc_service services[SERVICE_COUNT];
    service_describe(rig->service, services);
    assert_ok(rpc_router_new(services, SERVICE_COUNT, &rig->router));
}

void rig_stop(struct rig *rig)
{
    service_free(rig->service);
    rig->service = NULL;
    if (rig->router != NULL) {
        rpc_router_free(rig->router);
        rig->router = NULL;
    }
    cache_free(rig->cache);
    rig->cache = NULL;
}

static struct rig *rig_new(size_t cache_bytes_max, bool on_disk)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    char url[64] = "memory:";
    if (on_disk) {
        snprintf(rig->folder, sizeof(rig->folder), "/tmp/panicd-rig-XXXXXX");
        assert_non_null(mkdtemp(rig->folder));
        snprintf(url, sizeof(url), "sqlite:%s/panicd.db", rig->folder);
    }
    struct store *inner;
    struct diag diag;
    assert_ok(store_open(url, &inner, &diag));
    rig->store = gated_store_new(inner);
    assert_non_null(rig->store);
    rig->cache_bytes_max = cache_bytes_max;
    rig->responders_max = RIG_RESPONDERS_MAX;
    rig->clock.wall_us = wall_us;
    atomic_store(&rig->now_us, RIG_START_US);
    return rig;
}

int rig_set_up_stopped(void **state)
{
    *state = rig_new(CACHE_BYTES_MAX, false);
    return 0;
}

int rig_set_up_stopped_on_disk(void **state)
{
    *state = rig_new(CACHE_BYTES_MAX, true);
    return 0;
}

int rig_set_up(void **state)
{
    rig_set_up_stopped(state);
    rig_start(*state);
    return 0;
}

int rig_set_up_without_cache(void **state)
{
    *state = rig_new(0, false);
    rig_start(*state);
    return 0;
}

static void remove_files(const char *folder)
{
    static const char *const names[] = {"panicd.db", "panicd.db-wal", "panicd.db-shm", "panicd.db.lock"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    for (enum gate gate = 0; gate < GATE_MAX; gate++) {
        gated_store_release(rig->store, gate);
    }
    rig_stop(rig);
    gated_store_free(rig->store);
    if (rig->folder[0] != 0) {
        remove_files(rig->folder);
    }
    free(rig);
    return 0;
}

void rig_advance(struct rig *rig, int64_t us)
{
    atomic_fetch_add(&rig->now_us, us);
}

const char *rig_id(unsigned n)
{
    static _Thread_local char text[ID_TEXT_SIZE];
    snprintf(text, sizeof(text), "018f4e2a-7c3b-7d10-9a55-%012x", n);
    return text;
}

/* ---- calls under way ---- */

static struct local_call *start_panic_call(struct rig *rig, const char *tenant, const char *method,
                                           const ProtobufCMessage *request)
{
    char path[64];
    snprintf(path, sizeof(path), "/panic.v1.PanicService/%s", method);
    return local_call_start(rig->router, tenant, path, request);
}

static struct local_call *start_dispatch_call(struct rig *rig, const char *tenant, const char *method,
                                              const ProtobufCMessage *request)
{
    char path[64];
    snprintf(path, sizeof(path), "/panic.v1.DispatchService/%s", method);
    return local_call_start(rig->router, tenant, path, request);
}

struct local_call *rig_start_create_by(struct rig *rig, unsigned n, const char *device_id)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    request.device_id = (char *)device_id;
    return start_panic_call(rig, RIG_TENANT, "CreatePanic", &request.base);
}

struct local_call *rig_start_create(struct rig *rig, unsigned n)
{
    return rig_start_create_by(rig, n, "button-1");
}

struct local_call *rig_start_create_at(struct rig *rig, const char *tenant, unsigned n, double lat,
                                       double lng)
{
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.lat = lat;
    place.lng = lng;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    request.location = &place;
    return start_panic_call(rig, tenant, "CreatePanic", &request.base);
}

struct local_call *rig_start_get(struct rig *rig, const char *tenant, unsigned n)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    return start_panic_call(rig, tenant, "GetPanic", &request.base);
}

struct local_call *rig_start_list(struct rig *rig, int page_size, const char *token)
{
    Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = (char *)token;
    return start_panic_call(rig, RIG_TENANT, "ListPanics", &request.base);
}

struct local_call *rig_start_resolve(struct rig *rig, unsigned n, const char *outcome)
{
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    request.outcome = (char *)outcome;
    return start_panic_call(rig, RIG_TENANT, "ResolvePanic", &request.base);
}

static struct local_call *start_put(struct rig *rig, const char *tenant, Panic__V1__Responder *responder)
{
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    request.responder = responder;
    return start_dispatch_call(rig, tenant, "PutResponder", &request.base);
}

struct local_call *rig_start_put(struct rig *rig, const char *tenant, const char *id, int state)
{
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)id;
    responder.state = (Panic__V1__ResponderState)state;
    return start_put(rig, tenant, &responder);
}

struct local_call *rig_start_put_simulated(struct rig *rig, const char *id)
{
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)id;
    responder.simulated = true;
    return start_put(rig, RIG_TENANT, &responder);
}

struct local_call *rig_start_put_at(struct rig *rig, const char *id, double lat, double lng)
{
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.lat = lat;
    place.lng = lng;
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)id;
    responder.location = &place;
    return start_put(rig, RIG_TENANT, &responder);
}

struct local_call *rig_start_list_responders(struct rig *rig, int page_size, const char *token)
{
    Panic__V1__ListRespondersRequest request = PANIC__V1__LIST_RESPONDERS_REQUEST__INIT;
    request.page_size = page_size;
    request.page_token = (char *)token;
    return start_dispatch_call(rig, RIG_TENANT, "ListResponders", &request.base);
}

enum status rig_end(struct local_call *call)
{
    enum status status = local_call_wait(call);
    local_call_free(call);
    return status;
}

const Panic__V1__Panic *rig_panic_of(struct local_call *call)
{
    assert_ok(local_call_wait(call));
    const ProtobufCMessage *response = local_call_response(call);
    const Panic__V1__Panic *panic = NULL;
    if (response->descriptor == &panic__v1__create_panic_response__descriptor) {
        panic = ((const Panic__V1__CreatePanicResponse *)response)->panic;
    } else if (response->descriptor == &panic__v1__get_panic_response__descriptor) {
        panic = ((const Panic__V1__GetPanicResponse *)response)->panic;
    } else if (response->descriptor == &panic__v1__resolve_panic_response__descriptor) {
        panic = ((const Panic__V1__ResolvePanicResponse *)response)->panic;
    }
    assert_non_null(panic);
    return panic;
}

/* ---- whole calls ---- */

void rig_create(struct rig *rig, unsigned n)
{
    assert_ok(rig_end(rig_start_create(rig, n)));
}

void rig_put(struct rig *rig, const char *id)
{
    assert_ok(rig_end(rig_start_put(rig, RIG_TENANT, id, RESPONDER_STATE(AVAILABLE))));
}

void rig_resolve(struct rig *rig, unsigned n)
{
    assert_ok(rig_end(rig_start_resolve(rig, n, "")));
}

struct local_call *rig_get(struct rig *rig, unsigned n)
{
    struct local_call *call = rig_start_get(rig, RIG_TENANT, n);
    assert_ok(local_call_wait(call));
    return call;
}

enum status rig_get_status(struct rig *rig, unsigned n)
{
    return rig_end(rig_start_get(rig, RIG_TENANT, n));
}

/* ---- what is stored ---- */

static struct id number_as_id(unsigned n)
{
    struct id id;
    enum status status = id_parse(rig_id(n), &id);
    assert(status == STATUS_OK);
    return id;
}

static enum status read_stored(struct store *inner, const char *tenant, unsigned n,
                               struct rig_stored *ret_stored)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    struct id id = number_as_id(n);
    struct store_panic row;
    enum status status = store_get(inner, tenant, &id, &arena, &row);
    if (status == STATUS_OK) {
        *ret_stored = (struct rig_stored){.version = row.version,
                                          .status = row.status,
                                          .stage = row.stage,
                                          .waiting = row.waiting,
                                          .assigned = row.assigned,
                                          .attempts = row.attempts,
                                          .update_time_us = row.update_time_us,
                                          .next_action_at_us = row.next_action_at_us,
                                          .distance_m = row.distance_m};
        snprintf(ret_stored->responder_id, sizeof(ret_stored->responder_id), "%s",
                 row.responder_id != NULL ? row.responder_id : "");
    }
    arena_reset(&arena);
    return status;
}

enum status rig_stored(struct rig *rig, const char *tenant, unsigned n, struct rig_stored *ret_stored)
{
    return read_stored(gated_store_inner(rig->store), tenant, n, ret_stored);
}

struct wanted {
    const char *tenant;
    unsigned n;
    int stage;
    uint64_t version;
};

static bool is_in_stage(struct store *inner, void *ctx)
{
    const struct wanted *wanted = ctx;
    struct rig_stored stored;
    return read_stored(inner, wanted->tenant, wanted->n, &stored) == STATUS_OK &&
           stored.stage == wanted->stage;
}

void rig_await_stage(struct rig *rig, const char *tenant, unsigned n, int stage)
{
    struct wanted wanted = {.tenant = tenant, .n = n, .stage = stage};
    assert_true(gated_store_await(rig->store, is_in_stage, &wanted));
}

static bool has_version(struct store *inner, void *ctx)
{
    const struct wanted *wanted = ctx;
    struct rig_stored stored;
    return read_stored(inner, RIG_TENANT, wanted->n, &stored) == STATUS_OK &&
           stored.version >= wanted->version;
}

void rig_await_version(struct rig *rig, unsigned n, uint64_t version)
{
    struct wanted wanted = {.n = n, .version = version};
    assert_true(gated_store_await(rig->store, has_version, &wanted));
}

static void apply_inside(struct rig *rig, struct store_op op)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    op.arena = &arena;
    assert_ok(store_apply(gated_store_inner(rig->store), &op, 1));
    assert_ok(op.outcome);
    arena_reset(&arena);
}

void rig_leave_panic_with(struct rig *rig, unsigned n, struct bytes content, int64_t create_time_us)
{
    struct id id = number_as_id(n);
    struct store_panic panic =
        lifecycle_create(RIG_TENANT, &id, content, LIFECYCLE_QUEUE_LIVE, true, create_time_us);
    struct store_op op = {.kind = STORE_CREATE, .panic = &panic};
    apply_inside(rig, op);
}

void rig_leave_panic(struct rig *rig, const char *tenant, unsigned n, bool responder_free,
                     int64_t create_time_us)
{
    struct id id = number_as_id(n);
    struct store_panic panic = lifecycle_create(tenant, &id, (struct bytes){.length = 0},
                                                LIFECYCLE_QUEUE_LIVE, responder_free, create_time_us);
    struct store_op op = {.kind = STORE_CREATE, .panic = &panic};
    apply_inside(rig, op);
}

void rig_leave_responder(struct rig *rig, const char *tenant, const char *id)
{
    struct store_responder responder = {
        .tenant = tenant, .id = id, .state = (uint8_t)RESPONDER_STATE(AVAILABLE)};
    struct store_op op = {.kind = STORE_PUT_RESPONDER, .responder = &responder};
    apply_inside(rig, op);
}

struct store_counts rig_counts(struct rig *rig)
{
    struct store_counts counts;
    assert_ok(store_counts(gated_store_inner(rig->store), atomic_load(&rig->now_us), &counts));
    return counts;
}

void rig_await_scan(struct rig *rig)
{
    /* One may have begun before; the second from now on has not, and the third comes after it. */
    assert_true(gated_store_await_passed(rig->store, GATE_DUE, gated_store_passed(rig->store, GATE_DUE) + 2));
}
