/*
 * What a create and a get call of malloc in panicd's own code once it is warm. The libraries' calls are
 * theirs.
 *
 * A create has one: the entry of the cache, for the placeholder and then for the stored panic. A get that
 * hits the cache has none. Beside the calls go panicd's scans, a few times a second, which allocate; hence
 * the tolerance.
 */
#include "harness/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "bench/malloc/counts.h"
#include "harness/burst.h"
#include "harness/calls.h"
#include "harness/panicd.h"

#define REQUESTS 10000
#define CALLS_A_CREATE 1
#define CALLS_A_GET 0
#define TOLERANCE (REQUESTS / 100)

struct fixture {
    char counts_path[32];
    const struct malloc_counts *counts;
    struct panicd *panicd;
    char id[ID_TEXT_SIZE];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->counts_path, sizeof(f->counts_path), "/tmp/panicd-malloc-XXXXXX");
    int file = mkstemp(f->counts_path);
    assert_true(file >= 0);
    setenv("BENCH_MALLOC_FILE", f->counts_path, 1);
    setenv("LD_PRELOAD", MALLOC_LIBRARY, 1);
    f->panicd = panicd_start(NULL);
    unsetenv("LD_PRELOAD");
    f->counts = mmap(NULL, sizeof(*f->counts), PROT_READ, MAP_SHARED, file, 0);
    assert_true(f->counts != MAP_FAILED);
    close(file);
    struct id id = id_new_v7(clock_wall_us(clock_system()));
    id_format(&id, f->id);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    panicd_end(f->panicd);
    unlink(f->counts_path);
    free(f);
    return 0;
}

static const ProtobufCMessage *make_create(void *ctx, size_t i)
{
    (void)ctx;
    (void)i;
    static Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.subject_id = (char *)"somebody";
    return &request.base;
}

static const ProtobufCMessage *make_get(void *ctx, size_t i)
{
    (void)i;
    static Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = ctx;
    return &request.base;
}

/* The calls of malloc that come from panicd's own code while the requests are answered. */
static uint64_t calls_of(struct fixture *f, const char *method,
                         const ProtobufCMessage *(*make)(void *ctx, size_t i))
{
    const struct burst burst = {.url = panicd_ipc(f->panicd),
                                .service = &panic__v1__panic_service__descriptor,
                                .method = method,
                                .n = REQUESTS,
                                .at_once = 64,
                                .make = make,
                                .ctx = f->id};
    assert_string_equal(f->counts->objects[0].name, "program");
    uint64_t before = atomic_load(&f->counts->objects[0].calls);
    burst_run(&burst);
    return atomic_load(&f->counts->objects[0].calls) - before;
}

static void test_a_warm_create_allocates_for_the_cache_only(void **state)
{
    struct fixture *f = *state;
    calls_of(f, "CreatePanic", make_create);
    uint64_t calls = calls_of(f, "CreatePanic", make_create);
    print_message("%.4f calls of malloc a create\n", (double)calls / REQUESTS);
    assert_true(calls <= CALLS_A_CREATE * REQUESTS + TOLERANCE);
}

static void test_a_warm_get_allocates_nothing(void **state)
{
    struct fixture *f = *state;
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)64 * 1024);
    struct panic_client *client = calls_connect(panicd_ipc(f->panicd));
    calls_create(client, &arena, f->id);
    calls_of(f, "GetPanic", make_get);
    uint64_t calls = calls_of(f, "GetPanic", make_get);
    print_message("%.4f calls of malloc a get\n", (double)calls / REQUESTS);
    assert_true(calls <= CALLS_A_GET * REQUESTS + TOLERANCE);
    panic_client_close(client);
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_warm_create_allocates_for_the_cache_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_warm_get_allocates_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("malloc", tests, NULL, NULL);
}
