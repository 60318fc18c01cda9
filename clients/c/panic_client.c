#include "c/panic_client.h"

#include <stdlib.h>

#include "base/id.h"
#include "rpc/channel.h"

/* Enough for an application; a thread more than this waits for its turn in the retry of
 * rpc_channel_call_wait. */
#define CONTEXTS 64

struct panic_client {
    struct rpc_channel *channel;
};

enum status panic_client_open(const char *url, struct panic_client **ret_client, struct diag *diag)
{
    return panic_client_open_tls(url, NULL, ret_client, diag);
}

enum status panic_client_open_tls(const char *url, const char *ca_file, struct panic_client **ret_client,
                                  struct diag *diag)
{
    struct panic_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "out of memory");
    }
    const struct rpc_channel_config config = {.url = url, .contexts = CONTEXTS, .tls_ca_file = ca_file};
    enum status status = rpc_channel_open(&config, &client->channel, diag);
    if (status != STATUS_OK) {
        free(client);
        return status;
    }
    *ret_client = client;
    return STATUS_OK;
}

void panic_client_close(struct panic_client *client)
{
    if (client != NULL) {
        rpc_channel_close(client->channel);
        free(client);
    }
}

/* Every method may be repeated: creates carry their id, the others are reads or set a state. */
static enum status call(struct panic_client *client, const ProtobufCServiceDescriptor *service,
                        const char *method, const ProtobufCMessage *request, int64_t timeout_us,
                        struct arena *arena, const ProtobufCMessage **ret_response, struct diag *diag)
{
    return rpc_channel_call_wait(client->channel, service, method, request, timeout_us, true, arena,
                                 ret_response, diag);
}

enum status panic_client_create(struct panic_client *client, Panic__V1__CreatePanicRequest *request,
                                int64_t timeout_us, struct arena *arena,
                                const Panic__V1__CreatePanicResponse **ret_response, struct diag *diag)
{
    if (request->id[0] == 0) {
        struct id id = id_new_v7(clock_wall_us(clock_system()));
        char *text = arena_alloc(arena, ID_TEXT_SIZE);
        if (text == NULL) {
            return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "the caller's arena is full");
        }
        request->id = (char *)id_format(&id, text);
    }
    return call(client, &panic__v1__panic_service__descriptor, "CreatePanic", &request->base, timeout_us,
                arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_get(struct panic_client *client, const Panic__V1__GetPanicRequest *request,
                             int64_t timeout_us, struct arena *arena,
                             const Panic__V1__GetPanicResponse **ret_response, struct diag *diag)
{
    return call(client, &panic__v1__panic_service__descriptor, "GetPanic", &request->base, timeout_us, arena,
                (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_list(struct panic_client *client, const Panic__V1__ListPanicsRequest *request,
                              int64_t timeout_us, struct arena *arena,
                              const Panic__V1__ListPanicsResponse **ret_response, struct diag *diag)
{
    return call(client, &panic__v1__panic_service__descriptor, "ListPanics", &request->base, timeout_us,
                arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_list_events(struct panic_client *client, const Panic__V1__ListEventsRequest *request,
                                     int64_t timeout_us, struct arena *arena,
                                     const Panic__V1__ListEventsResponse **ret_response, struct diag *diag)
{
    return call(client, &panic__v1__panic_service__descriptor, "ListEvents", &request->base, timeout_us,
                arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_resolve(struct panic_client *client, const Panic__V1__ResolvePanicRequest *request,
                                 int64_t timeout_us, struct arena *arena,
                                 const Panic__V1__ResolvePanicResponse **ret_response, struct diag *diag)
{
    return call(client, &panic__v1__panic_service__descriptor, "ResolvePanic", &request->base, timeout_us,
                arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_put_responder(struct panic_client *client,
                                       const Panic__V1__PutResponderRequest *request, int64_t timeout_us,
                                       struct arena *arena,
                                       const Panic__V1__PutResponderResponse **ret_response,
                                       struct diag *diag)
{
    return call(client, &panic__v1__dispatch_service__descriptor, "PutResponder", &request->base, timeout_us,
                arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_list_responders(struct panic_client *client,
                                         const Panic__V1__ListRespondersRequest *request, int64_t timeout_us,
                                         struct arena *arena,
                                         const Panic__V1__ListRespondersResponse **ret_response,
                                         struct diag *diag)
{
    return call(client, &panic__v1__dispatch_service__descriptor, "ListResponders", &request->base,
                timeout_us, arena, (const ProtobufCMessage **)ret_response, diag);
}

enum status panic_client_check(struct panic_client *client, const Health__V1__CheckRequest *request,
                               int64_t timeout_us, struct arena *arena,
                               const Health__V1__CheckResponse **ret_response, struct diag *diag)
{
    return call(client, &health__v1__health_service__descriptor, "Check", &request->base, timeout_us, arena,
                (const ProtobufCMessage **)ret_response, diag);
}
