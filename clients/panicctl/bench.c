/*
 * panicctl bench: load on a running panicd, and what came back.
 *
 * Closed loop: a fixed number of calls is kept in flight; each answer starts the next call. Open loop
 * (--rate): calls start at fixed times whatever the server does, and latency counts from the time at which a
 * call should have started, so that a stall of the server shows in every call that it delayed (G. Tene,
 * "coordinated omission").
 *
 * Calls run on several connections. Each slot is one call at a time; its callback, on one of nng's threads,
 * records the latency and in the closed loop starts the slot's next call.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/id.h"
#include "base/metrics.h"
#include "panicctl/command.h"
#include "rpc/channel.h"

#define CONNECTIONS_MAX 64
#define IN_FLIGHT_MAX 4096
/* Callbacks of a channel that may run while the contexts of their calls are not free again. */
#define CONTEXTS_SPARE 16

enum { KEY_REQUESTS = 0x100, KEY_IN_FLIGHT, KEY_CONNECTIONS, KEY_RATE, KEY_METHOD };

static const struct argp_option descriptions[] = {
    {"requests", KEY_REQUESTS, "N", 0, "How many calls (default 100000)", 0},
    {"in-flight", KEY_IN_FLIGHT, "N", 0, "Calls at once (default 64)", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "Connections they run on (default 4)", 0},
    {"rate", KEY_RATE, "N", 0, "Open loop: start N calls a second (default: closed loop)", 0},
    {"method", KEY_METHOD, "NAME", 0, "create, get or health (default create)", 0},
    {0},
};

enum method { METHOD_CREATE, METHOD_GET, METHOD_HEALTH };

static const char *const method_words[] = {"create", "get", "health"};

struct bench;

struct slot {
    struct bench *bench;
    struct rpc_channel *channel;
    struct slot *next_free;
    int64_t start_us;
    char id[ID_TEXT_SIZE];
};

struct bench {
    struct context *context;
    uint64_t requests;
    unsigned in_flight;
    unsigned connections;
    double rate;
    enum method method;

    struct rpc_channel *channels[CONNECTIONS_MAX];
    struct slot *slots;
    /* The panic that every get asks for. */
    char id[ID_TEXT_SIZE];

    _Atomic uint64_t started;
    struct counter failed;
    struct histogram latency_us;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    struct slot *free_slots;
    uint64_t finished;
    struct diag first_error;
};

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct bench *bench = state->input;
    switch (key) {
    case KEY_REQUESTS:
        bench->requests = (uint64_t)command_number(state, "--requests", arg, 1, 1e9);
        return 0;
    case KEY_IN_FLIGHT:
        bench->in_flight = (unsigned)command_number(state, "--in-flight", arg, 1, IN_FLIGHT_MAX);
        return 0;
    case KEY_CONNECTIONS:
        bench->connections = (unsigned)command_number(state, "--connections", arg, 1, CONNECTIONS_MAX);
        return 0;
    case KEY_RATE:
        bench->rate = command_number(state, "--rate", arg, 0.1, 1e7);
        return 0;
    case KEY_METHOD:
        for (int i = METHOD_CREATE; i <= METHOD_HEALTH; i++) {
            if (strcmp(arg, method_words[i]) == 0) {
                bench->method = (enum method)i;
                return 0;
            }
        }
        argp_error(state, "--method: \"%s\" is none of create, get, health", arg);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- requests ---- */

static void on_done(void *arg, const struct rpc_result *result);

static enum status send_create(struct slot *slot, int64_t timeout_us)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    struct id id = id_new_v7(clock_wall_us(clock_system()));
    request.id = (char *)id_format(&id, slot->id);
    request.subject_id = (char *)"bench";
    request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
    location.lat = -33.9;
    location.lng = 18.4;
    request.location = &location;
    return rpc_channel_call(slot->channel, &panic__v1__panic_service__descriptor, "CreatePanic",
                            &request.base, timeout_us, on_done, slot);
}

static enum status send_get(struct slot *slot, int64_t timeout_us)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = slot->bench->id;
    return rpc_channel_call(slot->channel, &panic__v1__panic_service__descriptor, "GetPanic", &request.base,
                            timeout_us, on_done, slot);
}

static enum status send_health(struct slot *slot, int64_t timeout_us)
{
    Health__V1__CheckRequest request = HEALTH__V1__CHECK_REQUEST__INIT;
    return rpc_channel_call(slot->channel, &health__v1__health_service__descriptor, "Check", &request.base,
                            timeout_us, on_done, slot);
}

