/*
 * What strangers may send: nonsense at every layer. Where an answer is possible it names what was wrong;
 * where none is, the connection ends or waits alone. After each, a create from another connection must
 * succeed.
 */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/fixture.h"
#include "harness/sp_peer.h"
#include "rpc/v1/rpc.pb-c.h"

#define CREATE "/panic.v1.PanicService/CreatePanic"
#define REQUEST_ID 7
#define FRAME_MAX ((size_t)128 * 1024)

/* The service is unharmed: a client from before and a new one, on either transport, can create. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    calls_create(f->client, &f->arena, NULL);
    struct panic_client *other = calls_connect(panicd_tcp(f->panicd));
    calls_create(other, &f->arena, NULL);
    panic_client_close(other);
    return fixture_tear_down(state);
}

/* ---- by hand ---- */

/* Sends the bytes as the body of a request on a connection of its own; the answer must be this. */
static void expect_answer(struct fixture *f, const void *body, size_t length, enum status status,
                          const char *text)
{
    int fd = sp_connect_req(panicd_tcp(f->panicd));
    sp_send_request(fd, REQUEST_ID, body, length);
    uint8_t answer[4096];
    ssize_t n = sp_receive_answer(fd, REQUEST_ID, answer, sizeof(answer));
    close(fd);
    assert_true(n >= 0);
    Rpc__V1__Response *response = rpc__v1__response__unpack(NULL, (size_t)n, answer);
    assert_non_null(response);
    if (response->code != (uint32_t)status || strstr(response->message, text) == NULL) {
        fail_msg("expected %s with \"%s\", but got %u: %s", status_name(status), text, response->code,
                 response->message);
    }
    assert_int_equal(response->payload.len, 0);
    rpc__v1__response__free_unpacked(response, NULL);
}

static size_t pack_envelope(const char *method, const void *payload, size_t length, uint8_t *frame)
{
    Rpc__V1__Request envelope = RPC__V1__REQUEST__INIT;
    envelope.method = (char *)method;
    envelope.payload.data = (uint8_t *)payload;
    envelope.payload.len = length;
    assert_true(rpc__v1__request__get_packed_size(&envelope) <= FRAME_MAX);
    return rpc__v1__request__pack(&envelope, frame);
}

static void expect_payload_refused(struct fixture *f, const void *payload, size_t length, const char *text)
{
    uint8_t *frame = malloc(FRAME_MAX);
    assert_non_null(frame);
    size_t size = pack_envelope(CREATE, payload, length, frame);
    expect_answer(f, frame, size, STATUS_INVALID_ARGUMENT, text);
    free(frame);
}

static void test_garbage_instead_of_an_envelope_is_refused(void **state)
{
    static const char garbage[] = "\xff\xfe\xfd GET / HTTP/1.1\r\n\r\n";
    expect_answer(*state, garbage, sizeof(garbage) - 1, STATUS_INVALID_ARGUMENT, "request envelope: ");
}

static void test_an_envelope_with_a_text_as_number_names_its_field(void **state)
{
    /* timeout_ms (3) as length-prefixed. */
    expect_answer(*state, "\x1a\x01\x31", 3, STATUS_INVALID_ARGUMENT, "request envelope: timeout_ms: ");
}

static void test_an_unknown_method_is_named(void **state)
{
    uint8_t frame[256];
    size_t size = pack_envelope("/panic.v1.PanicService/DeletePanic", NULL, 0, frame);
    expect_answer(*state, frame, size, STATUS_UNIMPLEMENTED, "/panic.v1.PanicService/DeletePanic");
}

static void test_an_empty_body_is_a_request_without_method(void **state)
{
    expect_answer(*state, "", 0, STATUS_UNIMPLEMENTED, "method: ");
}

static void test_a_truncated_message_names_the_field_that_is_cut(void **state)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.subject_id = (char *)"user-7";
    request.location = &location;
    uint8_t payload[128];
    size_t length = panic__v1__create_panic_request__pack(&request, payload);
    expect_payload_refused(*state, payload, length - 3, "location: ");
}

static void test_invalid_utf8_names_the_field(void **state)
{
    /* subject_id (2): ED A0 80 is half a surrogate pair. */
    expect_payload_refused(*state, "\x12\x04x\xed\xa0\x80", 6, "subject_id: text is not valid UTF-8");
    expect_payload_refused(*state, "\x12\x01\xff", 3, "subject_id: text is not valid UTF-8");
    expect_payload_refused(*state,
                           "\x12\x03"
                           "a\0b",
                           5, "subject_id: ");
}

static void test_a_bad_id_is_named_with_an_example(void **state)
{
    expect_payload_refused(*state, "\x0a\x05nonce", 7, "id: not a UUID; expected");
}

