/* The client: answers and errors, stubs, lost servers, retries, concurrency, TLS. */
#include "unit/rpc/rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "panic/v1/panic_service.pb-c.h"

#define SERVICE (&panic__v1__panic_service__descriptor)
#define TCP_ANY "tcp://127.0.0.1:0"
#define HOUR_US (3600 * US_PER_S)

static struct rpc_channel *open_channel(const char *url, unsigned contexts)
{
    struct rpc_channel_config config = {.url = url, .contexts = contexts};
    struct rpc_channel *channel = NULL;
    struct diag diag = {.text = ""};
    if (rpc_channel_open(&config, &channel, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
    return channel;
}

/* GetPanic, waiting; the id in the answer goes to `text`, or the error's text. */
static enum status get_wait(struct rpc_channel *channel, const char *id, int64_t timeout_us, bool idempotent,
                            char *text, size_t size)
{
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", id);
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = copy;
    struct arena arena;
    arena_init(&arena, NULL, 0, RPC_ARENA_MAX);
    const ProtobufCMessage *response = NULL;
    struct diag diag = {.text = ""};
    enum status status = rpc_channel_call_wait(channel, SERVICE, "GetPanic", &request.base, timeout_us,
                                               idempotent, &arena, &response, &diag);
    snprintf(text, size, "%s", diag.text);
    if (status == STATUS_OK) {
        snprintf(text, size, "%s", ((const Panic__V1__GetPanicResponse *)response)->panic->id);
    }
    arena_reset(&arena);
    return status;
}

static void assert_answers(struct rpc_channel *channel)
{
    char text[64];
    assert_ok(get_wait(channel, "echo", RIG_PATIENCE_S * US_PER_S, true, text, sizeof(text)));
    assert_string_equal(text, "echo");
}

/* Ends of calls, counted; the last one is kept. */
struct ends {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned n;
    unsigned ok;
    enum status status;
    char text[300];
    bool stubs_saw_error;
};

static void init_ends(struct ends *ends)
{
    memset(ends, 0, sizeof(*ends));
    pthread_mutex_init(&ends->mutex, NULL);
    pthread_cond_init(&ends->changed, NULL);
}

static void on_done(void *arg, const struct rpc_result *result)
{
    struct ends *ends = arg;
    pthread_mutex_lock(&ends->mutex);
    ends->n++;
    ends->ok += result->status == STATUS_OK ? 1 : 0;
    ends->status = result->status;
    snprintf(ends->text, sizeof(ends->text), "%s", result->message);
    pthread_cond_broadcast(&ends->changed);
    pthread_mutex_unlock(&ends->mutex);
}

static void wait_for_ends(struct ends *ends, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RIG_PATIENCE_S;
    pthread_mutex_lock(&ends->mutex);
    int error = 0;
    while (ends->n < n && error == 0) {
        error = pthread_cond_timedwait(&ends->changed, &ends->mutex, &until);
    }
    unsigned have = ends->n;
    pthread_mutex_unlock(&ends->mutex);
    assert_int_equal(have, n);
}

static enum status start_create(struct rpc_channel *channel, int64_t timeout_us, struct ends *ends)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    return rpc_channel_call(channel, SERVICE, "CreatePanic", &request.base, timeout_us, on_done, ends);
}

static void test_call_comes_back_with_the_response(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    assert_answers(channel);
    rpc_channel_close(channel);
}

static void test_answer_of_60_kilobytes_comes_whole(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    static char text[70000];
    assert_ok(get_wait(channel, "big", RIG_PATIENCE_S * US_PER_S, false, text, sizeof(text)));
    assert_int_equal(strlen(text), 60000);
    rpc_channel_close(channel);
}

static void test_error_of_the_handler_comes_with_its_text(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    char text[64];
    assert_status(get_wait(channel, "missing", RIG_PATIENCE_S * US_PER_S, true, text, sizeof(text)),
                  STATUS_NOT_FOUND);
    assert_string_equal(text, "id: there is no panic missing");
    rpc_channel_close(channel);
}

static void test_server_is_told_the_timeout(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    char text[64];
    assert_ok(get_wait(channel, "deadline", HOUR_US, false, text, sizeof(text)));
    long told_us = strtol(text, NULL, 10);
    assert_in_range(told_us, HOUR_US - RIG_PATIENCE_S * US_PER_S, HOUR_US);
    rpc_channel_close(channel);
}

static void test_silence_ends_with_deadline_exceeded(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    assert_answers(channel);
    struct ends ends;
    init_ends(&ends);
    assert_ok(start_create(channel, US_PER_S, &ends));
    wait_for_ends(&ends, 1);
    assert_status(ends.status, STATUS_DEADLINE_EXCEEDED);
    char expected[128];
    snprintf(expected, sizeof(expected), "%s: no answer within 1000 ms", rig_url(rig));
    assert_string_equal(ends.text, expected);
    rig_wait_held(1);
    rig_release_held();
    /* The answer that comes too late is nobody's. */
    assert_answers(channel);
    rpc_channel_close(channel);
}

static void test_no_server_ends_with_deadline_exceeded_and_the_url(void **state)
{
    struct rig *rig = *state;
    struct rpc_channel *channel = open_channel(rig_ipc(rig, "nobody"), 1);
    char text[256];
    assert_status(get_wait(channel, "x", 100 * US_PER_MS, true, text, sizeof(text)),
                  STATUS_DEADLINE_EXCEEDED);
    char expected[256];
    snprintf(expected, sizeof(expected), "%s: no connection within ", rig_ipc(rig, "nobody"));
    assert_memory_equal(text, expected, strlen(expected));
    rpc_channel_close(channel);
}

static void test_call_waits_for_a_server_that_comes_later(void **state)
{
    struct rig *rig = *state;
    struct rpc_channel *channel = open_channel(rig_ipc(rig, "later"), 1);
    struct ends ends;
    init_ends(&ends);
    assert_ok(start_create(channel, RIG_PATIENCE_S * US_PER_S, &ends));
    rig_start(rig, rig_ipc(rig, "later"), 1);
    rig_wait_held(1);
    rig_release_held();
    wait_for_ends(&ends, 1);
    assert_status(ends.status, STATUS_OK);
    rpc_channel_close(channel);
}

/* A listening socket that takes one REQ peer and one request, and then goes without an answer. */
static void *vanish_after_one_request(void *arg)
{
    int listening = *(const int *)arg;
    int fd = rig_accept(listening);
    uint8_t greeting[8];
    rig_write(fd, "\0SP\0\0\x31\0", 8);
    assert_true(rig_read(fd, greeting, sizeof(greeting)));
    uint8_t head[12];
    assert_true(rig_read(fd, head, sizeof(head)));
    rig_close(fd);
    rig_close(listening);
    return NULL;
}

static void test_lost_server_ends_calls_at_once(void **state)
{
    (void)state;
    char url[64];
    int listening = rig_listen(url, sizeof(url));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, vanish_after_one_request, &listening), 0);
    struct rpc_channel *channel = open_channel(url, 1);
    struct ends ends;
    init_ends(&ends);
    assert_ok(start_create(channel, HOUR_US, &ends));
    wait_for_ends(&ends, 1);
    assert_status(ends.status, STATUS_UNAVAILABLE);
    assert_non_null(strstr(ends.text, "connection was lost"));
    pthread_join(thread, NULL);
    rpc_channel_close(channel);
}