static void send_one(struct slot *slot)
{
    static enum status (*const senders[])(struct slot *, int64_t) = {send_create, send_get, send_health};
    enum status status = senders[slot->bench->method](slot, slot->bench->context->globals.timeout_us);
    if (status != STATUS_OK) {
        const struct rpc_result refused = {.status = status, .message = "the client has no free context"};
        on_done(slot, &refused);
    }
}

static void note_failure(struct bench *bench, const struct rpc_result *result)
{
    counter_add(&bench->failed, 1);
    pthread_mutex_lock(&bench->lock);
    if (bench->first_error.text[0] == 0) {
        diag_fail(&bench->first_error, result->status, "%s: %s", status_name(result->status),
                  result->message);
    }
    pthread_mutex_unlock(&bench->lock);
}

/* Takes one of the calls that are still to be made; false when there are none left. */
static bool take_turn(struct bench *bench)
{
    return atomic_fetch_add(&bench->started, 1) < bench->requests;
}

static void on_done(void *arg, const struct rpc_result *result)
{
    struct slot *slot = arg;
    struct bench *bench = slot->bench;
    if (result->status == STATUS_OK) {
        histogram_record(&bench->latency_us, (uint64_t)(monotonic_us() - slot->start_us));
    } else {
        note_failure(bench, result);
    }
    bool open_loop = bench->rate > 0;
    bool again = !open_loop && result->status == STATUS_OK && take_turn(bench);
    if (again) {
        slot->start_us = monotonic_us();
        send_one(slot);
        return;
    }
    pthread_mutex_lock(&bench->lock);
    slot->next_free = bench->free_slots;
    bench->free_slots = slot;
    bench->finished++;
    pthread_cond_signal(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
}

/* ---- loops ---- */

/* Every slot runs until no call is left or one of its calls fails. */
static void run_closed(struct bench *bench)
{
    uint64_t running = 0;
    for (unsigned i = 0; i < bench->in_flight && take_turn(bench); i++) {
        running++;
        bench->slots[i].start_us = monotonic_us();
        send_one(&bench->slots[i]);
    }
    pthread_mutex_lock(&bench->lock);
    while (bench->finished < running) {
        pthread_cond_wait(&bench->changed, &bench->lock);
    }
    pthread_mutex_unlock(&bench->lock);
}

static struct slot *wait_for_slot(struct bench *bench)
{
    pthread_mutex_lock(&bench->lock);
    while (bench->free_slots == NULL) {
        pthread_cond_wait(&bench->changed, &bench->lock);
    }
    struct slot *slot = bench->free_slots;
    bench->free_slots = slot->next_free;
    pthread_mutex_unlock(&bench->lock);
    return slot;
}

static void run_open(struct bench *bench)
{
    for (unsigned i = 0; i < bench->in_flight; i++) {
        bench->slots[i].next_free = bench->free_slots;
        bench->free_slots = &bench->slots[i];
    }
    int64_t begin_us = monotonic_us();
    for (uint64_t i = 0; i < bench->requests; i++) {
        int64_t start_us = begin_us + (int64_t)((double)i / bench->rate * (double)US_PER_S);
        const struct timespec start = {.tv_sec = start_us / US_PER_S, .tv_nsec = start_us % US_PER_S * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL) != 0) {
        }
        struct slot *slot = wait_for_slot(bench);
        slot->start_us = start_us;
        send_one(slot);
    }
    pthread_mutex_lock(&bench->lock);
    while (bench->finished < bench->requests) {
        pthread_cond_wait(&bench->changed, &bench->lock);
    }
    pthread_mutex_unlock(&bench->lock);
}

/* ---- setting up, and the result ---- */

