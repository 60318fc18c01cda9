/* The method table, dispatch into handlers, and the helpers of a call. */
#include "harness/test.h"

#include <string.h>

#include "base/clock.h"
#include "health/v1/health.pb-c.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/health.h"
#include "rpc/router.h"
#include "unit/rpc/wire.h"

#define GET "/panic.v1.PanicService/GetPanic"
#define CREATE "/panic.v1.PanicService/CreatePanic"

struct fixture {
    struct rpc_router *router;
    struct rpc_health health;
    struct rpc_call call;
    unsigned handled;
    char id[64];
    /* Of the create that was handled last. */
    char left_out[128];
    bool has_metadata;
    /* What the transport was given. */
    unsigned finished;
    enum status status;
    char message[600];
    bool serving;
};

static struct fixture fixture;

static void finish(struct rpc_call *call, const struct rpc_response *response)
{
    fixture.finished++;
    fixture.status = call->status;
    snprintf(fixture.message, sizeof(fixture.message), "%s", call->message);
    const ProtobufCMessage *message = response != NULL ? rpc_response_message(response, call) : NULL;
    if (message != NULL && message->descriptor == &health__v1__check_response__descriptor) {
        fixture.serving = ((const Health__V1__CheckResponse *)message)->status ==
                          HEALTH__V1__CHECK_RESPONSE__SERVING_STATUS__SERVING_STATUS_SERVING;
    }
}

static const struct rpc_transport transport = {.finish = finish};

static void handle_get(void *ctx, struct rpc_call *call)
{
    struct fixture *f = ctx;
    f->handled++;
    snprintf(f->id, sizeof(f->id), "%s", ((const Panic__V1__GetPanicRequest *)call->request)->id);
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    rpc_call_reply(call, &response.base);
}

static void handle_create(void *ctx, struct rpc_call *call)
{
    struct fixture *f = ctx;
    f->handled++;
    f->left_out[0] = 0;
    for (size_t i = 0; i < call->n_left_out; i++) {
        size_t used = strlen(f->left_out);
        snprintf(f->left_out + used, sizeof(f->left_out) - used, "%s|", call->left_out[i]);
    }
    f->has_metadata = ((const Panic__V1__CreatePanicRequest *)call->request)->metadata != NULL;
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    rpc_call_reply(call, &response.base);
}

static const char *const optional[] = {"metadata", "location", NULL};

static const struct rpc_binding bindings[] = {
    {.method = "GetPanic", .handler = handle_get, .read_only = true},
    {.method = "CreatePanic", .handler = handle_create, .optional = optional},
};

static int set_up(void **state)
{
    memset(&fixture, 0, sizeof(fixture));
    struct rpc_service services[] = {
        {&panic__v1__panic_service__descriptor, bindings, 2, &fixture},
        {&panic__v1__dispatch_service__descriptor, NULL, 0, NULL},
        rpc_health_service(&fixture.health),
    };
    assert_ok(rpc_router_new(services, 3, &fixture.router));
    fixture.health.router = fixture.router;
    fixture.call.transport = &transport;
    fixture.call.start_us = monotonic_us();
    arena_init(&fixture.call.arena, NULL, 0, RPC_ARENA_MAX);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_reset(&f->call.arena);
    rpc_router_free(f->router);
    return 0;
}

static struct rpc_method *find(const struct fixture *f, const char *path)
{
    return rpc_router_find(f->router, path, strlen(path));
}

static void test_every_method_is_found_by_its_path(void **state)
{
    struct fixture *f = *state;
    size_t n;
    struct rpc_method *methods = rpc_router_methods(f->router, &n);
    assert_int_equal(n, panic__v1__panic_service__descriptor.n_methods +
                            panic__v1__dispatch_service__descriptor.n_methods + 1);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(find(f, methods[i].path), &methods[i]);
    }
    assert_string_equal(find(f, GET)->descriptor->name, "GetPanic");
    assert_ptr_equal(find(f, GET)->service, &panic__v1__panic_service__descriptor);
}

static void test_paths_that_are_almost_right_are_not_found(void **state)
{
    struct fixture *f = *state;
    const char *wrong[] = {"",
                           "/",
                           "/panic.v1.PanicService/GetPanicx",
                           "/panic.v1.PanicService/GetPani",
                           "panic.v1.PanicService/GetPanic",
                           "/panic.v1.PanicService/getPanic",
                           "/GetPanic"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(find(f, wrong[i]));
    }
}