static void test_channel_survives_a_restart_of_the_server(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    char url[128];
    snprintf(url, sizeof(url), "%s", rig_url(rig));
    struct rpc_channel *channel = open_channel(url, 2);
    for (int i = 0; i < 3; i++) {
        assert_answers(channel);
        rig_stop(rig);
        rig_start(rig, url, 2);
    }
    assert_answers(channel);
    rpc_channel_close(channel);
}

struct caller {
    struct rpc_channel *channel;
    bool idempotent;
    enum status status;
    char text[300];
};

static void *call_for_long(void *arg)
{
    struct caller *caller = arg;
    caller->status = get_wait(caller->channel, "echo", RIG_PATIENCE_S * US_PER_S, caller->idempotent,
                              caller->text, sizeof(caller->text));
    return NULL;
}

/* Keeps a connection to a draining server, which refuses with UNAVAILABLE, until the call is made. Gives the
 * number of requests before it. */
static uint64_t call_while_draining(struct rig *rig, struct caller *caller, pthread_t *thread)
{
    rig_start(rig, rig_ipc(rig, "s"), 2);
    caller->channel = open_channel(rig_ipc(rig, "s"), 2);
    assert_answers(caller->channel);
    uint64_t before = rpc_server_stats(rig->server).requests;
    rpc_server_close(rig->server);
    assert_int_equal(pthread_create(thread, NULL, call_for_long, caller), 0);
    while (rpc_server_stats(rig->server).requests == before) {
        sched_yield();
    }
    return before;
}

