/*
 * The id that an Idempotency-Key stands for is a UUID of version 5 (RFC 9562, section 5.5) over tenant and
 * key, so that the same key means the same panic for ever, on every server, and another tenant's keys mean
 * others.
 */
#include "shim/panic_routes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uuid/uuid.h>

#include "base/id.h"
#include "json/json.h"
#include "json/numbers.h"
#include "json/writer.h"
#include "panic/v1/panic_service.pb-c.h"
#include "shim/body.h"
#include "shim/media_type.h"
#include "shim/peek.h"

#define KEY_LENGTH_MAX 255

/* ---- requests ---- */

static enum status id_of_key(struct exchange *exchange, const char *key, char **ret_id, struct diag *diag)
{
    static const uuid_t name_space = {0x5b, 0x1f, 0x3c, 0x0e, 0x6a, 0x9d, 0x4e, 0x27,
                                      0x8c, 0x41, 0x9f, 0x0d, 0x72, 0xe8, 0x55, 0xb3};
    if (key[0] == 0 || strlen(key) > KEY_LENGTH_MAX) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "Idempotency-Key: expected 1 to %d characters",
                         KEY_LENGTH_MAX);
    }
    struct arena *arena = &exchange->call.arena;
    const char *tenant = exchange->call.identity.tenant;
    char *name = arena_printf(arena, "%s\n%s", tenant, key);
    struct id id;
    char text[ID_TEXT_SIZE];
    if (name != NULL) {
        uuid_generate_sha1(id.bytes, name_space, name, strlen(name));
        *ret_id = arena_copy(arena, id_format(&id, text), ID_TEXT_SIZE - 1);
    }
    return name != NULL && *ret_id != NULL ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

/* The body is JSON; fails the call otherwise. */
static bool check_type(struct exchange *exchange, const struct request *request)
{
    enum media_type type = media_type_of(request_header(request, "Content-Type"));
    if (type != MEDIA_JSON && type != MEDIA_NONE) {
        answer_add_header(&exchange->answer, "Accept-Post", "application/json");
        exchange_fail(exchange, 415, STATUS_INVALID_ARGUMENT, "Content-Type: expected application/json");
        return false;
    }
    return true;
}

static void begin_create(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct rpc_call *call = &exchange->call;
    struct json_text body;
    if (!check_type(exchange, request) || !body_take(exchange, request, &body)) {
        return;
    }
    ProtobufCMessage *message = NULL;
    struct diag diag = {.text = "needs more memory than a call may use"};
    enum status status = exchange_parse(exchange, method, body, &message, &diag);
    const char *key = request_header(request, "Idempotency-Key");
    Panic__V1__CreatePanicRequest *create = (Panic__V1__CreatePanicRequest *)message;
    if (status == STATUS_OK && key != NULL && create->id[0] == 0) {
        status = id_of_key(exchange, key, &create->id, &diag);
    }
    if (status != STATUS_OK) {
        rpc_call_fail(call, status, "%s", diag.text);
        return;
    }
    exchange_invoke(exchange, method, message);
}

static void begin_get(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct rpc_call *call = &exchange->call;
    const char *text = strrchr(request->path, '/') + 1;
    struct id id;
    Panic__V1__GetPanicRequest *get = arena_alloc(&call->arena, sizeof(*get));
    if (get == NULL) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
        return;
    }
    if (id_parse(text, &id) != STATUS_OK) {
        /* In a path this is no malformed field, but a place where nothing is. */
        rpc_call_fail(call, STATUS_NOT_FOUND, "Panic not found");
        return;
    }
    panic__v1__get_panic_request__init(get);
    get->id = arena_copy(&call->arena, text, strlen(text));
    if (get->id == NULL) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
        return;
    }
    exchange_invoke(exchange, method, &get->base);
}

/* ---- answers ---- */

static void put_key(struct writer *writer, const char *key)
{
    writer_key(writer, key, strlen(key));
}

static void put_text(struct writer *writer, const char *key, const char *text)
{
    put_key(writer, key);
    writer_string(writer, text, strlen(text));
}

