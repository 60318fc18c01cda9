/*
 * The handlers of DispatchService: responders are stored like panics, through the intake, and known to the
 * roster once they are durable.
 */
#include <math.h>
#include <string.h>

#include "panic/content.h"
#include "panic/geo.h"
#include "panic/service_internal.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/view.h"
#include "rpc/alloc.h"

/* The times that timestamp.proto defines, in seconds since 1970. */
#define TIME_MIN_S (-62135596800LL)
#define TIME_MAX_S 253402300799LL

/* ---- put ---- */

struct put {
    struct intake_write write;
    struct service *service;
    struct store_responder row;
    enum status rostered;
};

/* A responder message from a stored row: what the caller put, and what the store knows. NULL when the arena
 * is full. */
static Panic__V1__Responder *responder_view(const struct store_responder *row, struct arena *arena)
{
    ProtobufCAllocator allocator = rpc_arena_allocator(arena);
    Panic__V1__Responder *responder =
        panic__v1__responder__unpack(&allocator, row->content.length, row->content.data);
    if (responder == NULL) {
        return NULL;
    }
    responder->update_time = view_time(row->update_time_us, arena);
    if (responder->update_time == NULL || id_is_nil(&row->panic_id)) {
        return responder->update_time != NULL ? responder : NULL;
    }
    char *id = arena_alloc(arena, ID_TEXT_SIZE);
    if (id == NULL) {
        return NULL;
    }
    responder->panic_id = (char *)id_format(&row->panic_id, id);
    return responder;
}

/* In the order of the commits, so that the roster ends up with what is stored. */
static void put_committed(void *ctx, struct intake_write *write)
{
    struct put *put = ctx;
    if (write->op.outcome == STATUS_OK) {
        put->rostered = roster_put(put->service->roster, &write->op.existing_responder);
    }
}

static void put_done(void *ctx, struct intake_write *write)
{
    struct put *put = ctx;
    struct rpc_call *call = write->call;
    const struct store_op *op = &write->op;
    if (write->status != STATUS_OK || op->outcome != STATUS_OK) {
        service_fail(call, write->status != STATUS_OK ? write->status : op->outcome);
        return;
    }
    Panic__V1__PutResponderResponse response = PANIC__V1__PUT_RESPONDER_RESPONSE__INIT;
    response.responder = responder_view(&op->existing_responder, &call->arena);
    if (put->rostered != STATUS_OK || response.responder == NULL) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED,
                      "the responder is stored, but memory is short; send the request again");
        return;
    }
    dispatch_responder_freed(put->service->dispatch);
    rpc_call_reply(call, &response.base);
}

static enum status check_responder_id(const char *id, struct diag *diag)
{
    size_t length = strlen(id);
    bool printable = true;
    for (size_t i = 0; i < length; i++) {
        printable = printable && id[i] > ' ' && id[i] <= '~';
    }
    if (length >= 1 && length <= STORE_RESPONDER_ID_MAX && printable) {
        return STATUS_OK;
    }
    return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                     "responder.id: expected 1 to %d printable ASCII characters without space, like unit-42",
                     STORE_RESPONDER_ID_MAX);
}

/* Another time has no form in JSON, and would make every list that the responder is in unreadable there. */
static bool is_time(const Google__Protobuf__Timestamp *time)
{
    return time->seconds >= TIME_MIN_S && time->seconds <= TIME_MAX_S && time->nanos >= 0 &&
           time->nanos < 1000000000;
}

static enum status check_place(const Panic__V1__Location *place, struct diag *diag)
{
    if (!geo_valid(place->lat, place->lng)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                         "responder.location: lat %g, lng %g is not within -90..90, -180..180", place->lat,
                         place->lng);
    }
    if (!isfinite(place->accuracy_m) || !isfinite(place->altitude_m) || place->accuracy_m < 0) {
        return diag_fail(
            diag, STATUS_INVALID_ARGUMENT,
            "responder.location: accuracy_m and altitude_m must be finite, accuracy_m not negative");
    }
    if (place->fix_time != NULL && !is_time(place->fix_time)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                         "responder.location.fix_time: not a time between the years 1 and 9999");
    }
    return STATUS_OK;
}

static enum status check_responder(const Panic__V1__Responder *responder, struct diag *diag)
{
    if (responder == NULL) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "responder: missing");
    }
    enum status status = check_responder_id(responder->id, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (protobuf_c_enum_descriptor_get_value(&panic__v1__responder_state__descriptor,
                                             (int)responder->state) == NULL) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "responder.state: %d is no state",
                         (int)responder->state);
    }
    return responder->location != NULL ? check_place(responder->location, diag) : STATUS_OK;
}

static void forget_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
}

/*
 * What the caller may say of a responder; what the server owns is left out, and what nobody knows, which
 * could be larger than a page of a list may be. Points into `responder`.
 */