static void test_a_path_need_not_end_in_nul(void **state)
{
    struct fixture *f = *state;
    const char longer[] = GET "AndMore";
    assert_non_null(rpc_router_find(f->router, longer, strlen(GET)));
    assert_null(rpc_router_find(f->router, longer, strlen(longer)));
}

static void test_dispatch_decodes_and_calls_the_handler(void **state)
{
    struct fixture *f = *state;
    rpc_router_dispatch(find(f, GET), &f->call,
                        (const uint8_t *)"\x0A\x03"
                                         "abc",
                        5);
    assert_int_equal(f->handled, 1);
    assert_string_equal(f->id, "abc");
    assert_int_equal(f->finished, 1);
    assert_status(f->status, STATUS_OK);
    assert_string_equal(f->message, "");
}

static void test_dispatch_takes_an_empty_payload(void **state)
{
    struct fixture *f = *state;
    rpc_router_dispatch(find(f, GET), &f->call, NULL, 0);
    assert_int_equal(f->handled, 1);
    assert_string_equal(f->id, "");
}

static void test_bad_payload_is_refused_with_the_path_of_its_field(void **state)
{
    struct fixture *f = *state;
    rpc_router_dispatch(find(f, CREATE), &f->call, (const uint8_t *)"\x2A\x05\x0A\x03\x0A\x01\xC3", 7);
    assert_int_equal(f->handled, 0);
    assert_int_equal(f->finished, 1);
    assert_status(f->status, STATUS_INVALID_ARGUMENT);
    assert_string_equal(f->message, "metadata.fields.key: text is not valid UTF-8 or holds NUL");
    assert_null(f->call.request);
}

/* ---- optional parts ---- */

/* `levels` lists in one another, as metadata. */
static void put_metadata(struct wire *wire, unsigned levels)
{
    wire->length = 0;
    for (unsigned i = 0; i < levels; i++) {
        wire_wrap(wire, 1);
        wire_wrap(wire, 6);
    }
    wire_wrap(wire, 2);
    wire_wrap(wire, 1);
    wire_wrap(wire, 5);
}

static void test_handler_is_told_what_was_left_out(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    put_metadata(&wire, 7);
    rpc_router_dispatch(find(f, CREATE), &f->call, wire.data, wire.length);
    assert_int_equal(f->handled, 1);
    assert_status(f->status, STATUS_OK);
    assert_false(f->has_metadata);
    assert_string_equal(f->left_out, "metadata: messages are nested deeper than 16|");
}

static void test_handler_gets_all_that_is_within_the_limits(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    put_metadata(&wire, 6);
    rpc_router_dispatch(find(f, CREATE), &f->call, wire.data, wire.length);
    assert_int_equal(f->handled, 1);
    assert_true(f->has_metadata);
    assert_string_equal(f->left_out, "");
}

static void test_what_was_left_out_of_one_request_is_not_told_with_the_next(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    put_metadata(&wire, 7);
    rpc_router_dispatch(find(f, CREATE), &f->call, wire.data, wire.length);
    assert_string_not_equal(f->left_out, "");
    rpc_router_dispatch(find(f, CREATE), &f->call, NULL, 0);
    assert_string_equal(f->left_out, "");
}

static void test_a_request_that_is_left_out_of_needs_memory_or_is_refused(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    put_metadata(&wire, 7);
    for (size_t used_max = 0; f->handled == 0; used_max++) {
        assert_true(used_max < 4096);
        arena_init(&f->call.arena, NULL, 0, used_max);
        rpc_router_dispatch(find(f, CREATE), &f->call, wire.data, wire.length);
        assert_status(f->status, f->handled == 0 ? STATUS_RESOURCE_EXHAUSTED : STATUS_OK);
        arena_reset(&f->call.arena);
    }
    assert_string_equal(f->left_out, "metadata: messages are nested deeper than 16|");
}

/* A request that was decoded by its transport, and would be scanned as `wire` has it. */
static enum status scan_decoded(struct fixture *f, const struct wire *wire,
                                Panic__V1__CreatePanicRequest *request, struct diag *diag)
{
    static Google__Protobuf__Struct metadata;
    static Panic__V1__Location location;
    panic__v1__create_panic_request__init(request);
    google__protobuf__struct__init(&metadata);
    panic__v1__location__init(&location);
    request->metadata = &metadata;
    request->location = &location;
    return rpc_router_scan(find(f, CREATE), &f->call, &request->base, wire->data, wire->length, diag);
}

