/* Lists in pages, and responders: what is taken in, and what is told of them. */
#include "unit/panic/rig.h"

#include <math.h>
#include <string.h>

#define LIST "/panic.v1.PanicService/ListPanics"
#define PUT "/panic.v1.DispatchService/PutResponder"

/* ---- panics ---- */

/* Fetches page after page; the panics must be 1..n in order. Returns how many pages it took. */
static unsigned assert_pages_hold(struct rig *rig, int page_size, unsigned n)
{
    char token[ID_TEXT_SIZE] = "";
    unsigned seen = 0;
    unsigned pages = 0;
    do {
        struct local_call *call = rig_start_list(rig, page_size, token);
        assert_ok(local_call_wait(call));
        const Panic__V1__ListPanicsResponse *page =
            (const Panic__V1__ListPanicsResponse *)local_call_response(call);
        for (size_t i = 0; i < page->n_panics; i++) {
            assert_string_equal(page->panics[i]->id, rig_id(++seen));
        }
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        local_call_free(call);
        pages++;
    } while (token[0] != 0 && pages <= n + 1);
    assert_int_equal(seen, n);
    return pages;
}

static void create_up_to(struct rig *rig, unsigned n)
{
    for (unsigned i = 1; i <= n; i++) {
        rig_create(rig, i);
    }
}

static void test_pages_end_where_the_panics_end(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(assert_pages_hold(rig, 3, 0), 1);
    create_up_to(rig, 6);
    assert_int_equal(assert_pages_hold(rig, 3, 6), 2);
    assert_int_equal(assert_pages_hold(rig, 4, 6), 2);
    assert_int_equal(assert_pages_hold(rig, 1, 6), 6);
    assert_int_equal(assert_pages_hold(rig, 6, 6), 1);
}

static void test_page_sizes_out_of_bounds_are_brought_within(void **state)
{
    struct rig *rig = *state;
    create_up_to(rig, 120);
    assert_int_equal(assert_pages_hold(rig, 0, 120), 2);
    assert_int_equal(assert_pages_hold(rig, -5, 120), 2);
    assert_int_equal(assert_pages_hold(rig, INT32_MIN, 120), 2);
    assert_int_equal(assert_pages_hold(rig, INT32_MAX, 120), 1);
}

/* More than one page may hold: shorter pages, and nothing is lost between them. */
static void test_large_panics_make_shorter_pages(void **state)
{
    struct rig *rig = *state;
    char text[6000] = "";
    memset(text, 'x', sizeof(text) - 1);
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = text;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    entry.key = (char *)"note";
    entry.value = &value;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    metadata.n_fields = 1;
    metadata.fields = entries;
    for (unsigned n = 1; n <= 100; n++) {
        Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
        request.id = (char *)rig_id(n);
        request.metadata = &metadata;
        assert_ok(rig_end(
            local_call_start(rig->router, RIG_TENANT, "/panic.v1.PanicService/CreatePanic", &request.base)));
    }
    assert_true(assert_pages_hold(rig, 500, 100) > 1);
}

static void test_a_page_token_that_is_none_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_status(rig_end(rig_start_list(rig, 0, "nonsense")), STATUS_INVALID_ARGUMENT);
}

static size_t n_with_status(struct rig *rig, int status)
{
    Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
    request.status = (Panic__V1__PanicStatus)status;
    struct local_call *call = local_call_start(rig->router, RIG_TENANT, LIST, &request.base);
    assert_ok(local_call_wait(call));
    size_t n = ((const Panic__V1__ListPanicsResponse *)local_call_response(call))->n_panics;
    local_call_free(call);
    return n;
}

static void test_lists_by_status(void **state)
{
    struct rig *rig = *state;
    create_up_to(rig, 3);
    rig_resolve(rig, 2);
    assert_int_equal(n_with_status(rig, PANIC_STATUS(PROCESSING)), 2);
    assert_int_equal(n_with_status(rig, PANIC_STATUS(RESOLVED)), 1);
    assert_int_equal(n_with_status(rig, PANIC_STATUS(ACTIVE)), 0);
    assert_int_equal(n_with_status(rig, PANIC_STATUS(UNSPECIFIED)), 3);
}

/* Writes closed ones past the service: panics 1 to n. */
static void leave_resolved(struct rig *rig, unsigned n)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, 4096);
    struct id id;
    struct store_panic panic = {.tenant = RIG_TENANT,
                                .version = 1,
                                .status = PANIC_STATUS(RESOLVED),
                                .stage = STAGE(RESOLVED),
                                .create_time_us = RIG_START_US,
                                .update_time_us = RIG_START_US};
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned first = 1; first <= n; first += STORE_BATCH_MAX) {
        size_t size = 0;
        for (unsigned i = first; i <= n && size < STORE_BATCH_MAX; i++, size++) {
            assert_ok(id_parse(rig_id(i), &id));
            panics[size] = panic;
            panics[size].id = id;
            ops[size] = (struct store_op){.kind = STORE_CREATE, .panic = &panics[size], .arena = &arena};
        }
        assert_ok(store_apply(gated_store_inner(rig->store), ops, size));
    }
    arena_reset(&arena);
}