static void test_a_body_beyond_the_limit_costs_its_sender_the_connection(void **state)
{
    struct fixture *f = *state;
    uint8_t *body = calloc(1, FRAME_MAX);
    assert_non_null(body);
    int fd = sp_connect_req(panicd_tcp(f->panicd));
    sp_send_request(fd, REQUEST_ID, body, FRAME_MAX);
    sp_expect_hang_up(fd);
    close(fd);
    free(body);
}

static void test_an_announced_gibibyte_costs_its_sender_the_connection_and_no_memory(void **state)
{
    struct fixture *f = *state;
    long before_kib = panicd_resident_kib(f->panicd);
    for (int i = 0; i < 20; i++) {
        int fd = sp_connect_req(panicd_tcp(f->panicd));
        sp_send_head(fd, (uint64_t)1 << 30);
        sp_send(fd, "\x80\0\0\x07", 4);
        sp_expect_hang_up(fd);
        close(fd);
    }
    /* The sanitizers' own bookkeeping grows more than that. */
    assert_true(HARNESS_SANITIZED || panicd_resident_kib(f->panicd) - before_kib < 16 * 1024);
}

static void test_a_message_without_request_id_costs_its_sender_the_connection(void **state)
{
    struct fixture *f = *state;
    int fd = sp_connect_req(panicd_tcp(f->panicd));
    sp_send_head(fd, 8);
    sp_send(fd, "\0\0\0\1\0\0\0\2", 8);
    sp_expect_hang_up(fd);
    close(fd);
}

static void test_a_peer_of_another_protocol_is_turned_away(void **state)
{
    struct fixture *f = *state;
    int fd = sp_connect(panicd_tcp(f->panicd));
    sp_greet(fd, SP_PUB);
    sp_send_request(fd, REQUEST_ID, "", 0);
    sp_expect_hang_up(fd);
    close(fd);
}

static void test_a_greeting_that_is_none_is_turned_away(void **state)
{
    struct fixture *f = *state;
    int fd = sp_connect(panicd_tcp(f->panicd));
    sp_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    sp_expect_hang_up(fd);
    close(fd);
}

static void test_half_a_frame_and_silence_hold_up_nobody_else(void **state)
{
    struct fixture *f = *state;
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = sp_connect_req(panicd_tcp(f->panicd));
        sp_send_head(fds[i], 1000);
        sp_send(fds[i], "\x80\0\0\x07 half of it", 15);
    }
    calls_create(f->client, &f->arena, NULL);
    struct panic_client *other = calls_connect(panicd_tcp(f->panicd));
    calls_create(other, &f->arena, NULL);
    panic_client_close(other);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
    }
}

static void test_half_a_frame_and_a_hang_up_harm_nobody(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 20; i++) {
        int fd = sp_connect_req(panicd_tcp(f->panicd));
        sp_send_head(fd, 1000);
        sp_send(fd, "\x80\0\0\x07 half of it", 15);
        if (i % 2 == 0) {
            close(fd);
        } else {
            sp_reset(fd);
        }
    }
}

/* ---- the content of a create ---- */

static const Panic__V1__CreatePanicResponse *create(struct fixture *f, Panic__V1__CreatePanicRequest *request)
{
    const Panic__V1__CreatePanicResponse *response = NULL;
    struct diag diag = {0};
    assert_ok(panic_client_create(f->client, request, HARNESS_PATIENCE_US, &f->arena, &response, &diag));
    return response;
}

/* Accepted, with one warning that names the field; refused when strict, naming it as well. */
static const Panic__V1__Panic *expect_left_out(struct fixture *f, Panic__V1__CreatePanicRequest *request,
                                               const char *field)
{
    const Panic__V1__CreatePanicResponse *response = create(f, request);
    assert_int_equal(response->n_warnings, 1);
    if (strncmp(response->warnings[0], field, strlen(field)) != 0) {
        fail_msg("the warning does not name %s: %s", field, response->warnings[0]);
    }
    Panic__V1__CreatePanicRequest strict = *request;
    strict.id = (char *)"";
    strict.strict = true;
    const Panic__V1__CreatePanicResponse *none;
    struct diag diag = {0};
    assert_status(panic_client_create(f->client, &strict, HARNESS_PATIENCE_US, &f->arena, &none, &diag),
                  STATUS_INVALID_ARGUMENT);
    assert_memory_equal(diag.text, field, strlen(field));
    /* What was stored, not only what was answered. */
    return calls_get(f->client, &f->arena, response->panic->id);
}

static void expect_place_left_out(struct fixture *f, double lat, double lng)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = lat;
    location.lng = lng;
    request.subject_id = (char *)"user-7";
    request.location = &location;
    const Panic__V1__Panic *panic = expect_left_out(f, &request, "location: ");
    assert_null(panic->location);
    assert_string_equal(panic->subject_id, "user-7");
}

