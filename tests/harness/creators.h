/*
 * Threads that create panics as fast as they are answered. Each keeps a log: the id before the first attempt
 * is sent, and that it was acknowledged after the answer. An attempt without an answer is repeated with the
 * same id and content until there is one, across restarts of panicd.
 *
 * Rules that every answer is held against: it is durable, has the id and content that were sent, and the
 * first attempt is never told that it was a repeat. Any status but OK, UNAVAILABLE and DEADLINE_EXCEEDED
 * breaks them, above all ALREADY_EXISTS.
 */
#ifndef HARNESS_CREATORS_H
#define HARNESS_CREATORS_H

#include <stdbool.h>
#include <stddef.h>

#include "c/panic_client.h"

struct creators_config {
    /* Each is one connection; the threads take them in turn. */
    const char *const *urls;
    size_t n_urls;
    unsigned threads;
    /* Creates of one thread at most. */
    size_t each_max;
};

struct creators_totals {
    /* Ids that were sent at least once. */
    size_t sent;
    size_t acknowledged;
    /* Attempts that ended without an answer, or were refused because panicd was stopping. */
    size_t unanswered;
    size_t refused;
    /* Acknowledged as a repeat of an attempt that had no answer. */
    size_t replayed;
};

struct creators;

struct creators *creators_start(const struct creators_config *config);

/* From now on the threads rest while this many are acknowledged in all. No limit until then. */
void creators_allow(struct creators *creators, size_t acknowledged);

/* Waits until this many are acknowledged in all. Fails the test when that takes too long or a rule is broken.
 */
void creators_wait(struct creators *creators, size_t acknowledged);

/*
 * No new creates; those under way are repeated until they are answered (`finish`), or given up when their
 * attempt ends. Returns when all threads have ended. Fails the test if a rule was broken.
 */
void creators_stop(struct creators *creators, bool finish);

struct creators_totals creators_totals(struct creators *creators);

/*
 * Lists every panic and fails the test unless each one was sent by these creators and is as it was sent, none
 * is there twice, and each one that was acknowledged before this call is there. Returns how many there are.
 */
size_t creators_check(struct creators *creators, struct panic_client *client);

/* After creators_stop. NULL is fine. */
void creators_free(struct creators *creators);

#endif