/* The search ends after so many rows, and the token leads on from there. */
static void test_an_empty_page_of_a_rare_status_leads_on(void **state)
{
    struct rig *rig = *state;
    leave_resolved(rig, STORE_SCAN_MAX);
    rig_create(rig, STORE_SCAN_MAX + 1);
    Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
    request.status = PANIC_STATUS(PROCESSING);
    struct local_call *first = local_call_start(rig->router, RIG_TENANT, LIST, &request.base);
    assert_ok(local_call_wait(first));
    const Panic__V1__ListPanicsResponse *page =
        (const Panic__V1__ListPanicsResponse *)local_call_response(first);
    assert_int_equal(page->n_panics, 0);
    assert_string_equal(page->next_page_token, rig_id(STORE_SCAN_MAX));
    request.page_token = page->next_page_token;
    struct local_call *second = local_call_start(rig->router, RIG_TENANT, LIST, &request.base);
    assert_ok(local_call_wait(second));
    page = (const Panic__V1__ListPanicsResponse *)local_call_response(second);
    assert_int_equal(page->n_panics, 1);
    assert_string_equal(page->panics[0]->id, rig_id(STORE_SCAN_MAX + 1));
    assert_string_equal(page->next_page_token, "");
    local_call_free(first);
    local_call_free(second);
}

/* 257 would be 1 in the byte that the store compares. */
static void test_a_status_that_is_none_is_refused(void **state)
{
    struct rig *rig = *state;
    static const int bad[] = {4, -1, 257, INT32_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
        request.status = (Panic__V1__PanicStatus)bad[i];
        assert_status(rig_end(local_call_start(rig->router, RIG_TENANT, LIST, &request.base)),
                      STATUS_INVALID_ARGUMENT);
    }
}

/* ---- responders ---- */

static struct local_call *start_put_of(struct rig *rig, Panic__V1__Responder *responder)
{
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    request.responder = responder;
    return local_call_start(rig->router, RIG_TENANT, PUT, &request.base);
}

static Panic__V1__Responder responder_named(const char *id)
{
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)id;
    return responder;
}

static const Panic__V1__ListRespondersResponse *responders_of(struct local_call *call)
{
    assert_ok(local_call_wait(call));
    return (const Panic__V1__ListRespondersResponse *)local_call_response(call);
}

static void test_responders_are_listed_in_pages_by_id(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "b");
    rig_put(rig, "a");
    rig_put(rig, "c");
    struct local_call *first = rig_start_list_responders(rig, 2, "");
    assert_int_equal(responders_of(first)->n_responders, 2);
    assert_string_equal(responders_of(first)->responders[0]->id, "a");
    assert_string_equal(responders_of(first)->next_page_token, "b");
    struct local_call *second = rig_start_list_responders(rig, 2, responders_of(first)->next_page_token);
    assert_int_equal(responders_of(second)->n_responders, 1);
    assert_string_equal(responders_of(second)->responders[0]->id, "c");
    assert_string_equal(responders_of(second)->next_page_token, "");
    local_call_free(first);
    local_call_free(second);
}

static void test_a_responder_shows_whom_it_is_with(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    struct local_call *bound = rig_start_list_responders(rig, 0, "");
    assert_string_equal(responders_of(bound)->responders[0]->panic_id, rig_id(1));
    assert_int_equal(responders_of(bound)->responders[0]->update_time->seconds, RIG_START_US / US_PER_S);
    local_call_free(bound);
    rig_resolve(rig, 1);
    struct local_call *free_again = rig_start_list_responders(rig, 0, "");
    assert_string_equal(responders_of(free_again)->responders[0]->panic_id, "");
    local_call_free(free_again);
}

static void test_what_the_server_owns_is_not_taken_from_a_put(void **state)
{
    struct rig *rig = *state;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Panic__V1__Responder responder = responder_named("unit");
    responder.panic_id = (char *)rig_id(5);
    responder.update_time = &time;
    struct local_call *put = start_put_of(rig, &responder);
    assert_ok(local_call_wait(put));
    const Panic__V1__Responder *answer =
        ((const Panic__V1__PutResponderResponse *)local_call_response(put))->responder;
    assert_string_equal(answer->panic_id, "");
    assert_int_equal(answer->state, RESPONDER_STATE(AVAILABLE));
    assert_int_equal(answer->update_time->seconds, RIG_START_US / US_PER_S);
    local_call_free(put);
}