static void test_what_is_left_out_is_taken_out_of_a_decoded_request(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    Panic__V1__CreatePanicRequest request;
    put_metadata(&wire, 7);
    wire_bytes(&wire, 4, "", 0);
    assert_ok(scan_decoded(f, &wire, &request, NULL));
    assert_null(request.metadata);
    assert_non_null(request.location);
    assert_int_equal(f->call.n_left_out, 1);
    assert_string_equal(f->call.left_out[0], "metadata: messages are nested deeper than 16");
}

static void test_a_decoded_request_is_refused_or_shortened_when_it_is_too_long(void **state)
{
    struct fixture *f = *state;
    static struct wire wire;
    static uint8_t bytes[RPC_MESSAGE_MAX];
    Panic__V1__CreatePanicRequest request;
    struct diag diag;
    wire.length = 0;
    wire_bytes(&wire, 99, bytes, RPC_MESSAGE_MAX - 5 - 7);
    wire_bytes(&wire, 5, "\x0A\x03\x0A\x01x", 5);
    assert_int_equal(wire.length, RPC_MESSAGE_MAX);
    assert_ok(scan_decoded(f, &wire, &request, &diag));
    assert_int_equal(f->call.n_left_out, 0);
    wire_number(&wire, 7, 1);
    assert_ok(scan_decoded(f, &wire, &request, &diag));
    assert_null(request.metadata);
    assert_string_equal(f->call.left_out[0], "metadata: makes the message too long");
    wire_bytes(&wire, 99, bytes, 10);
    assert_status(scan_decoded(f, &wire, &request, &diag), STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "message: is longer than 65536 bytes");
}

static void test_method_without_binding_is_unimplemented(void **state)
{
    struct fixture *f = *state;
    rpc_router_dispatch(find(f, "/panic.v1.DispatchService/ListResponders"), &f->call, NULL, 0);
    assert_status(f->status, STATUS_UNIMPLEMENTED);
    assert_non_null(strstr(f->message, "/panic.v1.DispatchService/ListResponders"));
}

static void test_a_read_whose_caller_has_gone_is_dropped(void **state)
{
    struct fixture *f = *state;
    f->call.deadline_us = monotonic_us() - 1;
    rpc_router_dispatch(find(f, GET), &f->call, NULL, 0);
    assert_int_equal(f->handled, 0);
    assert_status(f->status, STATUS_DEADLINE_EXCEEDED);
}

static void test_a_write_is_never_dropped_for_its_deadline(void **state)
{
    struct fixture *f = *state;
    f->call.deadline_us = monotonic_us() - 1;
    rpc_router_dispatch(find(f, CREATE), &f->call, NULL, 0);
    assert_int_equal(f->handled, 1);
    assert_status(f->status, STATUS_OK);
}

static void test_a_request_too_big_for_the_arena_is_refused(void **state)
{
    struct fixture *f = *state;
    arena_init(&f->call.arena, NULL, 0, 16);
    rpc_router_dispatch(find(f, GET), &f->call,
                        (const uint8_t *)"\x0A\x03"
                                         "abc",
                        5);
    assert_int_equal(f->handled, 0);
    assert_status(f->status, STATUS_RESOURCE_EXHAUSTED);
}

static void test_finished_calls_are_counted_by_status(void **state)
{
    struct fixture *f = *state;
    struct rpc_method *get = find(f, GET);
    rpc_router_dispatch(get, &f->call, NULL, 0);
    rpc_router_dispatch(get, &f->call, NULL, 0);
    rpc_router_dispatch(get, &f->call, (const uint8_t *)"\x0A", 1);
    assert_int_equal(counter_read(&get->finished[STATUS_OK]), 2);
    assert_int_equal(counter_read(&get->finished[STATUS_INVALID_ARGUMENT]), 1);
    assert_int_equal(atomic_load(&get->latency_us.count), 3);
    assert_int_equal(counter_read(&find(f, CREATE)->finished[STATUS_OK]), 0);
}

static void test_invoke_takes_a_decoded_request(void **state)
{
    struct fixture *f = *state;
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    char id[] = "decoded";
    request.id = id;
    rpc_router_invoke(find(f, GET), &f->call, &request.base);
    assert_string_equal(f->id, "decoded");
}

static void test_an_answer_too_long_becomes_resource_exhausted(void **state)
{
    struct fixture *f = *state;
    static char outcome[RPC_RESPONSE_MAX + 1];
    memset(outcome, 'x', sizeof(outcome) - 1);
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    panic.outcome = outcome;
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    response.panic = &panic;
    f->call.method = find(f, GET);
    rpc_call_reply(&f->call, &response.base);
    assert_int_equal(f->finished, 1);
    assert_status(f->status, STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(f->message, "ask for less"));
}

