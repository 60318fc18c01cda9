/*
 * Calls that a test expects to succeed, one line each: they fail the test otherwise. Waiting is by asking
 * again until the answer is the one expected, for at most HARNESS_PATIENCE_US.
 */
#ifndef HARNESS_CALLS_H
#define HARNESS_CALLS_H

#include "base/arena.h"
#include "c/panic_client.h"

struct panic_client *calls_connect(const char *url);

/* A panic at -33.9, 18.4. `id` NULL = a new one. */
const Panic__V1__Panic *calls_create(struct panic_client *client, struct arena *arena, const char *id);
const Panic__V1__Panic *calls_get(struct panic_client *client, struct arena *arena, const char *id);
const Panic__V1__Panic *calls_resolve(struct panic_client *client, struct arena *arena, const char *id,
                                      const char *outcome);
void calls_put_responder(struct panic_client *client, const char *id, double lat, double lng);

/* Every stored panic in the order of ids, which must rise from each to the next: none is there twice. */
size_t calls_each_panic(struct panic_client *client, void (*visit)(void *ctx, const Panic__V1__Panic *panic),
                        void *ctx);

/* Waits until no panic is PROCESSING any more. Returns the µs. */
int64_t calls_wait_all_dispatched(struct panic_client *client);

/*
 * Fails the test unless every panic is ACTIVE, each with a responder of its own, and the responders say the
 * same. Returns how many there are.
 */
size_t calls_expect_all_active(struct panic_client *client);

const Panic__V1__Panic *calls_wait_active(struct panic_client *client, struct arena *arena, const char *id);
const Panic__V1__Panic *calls_wait_stage(struct panic_client *client, struct arena *arena, const char *id,
                                         Panic__V1__PanicStage stage);

#endif