static void test_idempotent_call_is_repeated_until_a_server_takes_it(void **state)
{
    struct rig *rig = *state;
    struct caller caller = {.idempotent = true};
    pthread_t thread;
    (void)call_while_draining(rig, &caller, &thread);
    rig_stop(rig);
    rig_start(rig, rig_ipc(rig, "s"), 2);
    pthread_join(thread, NULL);
    assert_status(caller.status, STATUS_OK);
    assert_string_equal(caller.text, "echo");
    rpc_channel_close(caller.channel);
}

static void test_other_call_is_not_repeated(void **state)
{
    struct rig *rig = *state;
    struct caller caller = {.idempotent = false};
    pthread_t thread;
    uint64_t before = call_while_draining(rig, &caller, &thread);
    pthread_join(thread, NULL);
    assert_status(caller.status, STATUS_UNAVAILABLE);
    assert_string_equal(caller.text, "the server is shutting down; send the request again");
    assert_int_equal(rpc_server_stats(rig->server).requests, before + 1);
    rpc_channel_close(caller.channel);
}

static void test_more_calls_than_contexts_are_refused(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 8);
    struct rpc_channel *channel = open_channel(rig_url(rig), 3);
    struct ends ends;
    init_ends(&ends);
    for (int i = 0; i < 3; i++) {
        assert_ok(start_create(channel, RIG_PATIENCE_S * US_PER_S, &ends));
    }
    assert_status(start_create(channel, RIG_PATIENCE_S * US_PER_S, &ends), STATUS_RESOURCE_EXHAUSTED);
    rig_wait_held(3);
    rig_release_held();
    wait_for_ends(&ends, 3);
    assert_int_equal(ends.ok, 3);
    assert_answers(channel);
    rpc_channel_close(channel);
}

static void test_close_cancels_what_is_under_way(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 8);
    struct rpc_channel *channel = open_channel(rig_url(rig), 4);
    struct ends ends;
    init_ends(&ends);
    for (int i = 0; i < 4; i++) {
        assert_ok(start_create(channel, RIG_PATIENCE_S * US_PER_S, &ends));
    }
    rig_wait_held(4);
    rpc_channel_close(channel);
    assert_int_equal(ends.n, 4);
    assert_status(ends.status, STATUS_CANCELLED);
    rig_release_held();
}

static void test_close_cancels_calls_that_wait_for_a_connection(void **state)
{
    struct rig *rig = *state;
    struct rpc_channel *channel = open_channel(rig_ipc(rig, "nobody"), 4);
    struct ends ends;
    init_ends(&ends);
    assert_ok(start_create(channel, 60 * US_PER_S, &ends));
    rpc_channel_close(channel);
    assert_int_equal(ends.n, 1);
    assert_status(ends.status, STATUS_CANCELLED);
}

/* Each answer starts the next call, until `left` is used up. */
struct loop {
    struct rpc_channel *channel;
    atomic_int left;
    struct ends ends;
};

