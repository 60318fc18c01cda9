/*
 * Answers that cannot be given as they should. Handlers that have done what they were asked for, and calls
 * without memory for the answer: nobody is told that it was not done. The memory is used up by the handler
 * itself, up to the call's cap.
 */
#include "unit/shim/rig.h"

#include <stdlib.h>
#include <string.h>

#define ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41"
#define CONNECT_CREATE "/panic.v1.PanicService/CreatePanic"
#define CONNECT_GET "/panic.v1.PanicService/GetPanic"
/* In JSON six times as long, and then more than an answer may be. */
#define LENGTH_MUCH ((size_t)900 * 1024)

struct fixture {
    struct shim_rig rig;
    char *much;
};

static void use_up(struct arena *arena)
{
    for (size_t size = (size_t)256 * 1024; size > 0; size /= 2) {
        while (arena_alloc(arena, size) != NULL) {
        }
    }
}

/* The subject "much" asks for a long answer, "none" for one without a panic, any other for one that needs
 * memory to be unpacked. */
static void create(void *ctx, struct rpc_call *call)
{
    const struct fixture *f = ctx;
    const Panic__V1__CreatePanicRequest *request = (const Panic__V1__CreatePanicRequest *)call->request;
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1795420268;
    time.nanos = 438000000;
    if (strcmp(request->subject_id, "none") == 0) {
        rpc_call_reply(call, &response.base);
        return;
    }
    panic.id = (char *)ID;
    panic.create_time = &time;
    response.panic = &panic;
    if (strcmp(request->subject_id, "much") == 0) {
        char *warnings[] = {f->much};
        response.warnings = warnings;
        response.n_warnings = 1;
        rpc_call_reply(call, &response.base);
        return;
    }
    uint8_t packed[256];
    size_t size = panic__v1__create_panic_response__pack(&response, packed);
    use_up(&call->arena);
    rpc_call_reply_packed(call, packed, size);
}

static void get(void *ctx, struct rpc_call *call)
{
    const struct fixture *f = ctx;
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    const Panic__V1__GetPanicRequest *request = (const Panic__V1__GetPanicRequest *)call->request;
    panic.id = f->much;
    response.panic = request->id[0] == 0 ? &panic : NULL;
    rpc_call_reply(call, &response.base);
}

static int set_up(void **state)
{
    static const struct rpc_binding bindings[] = {{.method = "CreatePanic", .handler = create},
                                                  {.method = "GetPanic", .handler = get, .read_only = true}};
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->much = malloc(LENGTH_MUCH + 1);
    assert_non_null(f->much);
    memset(f->much, 1, LENGTH_MUCH);
    f->much[LENGTH_MUCH] = 0;
    shim_rig_start(&f->rig, bindings, 2, f, &(struct shim_config){.calls_max = 2});
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    shim_rig_end(&f->rig);
    free(f->much);
    free(f);
    return 0;
}

static void expect_short(struct http_answer *answer)
{
    assert_int_equal(answer->status, 202);
    assert_string_equal(
        answer->body,
        "{\"id\":\"" ID
        "\",\"timestamp\":1795420268438,\"status\":\"processing\",\"location\":null,\"metadata\":{},"
        "\"warnings\":[\"memory is short: location and metadata are stored, and not shown here\"]}");
    http_answer_free(answer);
}

static void test_create_that_cannot_be_unpacked_is_accepted_with_its_id(void **state)
{
    const struct fixture *f = *state;
    struct http_answer answer;
    http_call(f->rig.url, "POST", "/panic", HTTP_JSON_TYPE, "{}", &answer);
    expect_short(&answer);
}

static void test_create_that_cannot_be_shown_is_accepted_with_its_id(void **state)
{
    const struct fixture *f = *state;
    struct http_answer answer;
    http_call(f->rig.url, "POST", "/panic", HTTP_JSON_TYPE, "{\"subjectId\":\"much\"}", &answer);
    expect_short(&answer);
}

static void test_connect_client_is_told_that_it_was_done(void **state)
{
    const struct fixture *f = *state;
    static const char *const bodies[] = {"{}", "{\"subjectId\":\"much\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct http_answer answer;
        http_call(f->rig.url, "POST", CONNECT_CREATE, HTTP_JSON_TYPE, bodies[i], &answer);
        assert_string_equal(http_header(&answer, "Retry-After"), "1");
        http_expect(&answer, 503, "message", "this was done");
    }
}

static void test_binary_answer_needs_no_unpacking(void **state)
{
    const struct fixture *f = *state;
    struct http_answer answer;
    http_call(f->rig.url, "POST", CONNECT_CREATE, "Content-Type: application/proto\r\n", "", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
}

static void test_read_that_is_too_long_is_told_to_ask_for_less(void **state)
{
    const struct fixture *f = *state;
    struct http_answer answer;
    http_call(f->rig.url, "POST", CONNECT_GET, HTTP_JSON_TYPE, "{}", &answer);
    http_expect(&answer, 429, "message", "ask for less at once");
}

/* Of another process, say, that is of another version. */
static void test_answer_without_a_panic_is_an_error(void **state)
{
    const struct fixture *f = *state;
    struct http_answer answer;
    http_call(f->rig.url, "POST", "/panic", HTTP_JSON_TYPE, "{\"subjectId\":\"none\"}", &answer);
    http_expect(&answer, 500, "error", "without a panic");
    http_call(f->rig.url, "GET", "/panic/" ID, "", NULL, &answer);
    http_expect(&answer, 500, "error", "without a panic");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_that_cannot_be_unpacked_is_accepted_with_its_id),
        cmocka_unit_test(test_create_that_cannot_be_shown_is_accepted_with_its_id),
        cmocka_unit_test(test_connect_client_is_told_that_it_was_done),
        cmocka_unit_test(test_binary_answer_needs_no_unpacking),
        cmocka_unit_test(test_answer_without_a_panic_is_an_error),
        cmocka_unit_test(test_read_that_is_too_long_is_told_to_ask_for_less),
    };
    return cmocka_run_group_tests_name("answers", tests, set_up, tear_down);
}