static void test_a_responder_id_that_is_none_is_refused(void **state)
{
    struct rig *rig = *state;
    static const char *const bad[] = {"", " ", "a b", "a\n", "\x7f", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Panic__V1__Responder responder = responder_named(bad[i]);
        assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
    }
    char name[STORE_RESPONDER_ID_MAX + 2] = "";
    memset(name, 'n', STORE_RESPONDER_ID_MAX + 1);
    Panic__V1__Responder responder = responder_named(name);
    assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
    name[STORE_RESPONDER_ID_MAX] = 0;
    assert_ok(rig_end(start_put_of(rig, &responder)));
}

static void test_a_put_without_responder_is_refused(void **state)
{
    assert_status(rig_end(start_put_of(*state, NULL)), STATUS_INVALID_ARGUMENT);
}

static void test_a_responder_state_that_is_none_is_refused(void **state)
{
    struct rig *rig = *state;
    assert_status(rig_end(rig_start_put(rig, RIG_TENANT, "unit", 3)), STATUS_INVALID_ARGUMENT);
    assert_status(rig_end(rig_start_put(rig, RIG_TENANT, "unit", -1)), STATUS_INVALID_ARGUMENT);
}

static void test_a_responder_at_no_place_is_refused(void **state)
{
    struct rig *rig = *state;
    assert_status(rig_end(rig_start_put_at(rig, "unit", 91, 0)), STATUS_INVALID_ARGUMENT);
    assert_status(rig_end(rig_start_put_at(rig, "unit", 0, NAN)), STATUS_INVALID_ARGUMENT);
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    Panic__V1__Responder responder = responder_named("unit");
    responder.location = &place;
    place.accuracy_m = NAN;
    assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
    place.accuracy_m = -1;
    assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
    place.accuracy_m = 0;
    place.altitude_m = INFINITY;
    assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
}

/* A time that JSON has no form for would make every list with this responder in it unreadable there. */
static void test_a_responder_whose_fix_has_no_time_is_refused(void **state)
{
    struct rig *rig = *state;
    static const struct {
        int64_t seconds;
        int32_t nanos;
    } bad[] = {{INT64_MAX, 0}, {INT64_MIN, 0}, {253402300800, 0}, {1700000000, -1}, {1700000000, 1000000000}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        time.seconds = bad[i].seconds;
        time.nanos = bad[i].nanos;
        Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
        place.fix_time = &time;
        Panic__V1__Responder responder = responder_named("unit");
        responder.location = &place;
        assert_status(rig_end(start_put_of(rig, &responder)), STATUS_INVALID_ARGUMENT);
    }
}

/* Kept, they would outgrow what a page may hold, and the list would end before this responder for ever. */
static void test_unknown_fields_of_a_responder_are_not_stored(void **state)
{
    struct rig *rig = *state;
    static uint8_t much[200 * 1024];
    uint8_t field[sizeof(much) + 3] = {0x80 | (sizeof(much) & 0x7f), 0x80 | (sizeof(much) >> 7 & 0x7f),
                                       sizeof(much) >> 14};
    ProtobufCMessageUnknownField stranger = {
        .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = sizeof(field), .data = field};
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 1700000000;
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.fix_time = &time;
    Panic__V1__Responder responder = responder_named("unit");
    responder.location = &place;
    ProtobufCMessage *messages[] = {&place.base, &time.base, &responder.base};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        messages[i]->n_unknown_fields = 1;
        messages[i]->unknown_fields = &stranger;
        assert_ok(rig_end(start_put_of(rig, &responder)));
        messages[i]->n_unknown_fields = 0;
        struct local_call *list = rig_start_list_responders(rig, 0, "");
        assert_int_equal(responders_of(list)->n_responders, 1);
        local_call_free(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages_end_where_the_panics_end),
        TEST(test_page_sizes_out_of_bounds_are_brought_within),
        TEST(test_large_panics_make_shorter_pages),
        TEST(test_a_page_token_that_is_none_is_refused),
        TEST(test_lists_by_status),
        TEST(test_an_empty_page_of_a_rare_status_leads_on),
        TEST(test_a_status_that_is_none_is_refused),
        TEST(test_responders_are_listed_in_pages_by_id),
        TEST(test_a_responder_shows_whom_it_is_with),
        TEST(test_what_the_server_owns_is_not_taken_from_a_put),
        TEST(test_a_responder_id_that_is_none_is_refused),
        TEST(test_a_put_without_responder_is_refused),
        TEST(test_a_responder_state_that_is_none_is_refused),
        TEST(test_a_responder_at_no_place_is_refused),
        TEST(test_a_responder_whose_fix_has_no_time_is_refused),
        TEST(test_unknown_fields_of_a_responder_are_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
