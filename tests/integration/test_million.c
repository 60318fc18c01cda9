/*
 * A store that has grown for years: a million panics, nearly all of them closed, and ten thousand that are
 * open. panicd must be ready in under a second on it, also after kill -9 under load, and must not need more
 * memory for it. The second is one of the processor, so that neighbours on the machine are not what is
 * tested; the time that passed is told.
 *
 * The store is filled through store_apply, by a process of its own: this one forks later, and a process with
 * an open SQLite file must not.
 */
#include "harness/test.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "harness/burst.h"
#include "harness/calls.h"
#include "harness/creators.h"
#include "harness/panicd.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "store/store.h"

#define TENANT "default"
#define PANICS 1000000
#define BATCH 1000
/* Every hundredth panic is open; every second of those has a responder. */
#define OPEN_EVERY 100
#define OPEN (PANICS / OPEN_EVERY)
#define READY_MAX_US US_PER_S
#define RESIDENT_MAX_KIB (128 * 1024)
#define CALLS_CREATE 25000
#define CALLS_GET 24000
#define CALLS_LIST 1000

#define STAGE(name) PANIC__V1__PANIC_STAGE__PANIC_STAGE_##name
#define STATUS(name) PANIC__V1__PANIC_STATUS__PANIC_STATUS_##name

/* The first id's time; each next panic came 20 seconds later, until about now. */
static int64_t time_of(size_t i, int64_t now_us)
{
    return now_us - (int64_t)(PANICS - i) * 20 * US_PER_S;
}

/* Chosen, not random, so that gets know it. */
static struct id id_of(size_t i, int64_t now_us)
{
    struct id id = {{0}};
    uint64_t ms = (uint64_t)(time_of(i, now_us) / US_PER_MS);
    for (int b = 0; b < 6; b++) {
        id.bytes[b] = (uint8_t)(ms >> (40 - 8 * b));
    }
    id.bytes[6] = 0x70;
    id.bytes[8] = 0x80;
    uint32_t number = (uint32_t)i;
    memcpy(&id.bytes[12], &number, sizeof(number));
    return id;
}

/* ---- filling ---- */

struct filler {
    struct store *store;
    int64_t now_us;
    struct store_panic panics[BATCH];
    char responders[BATCH][32];
    struct store_op ops[BATCH];
    struct arena arena;
};

static struct bytes content_of(size_t i, struct arena *arena)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    Google__Protobuf__Timestamp pressed_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    location.lat = -33.9 + (double)(i % 1000) * 0.0001;
    location.lng = 18.4 + (double)(i % 777) * 0.0001;
    location.accuracy_m = 15;
    pressed_at.seconds = 1700000000 + (int64_t)i;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = (char *)"third floor, east wing, room 314";
    entry.key = (char *)"where";
    entry.value = &value;
    metadata.n_fields = 1;
    metadata.fields = entries;
    request.subject_id = arena_printf(arena, "user-%zu", i % 50000);
    request.device_id = arena_printf(arena, "button-%zu", i % 60000);
    request.location = &location;
    request.pressed_at = &pressed_at;
    request.metadata = &metadata;
    uint8_t *packed = arena_alloc(arena, panic__v1__create_panic_request__get_packed_size(&request));
    assert_non_null(packed);
    return (struct bytes){packed, panic__v1__create_panic_request__pack(&request, packed)};
}

static bool is_open(size_t i)
{
    return i % OPEN_EVERY == 0;
}

static bool has_responder(size_t i)
{
    return is_open(i) && i / OPEN_EVERY % 2 == 0;
}

static struct store_panic panic_of(struct filler *filler, size_t i)
{
    int64_t at_us = time_of(i, filler->now_us);
    struct store_panic panic = {.tenant = TENANT,
                                .id = id_of(i, filler->now_us),
                                .version = 1,
                                .status = STATUS(RESOLVED),
                                .stage = STAGE(RESOLVED),
                                .attempts = 1,
                                .create_time_us = at_us,
                                .update_time_us = at_us,
                                .content = content_of(i, &filler->arena)};
    if (is_open(i)) {
        panic.status = STATUS(PROCESSING);
        panic.stage = STAGE(UNASSIGNED);
        panic.waiting = true;
        panic.next_action_at_us = filler->now_us + (int64_t)(i % 1000) * US_PER_S;
    }
    return panic;
}

