/*
 * Calls whose arena is too small, by 16 bytes less each time: whichever allocation fails, the caller is told
 * RESOURCE_EXHAUSTED, and what was not acknowledged is not there.
 */
#include "unit/panic/rig.h"

#define CREATE "/panic.v1.PanicService/CreatePanic"

struct payload {
    uint8_t bytes[2048];
    size_t length;
};

static struct payload packed(const ProtobufCMessage *message)
{
    struct payload payload;
    payload.length = protobuf_c_message_get_packed_size(message);
    assert_true(payload.length <= sizeof(payload.bytes));
    protobuf_c_message_pack(message, payload.bytes);
    return payload;
}

static struct payload create_payload(unsigned n)
{
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.lat = 91;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    request.location = &place;
    request.subject_id = (char *)"somebody";
    return packed(&request.base);
}

/*
 * The call with ever more memory, until it succeeds: until then RESOURCE_EXHAUSTED, each time.
 * `after_failure` looks at what the failure of number n left behind.
 */
static void assert_ends_well_with_any_memory(struct rig *rig, const char *path,
                                             struct payload (*payload_of)(unsigned),
                                             void (*after_failure)(struct rig *rig, unsigned n))
{
    enum status status = STATUS_UNKNOWN;
    unsigned failures = 0;
    for (unsigned n = 1; status != STATUS_OK; n++) {
        struct payload payload = payload_of(n);
        status = rig_end(local_call_start_raw(rig->router, RIG_TENANT, path, payload.bytes, payload.length,
                                              (size_t)n * 16, 0));
        if (status != STATUS_OK) {
            assert_status(status, STATUS_RESOURCE_EXHAUSTED);
            failures++;
            if (after_failure != NULL) {
                after_failure(rig, n);
            }
        }
    }
    assert_true(failures > 10);
}

static void assert_not_stored(struct rig *rig, unsigned n)
{
    assert_status(rig_get_status(rig, n), STATUS_NOT_FOUND);
}

static void test_a_create_without_memory_stores_nothing(void **state)
{
    assert_ends_well_with_any_memory(*state, CREATE, create_payload, assert_not_stored);
}

static struct payload repeat_payload(unsigned n)
{
    (void)n;
    return create_payload(7);
}

static void test_a_repeat_without_memory_fails_and_harms_nothing(void **state)
{
    struct rig *rig = *state;
    struct payload payload = create_payload(7);
    assert_ok(rig_end(local_call_start_raw(rig->router, RIG_TENANT, CREATE, payload.bytes, payload.length,
                                           RPC_ARENA_MAX, 0)));
    assert_ends_well_with_any_memory(rig, CREATE, repeat_payload, NULL);
    assert_ok(rig_get_status(rig, 7));
    assert_int_equal(rig_counts(rig).panics, 1);
}

static struct payload get_payload(unsigned n)
{
    (void)n;
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    return packed(&request.base);
}

static void test_a_get_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/GetPanic", get_payload, NULL);
}

static struct payload list_payload(unsigned n)
{
    (void)n;
    return (struct payload){.length = 0};
}

static void test_a_list_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/ListPanics", list_payload, NULL);
}

static struct payload resolve_payload(unsigned n)
{
    (void)n;
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    return packed(&request.base);
}

static void test_a_resolve_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/ResolvePanic", resolve_payload, NULL);
    assert_ok(rig_get_status(rig, 1));
}

static struct payload put_payload(unsigned n)
{
    (void)n;
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)"unit";
    responder.location = &place;
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    request.responder = &responder;
    return packed(&request.base);
}

static void test_a_put_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    assert_ends_well_with_any_memory(rig, "/panic.v1.DispatchService/PutResponder", put_payload, NULL);
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_create_without_memory_stores_nothing),
        TEST(test_a_repeat_without_memory_fails_and_harms_nothing),
        TEST(test_a_get_without_memory_fails),
        TEST_WITHOUT_CACHE(test_a_get_without_memory_fails),
        TEST(test_a_list_without_memory_fails),
        TEST(test_a_resolve_without_memory_fails),
        TEST(test_a_put_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
