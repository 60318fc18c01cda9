/*
 * The panic service in this process, over a gated store in memory, a cache and a clock that stands still
 * until a test moves it; and short words for what the tests do with one. Everything is tenant "acme"'s unless
 * it says otherwise.
 *
 * Waits have a time limit, after which the test fails.
 */
#ifndef UNIT_PANIC_RIG_H
#define UNIT_PANIC_RIG_H

#include "harness/test.h"

#include "panic/lifecycle.h"
#include "panic/service.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "support/gated_store.h"
#include "support/local_call.h"

#define RIG_TENANT "acme"
#define RIG_START_US (1700000000 * US_PER_S)
#define RIG_CALLS_MAX 8192
#define RIG_RESPONDERS_MAX 10000

#define STAGE(name) PANIC__V1__PANIC_STAGE__PANIC_STAGE_##name
#define PANIC_STATUS(name) PANIC__V1__PANIC_STATUS__PANIC_STATUS_##name
#define RESPONDER_STATE(name) PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_##name

struct rig {
    struct gated_store *store;
    struct cache *cache;
    size_t cache_bytes_max;
    size_t responders_max;
    struct clock clock;
    _Atomic int64_t now_us;
    struct service *service;
    struct rpc_router *router;
    /* Of the store's files; "" = the store is in memory. */
    char folder[32];
};

/* cmocka setup and teardown; *state is the rig. */
int rig_set_up(void **state);
/* With a cache that keeps nothing but what is pinned. */
int rig_set_up_without_cache(void **state);
/* Without a service: rig_start starts it, after what is to be in the store is there. */
int rig_set_up_stopped(void **state);
/* The same with a store of SQLite. */
int rig_set_up_stopped_on_disk(void **state);
int rig_tear_down(void **state);

/* In the list of a group's tests. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define TEST_STOPPED(name) cmocka_unit_test_setup_teardown(name, rig_set_up_stopped, rig_tear_down)
#define TEST_STOPPED_ON_DISK(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, rig_set_up_stopped_on_disk, rig_tear_down)
#define TEST_WITHOUT_CACHE(name)                                                                             \
    {                                                                                                        \
#name " (nothing cached)", name, rig_set_up_without_cache, rig_tear_down, NULL                       \
    }
#define TEST_BOTH(name) TEST(name), TEST_WITHOUT_CACHE(name)

void rig_start(struct rig *rig);
/* Stops the service and forgets everything but the store. */
void rig_stop(struct rig *rig);

void rig_advance(struct rig *rig, int64_t us);

/* Id number n in text; ids sort as their numbers. Valid until this thread's next call. */
const char *rig_id(unsigned n);

/* ---- calls under way ---- */

struct local_call *rig_start_create(struct rig *rig, unsigned n);
/* With a place. */
struct local_call *rig_start_create_at(struct rig *rig, const char *tenant, unsigned n, double lat,
                                       double lng);
/* With this device, which makes its content another one. */
struct local_call *rig_start_create_by(struct rig *rig, unsigned n, const char *device_id);
struct local_call *rig_start_get(struct rig *rig, const char *tenant, unsigned n);
struct local_call *rig_start_list(struct rig *rig, int page_size, const char *token);
struct local_call *rig_start_resolve(struct rig *rig, unsigned n, const char *outcome);
struct local_call *rig_start_put(struct rig *rig, const char *tenant, const char *id, int state);
struct local_call *rig_start_put_simulated(struct rig *rig, const char *id);
struct local_call *rig_start_put_at(struct rig *rig, const char *id, double lat, double lng);
struct local_call *rig_start_list_responders(struct rig *rig, int page_size, const char *token);

/* Waits for the answer, frees the call: the status. */
enum status rig_end(struct local_call *call);

/* The panic in the answer of a create, get or resolve that must have succeeded. */
const Panic__V1__Panic *rig_panic_of(struct local_call *call);

/* ---- whole calls ---- */

/* Must succeed. */
void rig_create(struct rig *rig, unsigned n);
void rig_put(struct rig *rig, const char *id);
void rig_resolve(struct rig *rig, unsigned n);
/* The answer of GetPanic, to be freed with local_call_free; must succeed. */
struct local_call *rig_get(struct rig *rig, unsigned n);
/* The status of GetPanic's call. */
enum status rig_get_status(struct rig *rig, unsigned n);

/* ---- what is stored ---- */

struct rig_stored {
    uint64_t version;
    uint8_t status;
    uint8_t stage;
    bool waiting;
    bool assigned;
    uint32_t attempts;
    int64_t update_time_us;
    int64_t next_action_at_us;
    char responder_id[STORE_RESPONDER_ID_MAX + 1];
    double distance_m;
};

/* NOT_FOUND; any thread. */
enum status rig_stored(struct rig *rig, const char *tenant, unsigned n, struct rig_stored *ret_stored);

/* Until the panic is stored in that stage. */
void rig_await_stage(struct rig *rig, const char *tenant, unsigned n, int stage);
/* Until it is stored with that version or a later one. */
void rig_await_version(struct rig *rig, unsigned n, uint64_t version);

/* Writes a panic past the service, as a former process has left it. */
void rig_leave_panic(struct rig *rig, const char *tenant, unsigned n, bool responder_free,
                     int64_t create_time_us);
/* The same with this content, for a panic that nobody has looked at. */
void rig_leave_panic_with(struct rig *rig, unsigned n, struct bytes content, int64_t create_time_us);
/* The same for a responder. */
void rig_leave_responder(struct rig *rig, const char *tenant, const char *id);

struct store_counts rig_counts(struct rig *rig);

/* Until a due scan that begins from now on is over and another one begins. */
void rig_await_scan(struct rig *rig);

#endif