static void apply(struct filler *filler, size_t n)
{
    assert_ok(store_apply(filler->store, filler->ops, n));
    for (size_t i = 0; i < n; i++) {
        assert_ok(filler->ops[i].outcome);
    }
    arena_reset(&filler->arena);
}

static void fill_panics(struct filler *filler)
{
    for (size_t first = 0; first < PANICS; first += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            filler->panics[i] = panic_of(filler, first + i);
            filler->ops[i] =
                (struct store_op){.kind = STORE_CREATE, .panic = &filler->panics[i], .arena = &filler->arena};
        }
        apply(filler, BATCH);
    }
}

/* A responder for every second open panic, and none that is free. */
static void fill_assignments(struct filler *filler)
{
    static const struct store_event event = {.at_us = 1,
                                             .type = "assigned",
                                             .actor = "dispatch",
                                             .from_stage = STAGE(UNASSIGNED),
                                             .to_stage = STAGE(ACCEPTED)};
    for (size_t first = 0; first < PANICS; first += BATCH) {
        size_t n = 0;
        for (size_t i = first; i < first + BATCH; i++) {
            if (!has_responder(i)) {
                continue;
            }
            struct store_panic *panic = &filler->panics[n];
            *panic = panic_of(filler, i);
            snprintf(filler->responders[n], sizeof(filler->responders[n]), "unit-%zu", i);
            panic->version = 2;
            panic->status = STATUS(ACTIVE);
            panic->stage = STAGE(ACCEPTED);
            panic->waiting = false;
            panic->assigned = true;
            panic->responder_id = filler->responders[n];
            panic->assign_time_us = panic->create_time_us;
            filler->ops[n++] = (struct store_op){
                .kind = STORE_UPDATE, .panic = panic, .event = &event, .arena = &filler->arena};
        }
        apply(filler, n);
    }
}

static void fill_responders(struct filler *filler)
{
    for (size_t i = 0; i < PANICS; i++) {
        if (!has_responder(i)) {
            continue;
        }
        Panic__V1__Responder message = PANIC__V1__RESPONDER__INIT;
        char name[32];
        snprintf(name, sizeof(name), "unit-%zu", i);
        message.id = name;
        message.state = PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE;
        uint8_t packed[128];
        const struct store_responder responder = {
            .tenant = TENANT,
            .id = name,
            .state = (uint8_t)message.state,
            .update_time_us = filler->now_us,
            .content = {packed, panic__v1__responder__pack(&message, packed)}};
        filler->ops[0] =
            (struct store_op){.kind = STORE_PUT_RESPONDER, .responder = &responder, .arena = &filler->arena};
        apply(filler, 1);
    }
}

