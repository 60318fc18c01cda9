/*
 * The bytes of panicd's answers that are looked at (proto/rpc/v1, proto/panic/v1): a Response that is OK has
 * neither code nor message and begins with its payload, whose first field is the panic, whose first field is
 * the id. Anything else is told by the code, which then comes first.
 */
#include "bench/load/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ids.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/envelope.h"

#define TIMEOUT_MS 30000

#define TAG_CODE 0x08
#define TAG_PAYLOAD 0x1A
#define TAG_FIRST_FIELD 0x0A

static const char placeholder[] = "00000000-0000-0000-0000-000000000000";

static nng_msg *create_request(void)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.id = (char *)placeholder;
    request.subject_id = (char *)"bench";
    request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
    request.location = &location;
    return envelope_request(panic__v1__panic_service__descriptor.name, "CreatePanic", &request.base,
                            TIMEOUT_MS);
}

static nng_msg *get_request(void)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)placeholder;
    return envelope_request(panic__v1__panic_service__descriptor.name, "GetPanic", &request.base, TIMEOUT_MS);
}

void frame_prepare(struct frame *frame, enum frame_kind kind)
{
    assert(kind != FRAME_RAW);
    nng_msg *msg = kind == FRAME_CREATE ? create_request() : get_request();
    assert(msg != NULL && nng_msg_len(msg) <= FRAME_REQUEST_MAX);
    *frame = (struct frame){.kind = kind, .length = nng_msg_len(msg)};
    memcpy(frame->request, nng_msg_body(msg), frame->length);
    nng_msg_free(msg);
    const uint8_t *id = memmem(frame->request, frame->length, placeholder, BENCH_ID_LENGTH);
    assert(id != NULL);
    frame->id_at = (size_t)(id - frame->request);
}

bool frame_prepare_raw(struct frame *frame, size_t request_length, size_t answer_length)
{
    const size_t least = 2 + BENCH_ID_LENGTH;
    if (request_length < least || request_length > FRAME_REQUEST_MAX || answer_length < least ||
        answer_length > UINT16_MAX) {
        return false;
    }
    *frame = (struct frame){
        .kind = FRAME_RAW, .length = request_length, .id_at = 2, .answer_length = answer_length};
    memset(frame->request, 'x', request_length);
    frame->request[0] = (uint8_t)(answer_length >> 8);
    frame->request[1] = (uint8_t)answer_length;
    return true;
}

void frame_write(const struct frame *frame, const char *id, uint8_t *to)
{
    memcpy(to, frame->request, frame->length);
    memcpy(to + frame->id_at, id, BENCH_ID_LENGTH);
}

/* Behind a varint; `end` when there is no end to it. */
static const uint8_t *skip_varint(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at & 0x80) != 0) {
        at++;
    }
    return at < end ? at + 1 : end;
}

static enum status check_answer(const uint8_t *at, const uint8_t *end, const char *id)
{
    if (at + 1 < end && at[0] == TAG_CODE && at[1] > STATUS_OK && at[1] < STATUS_COUNT) {
        return (enum status)at[1];
    }
    static const uint8_t tags[] = {TAG_PAYLOAD, TAG_FIRST_FIELD, TAG_FIRST_FIELD};
    for (size_t i = 0; i < sizeof(tags); i++) {
        if (at == end || *at != tags[i]) {
            return STATUS_DATA_LOSS;
        }
        at = skip_varint(at + 1, end);
    }
    bool same = end - at > BENCH_ID_LENGTH && memcmp(at, id, BENCH_ID_LENGTH) == 0;
    return same ? STATUS_OK : STATUS_DATA_LOSS;
}

enum status frame_check(const struct frame *frame, const uint8_t *answer, size_t length, const char *id)
{
    if (frame->kind != FRAME_RAW) {
        return check_answer(answer, answer + length, id);
    }
    bool same = length == frame->answer_length && memcmp(answer + frame->id_at, id, BENCH_ID_LENGTH) == 0;
    return same ? STATUS_OK : STATUS_DATA_LOSS;
}