static void test_an_impossible_place_is_left_out_with_a_warning(void **state)
{
    expect_place_left_out(*state, 91, 18.4);
    expect_place_left_out(*state, -33.9, -180.5);
    expect_place_left_out(*state, (double)NAN, 18.4);
    expect_place_left_out(*state, -33.9, (double)INFINITY);
}

static void test_an_impossible_accuracy_is_left_out_but_not_the_place(void **state)
{
    struct fixture *f = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    location.accuracy_m = -1;
    request.location = &location;
    const Panic__V1__Panic *panic = expect_left_out(f, &request, "location.accuracy_m: ");
    assert_true(panic->location->lat == -33.9 && panic->location->accuracy_m == 0);
}

static const Panic__V1__Panic *create_with_metadata(struct fixture *f, Google__Protobuf__Value *value)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    entry.key = (char *)"note";
    entry.value = value;
    metadata.n_fields = 1;
    metadata.fields = entries;
    request.metadata = &metadata;
    return expect_left_out(f, &request, "metadata: ");
}

static void test_metadata_beyond_six_kibibytes_are_left_out_with_a_warning(void **state)
{
    char note[6 * 1024 + 1];
    memset(note, 'x', sizeof(note) - 1);
    note[sizeof(note) - 1] = 0;
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = note;
    assert_null(create_with_metadata(*state, &value)->metadata);
}

static void test_metadata_with_a_number_that_is_none_are_left_out_with_a_warning(void **state)
{
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    value.number_value = (double)NAN;
    assert_null(create_with_metadata(*state, &value)->metadata);
}

static void test_a_press_in_1970_is_left_out_with_a_warning(void **state)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = 86400;
    request.pressed_at = &time;
    assert_null(expect_left_out(*state, &request, "pressed_at: ")->pressed_at);
}

static void test_zero_zero_is_a_place(void **state)
{
    struct fixture *f = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    request.location = &location;
    const Panic__V1__CreatePanicResponse *response = create(f, &request);
    assert_int_equal(response->n_warnings, 0);
    const Panic__V1__Panic *panic = calls_get(f->client, &f->arena, response->panic->id);
    assert_non_null(panic->location);
    assert_true(panic->location->lat == 0 && panic->location->lng == 0);
}

static void test_no_place_stays_no_place(void **state)
{
    struct fixture *f = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    const Panic__V1__CreatePanicResponse *response = create(f, &request);
    assert_int_equal(response->n_warnings, 0);
    assert_null(response->panic->location);
    /* Also when it comes back from the disk. */
    panicd_kill(f->panicd);
    panicd_restart(f->panicd);
    assert_null(calls_get(f->client, &f->arena, response->panic->id)->location);
}

#define BAD_INPUT(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BAD_INPUT(test_garbage_instead_of_an_envelope_is_refused),
        BAD_INPUT(test_an_envelope_with_a_text_as_number_names_its_field),
        BAD_INPUT(test_an_unknown_method_is_named),
        BAD_INPUT(test_an_empty_body_is_a_request_without_method),
        BAD_INPUT(test_a_truncated_message_names_the_field_that_is_cut),
        BAD_INPUT(test_invalid_utf8_names_the_field),
        BAD_INPUT(test_a_bad_id_is_named_with_an_example),
        BAD_INPUT(test_a_body_beyond_the_limit_costs_its_sender_the_connection),
        BAD_INPUT(test_an_announced_gibibyte_costs_its_sender_the_connection_and_no_memory),
        BAD_INPUT(test_a_message_without_request_id_costs_its_sender_the_connection),
        BAD_INPUT(test_a_peer_of_another_protocol_is_turned_away),
        BAD_INPUT(test_a_greeting_that_is_none_is_turned_away),
        BAD_INPUT(test_half_a_frame_and_silence_hold_up_nobody_else),
        BAD_INPUT(test_half_a_frame_and_a_hang_up_harm_nobody),
        BAD_INPUT(test_an_impossible_place_is_left_out_with_a_warning),
        BAD_INPUT(test_an_impossible_accuracy_is_left_out_but_not_the_place),
        BAD_INPUT(test_metadata_beyond_six_kibibytes_are_left_out_with_a_warning),
        BAD_INPUT(test_metadata_with_a_number_that_is_none_are_left_out_with_a_warning),
        BAD_INPUT(test_a_press_in_1970_is_left_out_with_a_warning),
        BAD_INPUT(test_zero_zero_is_a_place),
        BAD_INPUT(test_no_place_stays_no_place),
    };
    return cmocka_run_group_tests_name("bad input", tests, NULL, NULL);
}
