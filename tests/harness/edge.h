/*
 * A panicd behind its HTTP edge, shared by all tests of a group, and what such tests ask of it. As the
 * group's fixtures:
 *
 *     return cmocka_run_group_tests_name("http", tests, edge_set_up, edge_tear_down);
 *
 * There is one at a time, so there is nothing to hand around. What one test stores, the next ones find: a
 * test compares with what was there before, or looks only at panics of its own.
 */
#ifndef HARNESS_EDGE_H
#define HARNESS_EDGE_H

#include "harness/http_client.h"
#include "harness/panicd.h"

int edge_set_up(void **state);
int edge_tear_down(void **state);

/* For a set-up of the group's own: the same with further options, ended by NULL; none for NULL. */
void edge_start(const char *const *extra);

/* The one that runs; it stays edge_tear_down's to end. */
struct panicd *edge_panicd(void);

/* "http://127.0.0.1:PORT"; another port after a restart, in the same place. */
const char *edge_url(void);

/* POST /panic at any edge, that of a panic-shim, say: 202, or the test fails. The caller owns the JSON. */
json_t *edge_create(const char *url, const char *headers, const char *body);

/* Fails the test unless the answer is a binary GetPanicResponse with the panic of this id. Frees its body. */
void edge_expect_binary_panic(struct http_answer *answer, const char *id);

#endif