static void next_call(void *arg, const struct rpc_result *result)
{
    struct loop *loop = arg;
    if (result->status == STATUS_OK && atomic_fetch_sub(&loop->left, 1) > 0) {
        Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
        if (rpc_channel_call(loop->channel, SERVICE, "GetPanic", &request.base, RIG_PATIENCE_S * US_PER_S,
                             next_call, loop) == STATUS_OK) {
            return;
        }
        /* That there was no context for it is the failure to be seen. */
        static const struct rpc_result refused = {.status = STATUS_RESOURCE_EXHAUSTED, .message = ""};
        on_done(&loop->ends, &refused);
        return;
    }
    on_done(&loop->ends, result);
}

static void test_a_callback_may_begin_the_next_call(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 64);
    const unsigned parallel = 64;
    struct loop loop = {.channel = open_channel(rig_url(rig), parallel)};
    atomic_store(&loop.left, 20000);
    init_ends(&loop.ends);
    for (unsigned i = 0; i < parallel; i++) {
        Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
        assert_ok(rpc_channel_call(loop.channel, SERVICE, "GetPanic", &request.base,
                                   RIG_PATIENCE_S * US_PER_S, next_call, &loop));
    }
    wait_for_ends(&loop.ends, parallel);
    assert_int_equal(loop.ends.ok, parallel);
    rpc_channel_close(loop.channel);
}

static void *call_many_times(void *arg)
{
    struct caller *caller = arg;
    for (int i = 0; i < 300; i++) {
        char id[32];
        snprintf(id, sizeof(id), "%p-%d", arg, i);
        caller->status = get_wait(caller->channel, id, RIG_PATIENCE_S * US_PER_S, true, caller->text,
                                  sizeof(caller->text));
        if (caller->status != STATUS_OK || strcmp(caller->text, id) != 0) {
            caller->status = caller->status == STATUS_OK ? STATUS_DATA_LOSS : caller->status;
            return NULL;
        }
    }
    return NULL;
}

static void test_threads_share_a_channel_and_get_their_own_answers(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 16);
    /* Fewer contexts than threads: some have to wait for one. */
    struct rpc_channel *channel = open_channel(rig_url(rig), 3);
    struct caller callers[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        callers[i] = (struct caller){.channel = channel};
        assert_int_equal(pthread_create(&threads[i], NULL, call_many_times, &callers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_status(callers[i].status, STATUS_OK);
    }
    rpc_channel_close(channel);
}

static void on_panic(const Panic__V1__GetPanicResponse *response, void *data)
{
    struct ends *ends = data;
    struct rpc_result result = {.status = STATUS_OK, .message = ""};
    if (response == NULL) {
        ends->stubs_saw_error = true;
        result = *rpc_channel_last_error();
    } else {
        result.message = response->panic->id;
    }
    on_done(ends, &result);
}

static void test_generated_stubs_work_over_a_channel(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    ProtobufCService *service = rpc_channel_service(channel, SERVICE, RIG_PATIENCE_S * US_PER_S);
    struct ends ends;
    init_ends(&ends);
    char id[] = "by-stub";
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = id;
    panic__v1__panic_service__get_panic(service, &request, on_panic, &ends);
    wait_for_ends(&ends, 1);
    assert_string_equal(ends.text, "by-stub");
    protobuf_c_service_destroy(service);
    rpc_channel_close(channel);
}

static void test_stub_closure_gets_null_and_can_ask_why(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    struct rpc_channel *channel = open_channel(rig_url(rig), 2);
    ProtobufCService *service = rpc_channel_service(channel, SERVICE, RIG_PATIENCE_S * US_PER_S);
    struct ends ends;
    init_ends(&ends);
    char id[] = "missing";
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = id;
    panic__v1__panic_service__get_panic(service, &request, on_panic, &ends);
    wait_for_ends(&ends, 1);
    assert_true(ends.stubs_saw_error);
    assert_status(ends.status, STATUS_NOT_FOUND);
    assert_null(rpc_channel_last_error());
    rpc_channel_close(channel);
}

static void test_stub_beyond_the_contexts_fails_on_the_spot(void **state)
{
    struct rig *rig = *state;
    struct rpc_channel *channel = open_channel(rig_ipc(rig, "nobody"), 1);
    ProtobufCService *service = rpc_channel_service(channel, SERVICE, 60 * US_PER_S);
    struct ends ends;
    init_ends(&ends);
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    panic__v1__panic_service__get_panic(service, &request, on_panic, &ends);
    panic__v1__panic_service__get_panic(service, &request, on_panic, &ends);
    assert_int_equal(ends.n, 1);
    assert_status(ends.status, STATUS_RESOURCE_EXHAUSTED);
    rpc_channel_close(channel);
    assert_int_equal(ends.n, 2);
}

/* Answers one request with `body`, whatever it asks. */
struct liar {
    int listening;
    const char *body;
    uint8_t length;
};

static void *answer_once(void *arg)
{
    const struct liar *liar = arg;
    int fd = rig_accept(liar->listening);
    uint8_t greeting[8];
    rig_write(fd, "\0SP\0\0\x31\0", 8);
    assert_true(rig_read(fd, greeting, sizeof(greeting)));
    uint8_t head[12];
    assert_true(rig_read(fd, head, sizeof(head)));
    head[6] = 0;
    head[7] = (uint8_t)(liar->length + 4);
    rig_write(fd, head, sizeof(head));
    rig_write(fd, liar->body, liar->length);
    (void)rig_peer_closes(fd);
    rig_close(fd);
    rig_close(liar->listening);
    return NULL;
}

static void assert_answer_is_internal(const char *body, uint8_t length, const char *expected)
{
    char url[64];
    struct liar liar = {.listening = rig_listen(url, sizeof(url)), .body = body, .length = length};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_once, &liar), 0);
    struct rpc_channel *channel = open_channel(url, 1);
    char text[256];
    assert_status(get_wait(channel, "x", RIG_PATIENCE_S * US_PER_S, false, text, sizeof(text)),
                  STATUS_INTERNAL);
    assert_non_null(strstr(text, expected));
    rpc_channel_close(channel);
    pthread_join(thread, NULL);
}

