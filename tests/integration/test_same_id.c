/* The id is the idempotency key: one panic, however often and over however many connections it is sent. */
#include "harness/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "harness/fixture.h"
#include "rpc/channel.h"

#define CONNECTIONS 10
#define CALLS_EACH 10
#define CALLS (CONNECTIONS * CALLS_EACH)
#define IDS 20

struct answer {
    struct crowd *crowd;
    enum status status;
    bool replayed;
    char id[ID_TEXT_SIZE];
    int64_t create_seconds;
    int32_t create_nanos;
    size_t content_length;
    uint8_t content[512];
};

struct crowd {
    pthread_mutex_t lock;
    pthread_cond_t all_there;
    /* Under lock. */
    size_t n_answered;
    struct answer answers[CALLS];
};

/* A request with two metadata entries, in either order, and a place. */
struct request {
    Panic__V1__CreatePanicRequest create;
    Panic__V1__Location location;
    Google__Protobuf__Struct metadata;
    Google__Protobuf__Struct__FieldsEntry entries[2];
    Google__Protobuf__Struct__FieldsEntry *order[2];
    Google__Protobuf__Value values[2];
};

static void make_request(struct request *request, const char *id, bool reversed)
{
    static const char *const keys[] = {"battery", "floor"};
    panic__v1__create_panic_request__init(&request->create);
    panic__v1__location__init(&request->location);
    google__protobuf__struct__init(&request->metadata);
    for (size_t i = 0; i < 2; i++) {
        google__protobuf__struct__fields_entry__init(&request->entries[i]);
        google__protobuf__value__init(&request->values[i]);
        request->values[i].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        request->values[i].number_value = 80.0 + (double)i;
        request->entries[i].key = (char *)keys[i];
        request->entries[i].value = &request->values[i];
        request->order[reversed ? 1 - i : i] = &request->entries[i];
    }
    request->metadata.fields = request->order;
    request->metadata.n_fields = 2;
    request->location.lat = -33.9;
    request->location.lng = 18.4;
    request->create.id = (char *)id;
    request->create.subject_id = (char *)"user-7";
    request->create.location = &request->location;
    request->create.metadata = &request->metadata;
}

static void new_id(char id[ID_TEXT_SIZE])
{
    struct id fresh = id_new_v7(clock_wall_us(clock_system()));
    id_format(&fresh, id);
}

/* What never changes of a panic, packed. */
static size_t pack_content(const Panic__V1__Panic *panic, uint8_t *content, size_t size)
{
    Panic__V1__Panic fixed = PANIC__V1__PANIC__INIT;
    fixed.id = panic->id;
    fixed.location = panic->location;
    fixed.metadata = panic->metadata;
    fixed.subject_id = panic->subject_id;
    fixed.device_id = panic->device_id;
    fixed.mode = panic->mode;
    size_t length = panic__v1__panic__get_packed_size(&fixed);
    return length <= size ? panic__v1__panic__pack(&fixed, content) : 0;
}

static void note_answer(void *arg, const struct rpc_result *result)
{
    struct answer *answer = arg;
    answer->status = result->status;
    const Panic__V1__CreatePanicResponse *response = (const Panic__V1__CreatePanicResponse *)result->response;
    if (response != NULL) {
        answer->replayed = response->replayed;
        answer->create_seconds = response->panic->create_time->seconds;
        answer->create_nanos = response->panic->create_time->nanos;
        answer->content_length = pack_content(response->panic, answer->content, sizeof(answer->content));
    }
    struct crowd *crowd = answer->crowd;
    pthread_mutex_lock(&crowd->lock);
    crowd->n_answered++;
    pthread_cond_signal(&crowd->all_there);
    pthread_mutex_unlock(&crowd->lock);
}

/* Half of them over each transport. */
static void open_channels(const struct fixture *f, struct rpc_channel *channels[CONNECTIONS])
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        const struct rpc_channel_config config = {
            .url = i % 2 == 0 ? panicd_tcp(f->panicd) : panicd_ipc(f->panicd), .contexts = CALLS_EACH};
        assert_ok(rpc_channel_open(&config, &channels[i], NULL));
    }
}

static void create_from_all_at_once(struct rpc_channel *const channels[CONNECTIONS], const char *id,
                                    struct crowd *crowd)
{
    *crowd = (struct crowd){.lock = PTHREAD_MUTEX_INITIALIZER, .all_there = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < CALLS; i++) {
        struct request request;
        make_request(&request, id, i % 3 == 0);
        crowd->answers[i].crowd = crowd;
        assert_ok(rpc_channel_call(channels[i % CONNECTIONS], &panic__v1__panic_service__descriptor,
                                   "CreatePanic", &request.create.base, HARNESS_PATIENCE_US, note_answer,
                                   &crowd->answers[i]));
    }
    pthread_mutex_lock(&crowd->lock);
    while (crowd->n_answered < CALLS) {
        pthread_cond_wait(&crowd->all_there, &crowd->lock);
    }
    pthread_mutex_unlock(&crowd->lock);
}

