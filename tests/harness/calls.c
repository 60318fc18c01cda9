#include "harness/calls.h"

#include "harness/panicd.h"
#include "harness/test.h"

static void expect_ok(enum status status, const struct diag *diag, const char *what)
{
    if (status != STATUS_OK) {
        fail_msg("%s: %s: %s", what, status_name(status), diag->text);
    }
}

struct panic_client *calls_connect(const char *url)
{
    struct panic_client *client = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_open(url, &client, &diag), &diag, url);
    return client;
}

const Panic__V1__Panic *calls_create(struct panic_client *client, struct arena *arena, const char *id)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.location = &location;
    if (id != NULL) {
        request.id = (char *)id;
    }
    const Panic__V1__CreatePanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_create(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag,
              "create");
    return response->panic;
}

const Panic__V1__Panic *calls_get(struct panic_client *client, struct arena *arena, const char *id)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)id;
    const Panic__V1__GetPanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_get(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag, "get");
    return response->panic;
}

const Panic__V1__Panic *calls_resolve(struct panic_client *client, struct arena *arena, const char *id,
                                      const char *outcome)
{
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)id;
    request.outcome = (char *)outcome;
    const Panic__V1__ResolvePanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_resolve(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag,
              "resolve");
    return response->panic;
}

void calls_put_responder(struct panic_client *client, const char *id, double lat, double lng)
{
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = lat;
    location.lng = lng;
    responder.id = (char *)id;
    responder.location = &location;
    request.responder = &responder;
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);
    const Panic__V1__PutResponderResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_put_responder(client, &request, HARNESS_PATIENCE_US, &arena, &response, &diag),
              &diag, "put responder");
    arena_reset(&arena);
}

const Panic__V1__Panic *calls_wait_stage(struct panic_client *client, struct arena *arena, const char *id,
                                         Panic__V1__PanicStage stage)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    struct arena scratch;
    arena_init(&scratch, NULL, 0, 1024 * 1024);
    while (calls_get(client, &scratch, id)->stage != stage) {
        if (monotonic_us() > give_up_us) {
            fail_msg("panic %s did not come to stage %d", id, (int)stage);
        }
        arena_reset(&scratch);
    }
    arena_reset(&scratch);
    return calls_get(client, arena, id);
}

const Panic__V1__Panic *calls_wait_active(struct panic_client *client, struct arena *arena, const char *id)
{
    return calls_wait_stage(client, arena, id, PANIC__V1__PANIC_STAGE__PANIC_STAGE_ACCEPTED);
}