static void put_number(struct writer *writer, const char *key, double value)
{
    char text[NUMBER_TEXT_SIZE];
    size_t length = number_print_double(value, text);
    put_key(writer, key);
    writer_raw(writer, text, length);
}

static void put_epoch_ms(struct writer *writer, const char *key, const Google__Protobuf__Timestamp *time)
{
    char text[24];
    int64_t ms = time != NULL ? time->seconds * 1000 + time->nanos / 1000000 : 0;
    int length = snprintf(text, sizeof(text), "%" PRId64, ms);
    put_key(writer, key);
    writer_raw(writer, text, (size_t)length);
}

static const char *status_text(Panic__V1__PanicStatus status)
{
    switch (status) {
    case PANIC__V1__PANIC_STATUS__PANIC_STATUS_ACTIVE:
        return "active";
    case PANIC__V1__PANIC_STATUS__PANIC_STATUS_RESOLVED:
        return "resolved";
    default:
        return "processing";
    }
}

static void put_location(struct writer *writer, const Panic__V1__Location *location)
{
    put_key(writer, "location");
    if (location == NULL || !isfinite(location->lat) || !isfinite(location->lng)) {
        writer_raw(writer, "null", 4);
        return;
    }
    writer_open(writer, '{');
    put_number(writer, "lat", location->lat);
    put_number(writer, "lng", location->lng);
    writer_close(writer, '}');
}

static void put_assignment(struct writer *writer, const Panic__V1__Assignment *assignment)
{
    put_text(writer, "responder", assignment->responder_id);
    put_epoch_ms(writer, "dispatchedAt", assignment->assign_time);
}

/* The creator's facts, each printed as what it is (null for what JSON cannot say, a number that is none), and
 * ours, which win over theirs of the same name. */
static void put_metadata(struct exchange *exchange, struct writer *writer, const Panic__V1__Panic *panic)
{
    const Google__Protobuf__Struct *metadata = panic->metadata;
    put_key(writer, "metadata");
    writer_open(writer, '{');
    for (size_t i = 0; metadata != NULL && i < metadata->n_fields; i++) {
        const Google__Protobuf__Struct__FieldsEntry *entry = metadata->fields[i];
        bool is_ours = strcmp(entry->key, "responder") == 0 || strcmp(entry->key, "dispatchedAt") == 0;
        if (panic->assignment != NULL && is_ours) {
            continue;
        }
        struct json_text value = {"null", 4};
        if (entry->value != NULL && json_print(&entry->value->base, NULL, &exchange->answer_arena, &value) ==
                                        STATUS_RESOURCE_EXHAUSTED) {
            writer_fail(writer, STATUS_RESOURCE_EXHAUSTED);
        }
        put_key(writer, entry->key);
        writer_raw(writer, value.data, value.length);
    }
    if (panic->assignment != NULL) {
        put_assignment(writer, panic->assignment);
    }
    writer_close(writer, '}');
}

static void put_warnings(struct writer *writer, char *const *warnings, size_t n)
{
    if (n == 0) {
        return;
    }
    put_key(writer, "warnings");
    writer_open(writer, '[');
    for (size_t i = 0; i < n; i++) {
        writer_element(writer);
        writer_string(writer, warnings[i], strlen(warnings[i]));
    }
    writer_close(writer, ']');
}

static void open_panic(struct exchange *exchange, struct writer *writer, const Panic__V1__Panic *panic)
{
    writer_init(writer, &exchange->answer_arena, false);
    writer_open(writer, '{');
    put_text(writer, "id", panic->id);
    put_epoch_ms(writer, "timestamp", panic->create_time);
    put_text(writer, "status", status_text(panic->status));
    put_location(writer, panic->location);
    put_metadata(exchange, writer, panic);
}