static void test_error_text_is_always_utf8(void **state)
{
    struct fixture *f = *state;
    rpc_call_fail(&f->call, STATUS_NOT_FOUND, "id: \xFFx\xC3");
    assert_string_equal(f->message, "id: ?x?");
    /* 511 bytes are kept: 170 characters and one byte of the next. */
    char euros[3 * 200 + 1];
    for (size_t i = 0; i < 200; i++) {
        memcpy(euros + 3 * i, "\xE2\x82\xAC", 4);
    }
    rpc_call_fail(&f->call, STATUS_NOT_FOUND, "%s", euros);
    assert_string_equal(f->message + 507, "\xE2\x82\xAC?");
}

static void test_error_text_survives_a_full_arena(void **state)
{
    struct fixture *f = *state;
    arena_init(&f->call.arena, NULL, 0, 0);
    rpc_call_fail(&f->call, STATUS_INTERNAL, "no room for this");
    assert_int_equal(f->finished, 1);
    assert_string_equal(f->message, "");
}

static void test_headers_are_found_by_name(void **state)
{
    struct fixture *f = *state;
    const struct rpc_header headers[] = {{"a", "1"}, {"traceparent", "2"}, {"a", "3"}};
    f->call.headers = headers;
    f->call.n_headers = 3;
    assert_string_equal(rpc_call_header(&f->call, "a"), "1");
    assert_string_equal(rpc_call_header(&f->call, "traceparent"), "2");
    assert_null(rpc_call_header(&f->call, "b"));
}

static void test_trailers_beyond_the_limit_are_left_out(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < RPC_TRAILERS_MAX + 3; i++) {
        rpc_call_add_trailer(&f->call, "retry-after", "1");
    }
    assert_int_equal(f->call.n_trailers, RPC_TRAILERS_MAX);
}

static void check_health(struct fixture *f, const char *service)
{
    Health__V1__CheckRequest request = HEALTH__V1__CHECK_REQUEST__INIT;
    char name[64];
    snprintf(name, sizeof(name), "%s", service);
    request.service = name;
    rpc_router_invoke(find(f, "/health.v1.HealthService/Check"), &f->call, &request.base);
}

static void test_health_follows_the_flag(void **state)
{
    struct fixture *f = *state;
    check_health(f, "");
    assert_status(f->status, STATUS_OK);
    assert_false(f->serving);
    atomic_store(&f->health.serving, true);
    check_health(f, "panic.v1.PanicService");
    assert_status(f->status, STATUS_OK);
    assert_true(f->serving);
}

static void test_health_of_an_unknown_service_is_not_found(void **state)
{
    struct fixture *f = *state;
    check_health(f, "panic.v1.Nothing");
    assert_status(f->status, STATUS_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_method_is_found_by_its_path),
        TEST(test_paths_that_are_almost_right_are_not_found),
        TEST(test_a_path_need_not_end_in_nul),
        TEST(test_dispatch_decodes_and_calls_the_handler),
        TEST(test_dispatch_takes_an_empty_payload),
        TEST(test_bad_payload_is_refused_with_the_path_of_its_field),
        TEST(test_handler_is_told_what_was_left_out),
        TEST(test_handler_gets_all_that_is_within_the_limits),
        TEST(test_what_was_left_out_of_one_request_is_not_told_with_the_next),
        TEST(test_a_request_that_is_left_out_of_needs_memory_or_is_refused),
        TEST(test_what_is_left_out_is_taken_out_of_a_decoded_request),
        TEST(test_a_decoded_request_is_refused_or_shortened_when_it_is_too_long),
        TEST(test_method_without_binding_is_unimplemented),
        TEST(test_a_read_whose_caller_has_gone_is_dropped),
        TEST(test_a_write_is_never_dropped_for_its_deadline),
        TEST(test_a_request_too_big_for_the_arena_is_refused),
        TEST(test_finished_calls_are_counted_by_status),
        TEST(test_invoke_takes_a_decoded_request),
        TEST(test_an_answer_too_long_becomes_resource_exhausted),
        TEST(test_error_text_is_always_utf8),
        TEST(test_error_text_survives_a_full_arena),
        TEST(test_headers_are_found_by_name),
        TEST(test_trailers_beyond_the_limit_are_left_out),
        TEST(test_health_follows_the_flag),
        TEST(test_health_of_an_unknown_service_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
