/*
 * The C client of panicd.
 *
 *     struct panic_client *client;
 *     struct diag why;
 *     if (panic_client_open("tcp://127.0.0.1:7070", &client, &why) != STATUS_OK) …
 *     Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
 *     request.subject_id = "user-7";
 *     const Panic__V1__CreatePanicResponse *response;
 *     enum status status = panic_client_create(client, &request, 10 * US_PER_S, &arena, &response, &why);
 *
 * Every call repeats itself with backoff until it has an answer or its time is over. That is safe: reads
 * change nothing, and a create without an id is given one first, so that all its repeats are the same panic.
 *
 * Statuses: those of the server; UNAVAILABLE or DEADLINE_EXCEEDED when there was no answer in time (a create
 * may then have been stored or not: call again with the same id). diag says it in words. Responses live in
 * the caller's arena.
 *
 * Threads: a client may be used by any number of threads at once, each with its own arena.
 */
#ifndef CLIENTS_C_PANIC_CLIENT_H
#define CLIENTS_C_PANIC_CLIENT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/status.h"
#include "health/v1/health.pb-c.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"

struct panic_client;

/* `url` as panicd's --listen. Does not wait for the connection. The caller owns *ret_client. */
MUST_USE enum status panic_client_open(const char *url, struct panic_client **ret_client, struct diag *diag);

/* The same for tls+tcp://, with the authorities (PEM file) that the server's certificate is checked against.
 */
MUST_USE enum status panic_client_open_tls(const char *url, const char *ca_file,
                                           struct panic_client **ret_client, struct diag *diag);

/* NULL is fine. No call may be under way. */
void panic_client_close(struct panic_client *client);

/* Fills in request->id (in the arena) when it is empty, so that the caller can ask for the panic even if this
 * fails. */
MUST_USE enum status panic_client_create(struct panic_client *client, Panic__V1__CreatePanicRequest *request,
                                         int64_t timeout_us, struct arena *arena,
                                         const Panic__V1__CreatePanicResponse **ret_response,
                                         struct diag *diag);

MUST_USE enum status panic_client_get(struct panic_client *client, const Panic__V1__GetPanicRequest *request,
                                      int64_t timeout_us, struct arena *arena,
                                      const Panic__V1__GetPanicResponse **ret_response, struct diag *diag);

MUST_USE enum status panic_client_list(struct panic_client *client,
                                       const Panic__V1__ListPanicsRequest *request, int64_t timeout_us,
                                       struct arena *arena,
                                       const Panic__V1__ListPanicsResponse **ret_response, struct diag *diag);

/* With wait_ms in the request, timeout_us is to be longer than that. */
MUST_USE enum status panic_client_list_events(struct panic_client *client,
                                              const Panic__V1__ListEventsRequest *request, int64_t timeout_us,
                                              struct arena *arena,
                                              const Panic__V1__ListEventsResponse **ret_response,
                                              struct diag *diag);

MUST_USE enum status panic_client_resolve(struct panic_client *client,
                                          const Panic__V1__ResolvePanicRequest *request, int64_t timeout_us,
                                          struct arena *arena,
                                          const Panic__V1__ResolvePanicResponse **ret_response,
                                          struct diag *diag);

MUST_USE enum status panic_client_put_responder(struct panic_client *client,
                                                const Panic__V1__PutResponderRequest *request,
                                                int64_t timeout_us, struct arena *arena,
                                                const Panic__V1__PutResponderResponse **ret_response,
                                                struct diag *diag);

MUST_USE enum status panic_client_list_responders(struct panic_client *client,
                                                  const Panic__V1__ListRespondersRequest *request,
                                                  int64_t timeout_us, struct arena *arena,
                                                  const Panic__V1__ListRespondersResponse **ret_response,
                                                  struct diag *diag);

MUST_USE enum status panic_client_check(struct panic_client *client, const Health__V1__CheckRequest *request,
                                        int64_t timeout_us, struct arena *arena,
                                        const Health__V1__CheckResponse **ret_response, struct diag *diag);

#endif