static Panic__V1__Responder storable(const Panic__V1__Responder *responder)
{
    if (responder->location != NULL) {
        forget_unknown(&responder->location->base);
    }
    if (responder->location != NULL && responder->location->fix_time != NULL) {
        forget_unknown(&responder->location->fix_time->base);
    }
    Panic__V1__Responder stored = PANIC__V1__RESPONDER__INIT;
    stored.id = responder->id;
    stored.location = responder->location;
    stored.simulated = responder->simulated;
    stored.state = responder->state != PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_UNSPECIFIED
                       ? responder->state
                       : PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE;
    return stored;
}

static enum status prepare_put(struct put *put, const Panic__V1__Responder *responder)
{
    struct rpc_call *call = put->write.call;
    Panic__V1__Responder stored = storable(responder);
    uint8_t *packed = arena_alloc(&call->arena, panic__v1__responder__get_packed_size(&stored));
    if (packed == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    put->row = (struct store_responder){
        .tenant = call->identity.tenant,
        .id = stored.id,
        .state = (uint8_t)stored.state,
        .update_time_us = clock_wall_us(put->service->config.clock),
        .content = {.data = packed, .length = panic__v1__responder__pack(&stored, packed)},
    };
    if (stored.location != NULL) {
        put->row.location =
            (struct store_location){.known = true, .lat = stored.location->lat, .lng = stored.location->lng};
    }
    put->write.op =
        (struct store_op){.kind = STORE_PUT_RESPONDER, .responder = &put->row, .arena = &call->arena};
    return STATUS_OK;
}

static enum status check_roster(const struct service *service, const struct rpc_call *call,
                                const Panic__V1__Responder *responder, struct diag *diag)
{
    enum status status =
        roster_check_put(service->roster, call->identity.tenant, responder->id, responder->simulated);
    switch (status) {
    case STATUS_RESOURCE_EXHAUSTED:
        return diag_fail(
            diag, status,
            "responder.id: new, and there are %zu responders, the most there can be: it was not stored",
            service->config.responders_max);
    case STATUS_FAILED_PRECONDITION:
        return diag_fail(diag, status,
                         "responder.simulated: %s has a panic, and can only be made %s when that is resolved",
                         responder->id, responder->simulated ? "simulated" : "real");
    default:
        return status;
    }
}

void service_put_responder(void *ctx, struct rpc_call *call)
{
    const Panic__V1__PutResponderRequest *request = (const Panic__V1__PutResponderRequest *)call->request;
    struct service *service = ctx;
    struct diag diag;
    enum status status = check_responder(request->responder, &diag);
    if (status == STATUS_OK) {
        status = check_roster(service, call, request->responder, &diag);
    }
    if (status != STATUS_OK) {
        rpc_call_fail(call, status, "%s", diag.text);
        return;
    }
    struct put *put = arena_alloc_zero(&call->arena, sizeof(*put));
    if (put == NULL) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    put->service = service;
    put->write =
        (struct intake_write){.call = call, .committed = put_committed, .done = put_done, .ctx = put};
    status = prepare_put(put, request->responder);
    if (status != STATUS_OK) {
        service_fail(call, status);
        return;
    }
    intake_submit(put->service->intake, &put->write);
}

/* ---- list ---- */

static enum status read_page(struct service *service, struct rpc_call *call, size_t page,
                             struct arena *rows_arena, Panic__V1__ListRespondersResponse *ret_response)
{
    const Panic__V1__ListRespondersRequest *request = (const Panic__V1__ListRespondersRequest *)call->request;
    struct store_responder *rows = arena_alloc(&call->arena, page * sizeof(*rows));
    Panic__V1__Responder **responders = arena_alloc(&call->arena, page * sizeof(Panic__V1__Responder *));
    if (rows == NULL || responders == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    size_t n = 0;
    bool more = false;
    const char *after = request->page_token[0] != 0 ? request->page_token : NULL;
    enum status status = store_list_responders(service->config.store, call->identity.tenant, after, page,
                                               rows_arena, rows, &n, &more);
    if (status != STATUS_OK) {
        return status;
    }
    ret_response->responders = responders;
    size_t fit = 0;
    while (fit < n && (responders[fit] = responder_view(&rows[fit], &call->arena)) != NULL) {
        fit++;
    }
    if (fit == 0 && n > 0) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    ret_response->n_responders = fit;
    if (fit > 0 && (more || fit < n)) {
        ret_response->next_page_token = responders[fit - 1]->id;
    }
    return STATUS_OK;
}

static void list_from_store(struct service *service, struct rpc_call *call)
{
    const Panic__V1__ListRespondersRequest *request = (const Panic__V1__ListRespondersRequest *)call->request;
    Panic__V1__ListRespondersResponse response = PANIC__V1__LIST_RESPONDERS_RESPONSE__INIT;
    struct arena rows_arena;
    arena_init(&rows_arena, NULL, 0, SERVICE_ROWS_ARENA_MAX);
    enum status status =
        read_page(service, call, service_page_size(request->page_size), &rows_arena, &response);
    if (status == STATUS_OK) {
        rpc_call_reply(call, &response.base);
    } else {
        service_fail(call, status);
    }
    arena_reset(&rows_arena);
}

void service_list_responders(void *ctx, struct rpc_call *call)
{
    service_query_list(ctx, call, list_from_store);
}