static enum status open_channels(struct bench *bench, struct diag *diag)
{
    unsigned per_channel = (bench->in_flight + bench->connections - 1) / bench->connections;
    for (unsigned i = 0; i < bench->connections; i++) {
        const struct rpc_channel_config config = {.url = bench->context->globals.server,
                                                  .contexts = per_channel + CONTEXTS_SPARE,
                                                  .tls_ca_file = bench->context->globals.tls_ca};
        enum status status = rpc_channel_open(&config, &bench->channels[i], diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (unsigned i = 0; i < bench->in_flight; i++) {
        bench->slots[i] = (struct slot){.bench = bench, .channel = bench->channels[i % bench->connections]};
    }
    return STATUS_OK;
}

/* One call that must succeed, before any is measured; makes the panic that gets ask for. */
static enum status warm_up(struct bench *bench, struct diag *diag)
{
    struct context *context = bench->context;
    if (bench->method == METHOD_HEALTH) {
        Health__V1__CheckRequest request = HEALTH__V1__CHECK_REQUEST__INIT;
        const Health__V1__CheckResponse *response;
        return panic_client_check(context->client, &request, context->globals.timeout_us, &context->arena,
                                  &response, diag);
    }
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
    const Panic__V1__CreatePanicResponse *response;
    enum status status = panic_client_create(context->client, &request, context->globals.timeout_us,
                                             &context->arena, &response, diag);
    if (status == STATUS_OK) {
        snprintf(bench->id, sizeof(bench->id), "%s", response->panic->id);
    }
    return status;
}

static void print_result(const struct bench *bench, int64_t elapsed_us)
{
    uint64_t succeeded = atomic_load(&bench->latency_us.count);
    double rate = (double)succeeded * (double)US_PER_S / (double)elapsed_us;
    uint64_t p50 = histogram_quantile(&bench->latency_us, 0.5);
    uint64_t p99 = histogram_quantile(&bench->latency_us, 0.99);
    uint64_t p999 = histogram_quantile(&bench->latency_us, 0.999);
    uint64_t max = atomic_load(&bench->latency_us.max);
    if (bench->context->globals.json) {
        printf("{\"method\":\"%s\",\"loop\":\"%s\",\"in_flight\":%u,\"connections\":%u,\"succeeded\":%llu,"
               "\"failed\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_us\":%llu,\"p99_us\":%llu,"
               "\"p999_us\":%llu,\"max_us\":%llu}\n",
               method_words[bench->method], bench->rate > 0 ? "open" : "closed", bench->in_flight,
               bench->connections, (unsigned long long)succeeded,
               (unsigned long long)counter_read(&bench->failed), (double)elapsed_us / (double)US_PER_S, rate,
               (unsigned long long)p50, (unsigned long long)p99, (unsigned long long)p999,
               (unsigned long long)max);
        return;
    }
    printf("%s, %s loop, %u in flight on %u connections\n", method_words[bench->method],
           bench->rate > 0 ? "open" : "closed", bench->in_flight, bench->connections);
    printf("succeeded  %llu in %.2f s: %.0f a second\n", (unsigned long long)succeeded,
           (double)elapsed_us / (double)US_PER_S, rate);
    printf("latency    p50 %llu us, p99 %llu us, p99.9 %llu us, max %llu us\n", (unsigned long long)p50,
           (unsigned long long)p99, (unsigned long long)p999, (unsigned long long)max);
}

static int measure(struct bench *bench)
{
    int64_t begin_us = monotonic_us();
    if (bench->rate > 0) {
        run_open(bench);
    } else {
        run_closed(bench);
    }
    print_result(bench, monotonic_us() - begin_us);
    uint64_t failed = counter_read(&bench->failed);
    if (failed > 0) {
        fprintf(stderr, "panicctl: %llu calls failed, the first with %s\n", (unsigned long long)failed,
                bench->first_error.text);
    }
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct context *context, int argc, char **argv)
{
    struct bench *bench = command_alloc(context, sizeof(*bench));
    bench->context = context;
    bench->requests = 100000;
    bench->in_flight = 64;
    bench->connections = 4;
    const struct argp argp = {
        .options = descriptions,
        .parser = parse_one,
        .doc = "Measure a running server. Creates are marked as tests, and stay in its store."};
    command_parse("bench", &argp, argc, argv, bench);
    if (bench->connections > bench->in_flight) {
        bench->connections = bench->in_flight;
    }
    bench->slots = command_alloc(context, bench->in_flight * sizeof(*bench->slots));
    pthread_mutex_init(&bench->lock, NULL);
    pthread_cond_init(&bench->changed, NULL);

    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    struct diag diag = {0};
    enum status status = warm_up(bench, &diag);
    if (status == STATUS_OK) {
        status = open_channels(bench, &diag);
    }
    int exit_status = status == STATUS_OK ? measure(bench) : command_fail(context, status, &diag);
    for (unsigned i = 0; i < bench->connections; i++) {
        rpc_channel_close(bench->channels[i]);
    }
    return exit_status;
}

const struct command command_bench = {.name = "bench", .summary = "measure a running server", .run = run};