static void fill(const char *url, int64_t now_us)
{
    struct filler *filler = calloc(1, sizeof(*filler));
    assert_non_null(filler);
    filler->now_us = now_us;
    arena_init(&filler->arena, NULL, 0, (size_t)64 * 1024 * 1024);
    struct diag diag = {0};
    if (store_open(url, &filler->store, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
    fill_responders(filler);
    fill_panics(filler);
    fill_assignments(filler);
    store_close(filler->store);
    arena_reset(&filler->arena);
    free(filler);
}

static void fill_elsewhere(const char *folder, int64_t now_us)
{
    char url[300];
    snprintf(url, sizeof(url), "sqlite:%s/panicd.db", folder);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fill(url, now_us);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the load ---- */

struct load {
    int64_t now_us;
    char id[ID_TEXT_SIZE];
    Panic__V1__CreatePanicRequest create;
    Panic__V1__Location location;
    Panic__V1__GetPanicRequest get;
    Panic__V1__ListPanicsRequest list;
};

static const ProtobufCMessage *make_create(void *ctx, size_t i)
{
    struct load *load = ctx;
    panic__v1__create_panic_request__init(&load->create);
    panic__v1__location__init(&load->location);
    snprintf(load->id, sizeof(load->id), "user-%zu", i);
    load->create.subject_id = load->id;
    load->create.location = &load->location;
    return &load->create.base;
}

static const ProtobufCMessage *make_get(void *ctx, size_t i)
{
    struct load *load = ctx;
    struct id id = id_of(i * 7919 % PANICS, load->now_us);
    panic__v1__get_panic_request__init(&load->get);
    load->get.id = (char *)id_format(&id, load->id);
    return &load->get.base;
}

static const ProtobufCMessage *make_list(void *ctx, size_t i)
{
    struct load *load = ctx;
    struct id id = id_of(i * 104729 % PANICS, load->now_us);
    panic__v1__list_panics_request__init(&load->list);
    load->list.page_size = 500;
    load->list.page_token = (char *)id_format(&id, load->id);
    return &load->list.base;
}

static double run(const char *url, const char *method, size_t n, unsigned at_once,
                  const ProtobufCMessage *(*make)(void *ctx, size_t i), struct load *load)
{
    const struct burst burst = {.url = url,
                                .service = &panic__v1__panic_service__descriptor,
                                .method = method,
                                .n = n,
                                .at_once = at_once,
                                .make = make,
                                .ctx = load};
    return burst_run(&burst);
}

static void kill_under_load(struct panicd *panicd)
{
    const char *const urls[] = {panicd_ipc(panicd), panicd_ipc(panicd)};
    const struct creators_config config = {.urls = urls, .n_urls = 2, .threads = 16, .each_max = 100000};
    struct creators *creators = creators_start(&config);
    creators_wait(creators, 1000);
    panicd_kill(panicd);
    creators_stop(creators, false);
    creators_free(creators);
}

/* Right after it became ready. */
static void expect_ready_in_time(const struct panicd *panicd, long long passed_us, const char *what)
{
    long long cpu_us = panicd_cpu_us(panicd);
    print_message("%s: ready in %lld ms, %lld of them on the processor\n", what, passed_us / 1000,
                  cpu_us / 1000);
    assert_true(cpu_us < READY_MAX_US);
}

/* What was open is open, and as before; what was closed is. */
static void expect_as_filled(struct panic_client *client, int64_t now_us)
{
    static const size_t samples[] = {0, 1, 100, 500000, 500100, 777777, PANICS - 1};
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)1024 * 1024);
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        char text[ID_TEXT_SIZE];
        struct id id = id_of(samples[i], now_us);
        const Panic__V1__Panic *panic = calls_get(client, &arena, id_format(&id, text));
        Panic__V1__PanicStage stage = is_open(samples[i]) ? STAGE(UNASSIGNED) : STAGE(RESOLVED);
        assert_int_equal(panic->stage, has_responder(samples[i]) ? STAGE(ACCEPTED) : stage);
        assert_string_equal(panic->metadata->fields[0]->key, "where");
        arena_reset(&arena);
    }
}

static void remove_folder(const char *folder)
{
    const char *const argv[] = {"/bin/rm", "-rf", folder, NULL};
    char output[256];
    harness_run(argv, output, sizeof(output));
}

static void test_a_million_panics_start_fast_and_need_little_memory(void **state)
{
    (void)state;
    if (HARNESS_SANITIZED) {
        print_message("time and memory mean nothing under a sanitizer\n");
        skip();
    }
    char folder[] = "/tmp/panicd-million-XXXXXX";
    assert_non_null(mkdtemp(folder));
    struct load load = {.now_us = clock_wall_us(clock_system())};
    fill_elsewhere(folder, load.now_us);
    print_message("filled with %d panics, %d open, in %.1f s\n", PANICS, OPEN,
                  (double)(clock_wall_us(clock_system()) - load.now_us) / 1e6);

    int64_t begin_us = monotonic_us();
    struct panicd *panicd = panicd_start_in(folder, NULL);
    expect_ready_in_time(panicd, monotonic_us() - begin_us, "first start");
    kill_under_load(panicd);
    expect_ready_in_time(panicd, panicd_restart(panicd), "after kill -9 under load");

    const char *url = panicd_ipc(panicd);
    struct panic_client *client = calls_connect(url);
    expect_as_filled(client, load.now_us);
    double creates = run(url, "CreatePanic", CALLS_CREATE, 128, make_create, &load);
    double reads = run(url, "GetPanic", CALLS_GET, 64, make_get, &load);
    double lists = run(url, "ListPanics", CALLS_LIST, 4, make_list, &load);
    long resident_kib = panicd_resident_kib(panicd);
    print_message("%d creates in %.1f s, %d gets in %.1f s, %d lists in %.1f s; %ld KiB resident\n",
                  CALLS_CREATE, creates, CALLS_GET, reads, CALLS_LIST, lists, resident_kib);
    assert_true(resident_kib < RESIDENT_MAX_KIB);
    panic_client_close(client);
    panicd_end(panicd);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_million_panics_start_fast_and_need_little_memory),
    };
    return cmocka_run_group_tests_name("million", tests, NULL, NULL);
}