static enum status render_created(struct exchange *exchange, const struct rpc_response *rpc_response)
{
    const Panic__V1__CreatePanicResponse *response =
        (const Panic__V1__CreatePanicResponse *)rpc_response_message(rpc_response, &exchange->call);
    if (response == NULL || response->panic == NULL) {
        return response == NULL ? STATUS_RESOURCE_EXHAUSTED : STATUS_INTERNAL;
    }
    struct writer writer;
    open_panic(exchange, &writer, response->panic);
    put_warnings(&writer, response->warnings, response->n_warnings);
    writer_close(&writer, '}');
    answer_body(&exchange->answer, 202, "application/json", writer.text, writer.length);
    const char *location = arena_printf(&exchange->answer_arena, "/panic/%s", response->panic->id);
    if (location != NULL) {
        answer_add_header(&exchange->answer, "Location", location);
    }
    if (response->replayed) {
        answer_add_header(&exchange->answer, "Idempotent-Replayed", "true");
    }
    return writer.status;
}

/* By the field numbers of panic/v1/panic.proto. */
enum { RESPONSE_PANIC = 1, PANIC_ID = 1, PANIC_CREATE_TIME = 6, TIME_SECONDS = 1, TIME_NANOS = 2 };

/* What tells a panic from others, without the content, which the caller knows. */
struct created {
    struct peek id;
    Google__Protobuf__Timestamp time;
};

static struct created created_of(const struct rpc_response *response)
{
    struct created created = {.time = GOOGLE__PROTOBUF__TIMESTAMP__INIT};
    if (response->message != NULL) {
        const Panic__V1__Panic *panic = ((const Panic__V1__CreatePanicResponse *)response->message)->panic;
        created.id = (struct peek){(const uint8_t *)panic->id, strlen(panic->id)};
        created.time = panic->create_time != NULL ? *panic->create_time : created.time;
        return created;
    }
    struct peek panic = peek_bytes((struct peek){response->packed, response->size}, RESPONSE_PANIC);
    struct peek time = peek_bytes(panic, PANIC_CREATE_TIME);
    created.id = peek_bytes(panic, PANIC_ID);
    created.time.seconds = (int64_t)peek_number(time, TIME_SECONDS);
    created.time.nanos = (int32_t)peek_number(time, TIME_NANOS);
    return created;
}

static enum status render_created_short(struct exchange *exchange, const struct rpc_response *response)
{
    static const char *const warning =
        "memory is short: location and metadata are stored, and not shown here";
    struct created created = created_of(response);
    struct writer writer;
    if (created.id.length != ID_TEXT_SIZE - 1) {
        return STATUS_INTERNAL;
    }
    writer_init(&writer, &exchange->answer_arena, false);
    writer_open(&writer, '{');
    put_key(&writer, "id");
    writer_string(&writer, (const char *)created.id.data, created.id.length);
    put_epoch_ms(&writer, "timestamp", &created.time);
    put_text(&writer, "status", status_text(PANIC__V1__PANIC_STATUS__PANIC_STATUS_PROCESSING));
    put_location(&writer, NULL);
    put_key(&writer, "metadata");
    writer_raw(&writer, "{}", 2);
    put_warnings(&writer, (char *const[]){(char *)warning}, 1);
    writer_close(&writer, '}');
    answer_body(&exchange->answer, 202, "application/json", writer.text, writer.length);
    return writer.status;
}

static enum status render_panic(struct exchange *exchange, const struct rpc_response *rpc_response)
{
    const Panic__V1__GetPanicResponse *response =
        (const Panic__V1__GetPanicResponse *)rpc_response_message(rpc_response, &exchange->call);
    if (response == NULL || response->panic == NULL) {
        return response == NULL ? STATUS_RESOURCE_EXHAUSTED : STATUS_INTERNAL;
    }
    struct writer writer;
    open_panic(exchange, &writer, response->panic);
    writer_close(&writer, '}');
    answer_body(&exchange->answer, 200, "application/json", writer.text, writer.length);
    return writer.status;
}

const struct exchange_kind panic_routes_create = {.begin = begin_create,
                                                  .render = render_created,
                                                  .render_short = render_created_short,
                                                  .style = ERROR_PLAIN};
const struct exchange_kind panic_routes_get = {
    .begin = begin_get, .render = render_panic, .style = ERROR_PLAIN};
