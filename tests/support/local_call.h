/*
 * RPC calls without a network: a transport that keeps the answer until the test fetches it.
 *
 * When a call is answered its arena is emptied at once, so that a handler which touches the call after that
 * is caught by AddressSanitizer. A second answer, or none, fails the test.
 */
#ifndef SUPPORT_LOCAL_CALL_H
#define SUPPORT_LOCAL_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "rpc/router.h"

struct local_call;

/* Sends a request to a method by its full path. The tenant must outlive the call. Any thread. */
struct local_call *local_call_start(const struct rpc_router *router, const char *tenant, const char *path,
                                    const ProtobufCMessage *request);

/* The same with the payload as bytes, memory for the call, and a deadline in monotonic µs (0 = none). */
struct local_call *local_call_start_raw(const struct rpc_router *router, const char *tenant, const char *path,
                                        const uint8_t *payload, size_t length, size_t arena_max,
                                        int64_t deadline_us);

/*
 * From now on until it is let go the thread that answers the call waits, after the answer is kept and before
 * it goes on. Before the call is answered.
 */
void local_call_stall(struct local_call *call);
void local_call_let_go(struct local_call *call);

bool local_call_is_answered(struct local_call *call);

/* Waits for the answer; a call that gets none fails the test. Only from the test's own thread. */
enum status local_call_wait(struct local_call *call);

/* The same for other threads: false when there is none in time. */
MUST_USE bool local_call_await(struct local_call *call, enum status *ret_status);

/* Of the answered call; all owned by it. The message is NULL unless the status is OK. */
const ProtobufCMessage *local_call_response(const struct local_call *call);
const char *local_call_message(const struct local_call *call);
/* NULL when there is none. */
const char *local_call_trailer(const struct local_call *call, const char *name);

/* The call must have been answered. */
void local_call_free(struct local_call *call);

#endif
