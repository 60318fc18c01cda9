/*
 * A panicd of each test's own, a client that is connected to it over ipc, and an arena for what the client
 * is answered. In the list of a group's tests:
 *
 *     FIXTURE_TEST(test_nearest_responder_gets_the_panic),
 *
 * and *state is a struct fixture. A file that needs more has a set-up of its own, which calls these.
 */
#ifndef HARNESS_FIXTURE_H
#define HARNESS_FIXTURE_H

#include "base/arena.h"
#include "harness/calls.h"
#include "harness/panicd.h"

struct fixture {
    struct panicd *panicd;
    struct panic_client *client;
    struct arena arena;
};

void fixture_init(struct fixture *fixture);
/* Ends the panicd, which must exit with 0. */
void fixture_release(struct fixture *fixture);

int fixture_set_up(void **state);
int fixture_tear_down(void **state);

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

#endif