static void test_garbage_for_an_answer_is_an_internal_error(void **state)
{
    (void)state;
    assert_answer_is_internal("\xFF\xFF\xFF\xFF\xFF\xFF", 6, "cannot be read: message:");
    assert_answer_is_internal("\x1A\x05\x0A\x03\x0A\x01\xC3", 7, "cannot be read: panic.id: text is not");
}

static void test_urls_that_cannot_be_dialled_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {"", "ws://127.0.0.1:1", "tcp://127.0.0.1", "tls+tcp://localhost:1"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct rpc_channel_config config = {.url = urls[i], .contexts = 1};
        struct rpc_channel *channel = NULL;
        struct diag diag = {.text = ""};
        assert_status(rpc_channel_open(&config, &channel, &diag), STATUS_INVALID_ARGUMENT);
        assert_true(diag.text[0] != 0);
        assert_null(channel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_call_comes_back_with_the_response),
        TEST(test_answer_of_60_kilobytes_comes_whole),
        TEST(test_error_of_the_handler_comes_with_its_text),
        TEST(test_server_is_told_the_timeout),
        TEST(test_silence_ends_with_deadline_exceeded),
        TEST(test_no_server_ends_with_deadline_exceeded_and_the_url),
        TEST(test_call_waits_for_a_server_that_comes_later),
        TEST(test_lost_server_ends_calls_at_once),
        TEST(test_channel_survives_a_restart_of_the_server),
        TEST(test_idempotent_call_is_repeated_until_a_server_takes_it),
        TEST(test_other_call_is_not_repeated),
        TEST(test_more_calls_than_contexts_are_refused),
        TEST(test_close_cancels_what_is_under_way),
        TEST(test_close_cancels_calls_that_wait_for_a_connection),
        TEST(test_a_callback_may_begin_the_next_call),
        TEST(test_threads_share_a_channel_and_get_their_own_answers),
        TEST(test_generated_stubs_work_over_a_channel),
        TEST(test_stub_closure_gets_null_and_can_ask_why),
        TEST(test_stub_beyond_the_contexts_fails_on_the_spot),
        TEST(test_garbage_for_an_answer_is_an_internal_error),
        TEST(test_urls_that_cannot_be_dialled_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