static void count_panic(void *ctx, const Panic__V1__Panic *panic)
{
    (void)panic;
    (*(size_t *)ctx)++;
}

static void test_a_hundred_creates_with_one_id_are_one_panic(void **state)
{
    struct fixture *f = *state;
    struct rpc_channel *channels[CONNECTIONS];
    open_channels(f, channels);
    for (size_t round = 0; round < IDS; round++) {
        char id[ID_TEXT_SIZE];
        new_id(id);
        struct crowd crowd;
        create_from_all_at_once(channels, id, &crowd);
        size_t first_ones = 0;
        for (size_t i = 0; i < CALLS; i++) {
            const struct answer *answer = &crowd.answers[i];
            assert_status(answer->status, STATUS_OK);
            assert_int_equal(answer->create_seconds, crowd.answers[0].create_seconds);
            assert_int_equal(answer->create_nanos, crowd.answers[0].create_nanos);
            assert_true(answer->content_length > 0);
            assert_int_equal(answer->content_length, crowd.answers[0].content_length);
            assert_memory_equal(answer->content, crowd.answers[0].content, answer->content_length);
            first_ones += answer->replayed ? 0 : 1;
        }
        assert_int_equal(first_ones, 1);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        rpc_channel_close(channels[i]);
    }
    size_t stored = 0;
    calls_each_panic(f->client, count_panic, &stored);
    assert_int_equal(stored, IDS);
    print_message("%d times %d creates of one id: %zu panics\n", IDS, CALLS, stored);
}

static enum status create(struct fixture *f, struct request *request,
                          const Panic__V1__CreatePanicResponse **ret_response, struct diag *diag)
{
    return panic_client_create(f->client, &request->create, HARNESS_PATIENCE_US, &f->arena, ret_response,
                               diag);
}

static void test_other_content_is_refused_and_the_panic_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    char id[ID_TEXT_SIZE];
    new_id(id);
    struct request request;
    make_request(&request, id, false);
    const Panic__V1__CreatePanicResponse *response;
    struct diag diag;
    assert_ok(create(f, &request, &response, &diag));
    uint8_t before[512];
    size_t length = pack_content(response->panic, before, sizeof(before));

    struct request other;
    make_request(&other, id, false);
    other.values[0].number_value = 79.0;
    assert_status(create(f, &other, &response, &diag), STATUS_ALREADY_EXISTS);
    assert_non_null(strstr(diag.text, "id: "));
    make_request(&other, id, false);
    other.create.location = NULL;
    assert_status(create(f, &other, &response, &diag), STATUS_ALREADY_EXISTS);

    const Panic__V1__Panic *panic = calls_get(f->client, &f->arena, id);
    uint8_t after[512];
    assert_int_equal(pack_content(panic, after, sizeof(after)), length);
    assert_memory_equal(after, before, length);
    assert_int_equal(panic->version, 1);
}

static void test_another_order_of_the_metadata_is_the_same_content(void **state)
{
    struct fixture *f = *state;
    char id[ID_TEXT_SIZE];
    new_id(id);
    struct request request;
    make_request(&request, id, false);
    const Panic__V1__CreatePanicResponse *response;
    struct diag diag;
    assert_ok(create(f, &request, &response, &diag));
    assert_false(response->replayed);
    make_request(&request, id, true);
    assert_ok(create(f, &request, &response, &diag));
    assert_true(response->replayed);
}

static void test_a_repeat_is_known_after_kill_9(void **state)
{
    struct fixture *f = *state;
    char id[ID_TEXT_SIZE];
    new_id(id);
    struct request request;
    make_request(&request, id, false);
    const Panic__V1__CreatePanicResponse *response;
    struct diag diag;
    assert_ok(create(f, &request, &response, &diag));
    int64_t seconds = response->panic->create_time->seconds;
    int32_t nanos = response->panic->create_time->nanos;
    panicd_kill(f->panicd);
    panicd_restart(f->panicd);
    assert_ok(create(f, &request, &response, &diag));
    assert_true(response->replayed);
    assert_int_equal(response->panic->create_time->seconds, seconds);
    assert_int_equal(response->panic->create_time->nanos, nanos);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_hundred_creates_with_one_id_are_one_panic),
        FIXTURE_TEST(test_other_content_is_refused_and_the_panic_stays_as_it_was),
        FIXTURE_TEST(test_another_order_of_the_metadata_is_the_same_content),
        FIXTURE_TEST(test_a_repeat_is_known_after_kill_9),
    };
    return cmocka_run_group_tests_name("same id", tests, NULL, NULL);
}
