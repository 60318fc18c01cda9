/*
 * A store for each test, of either kind, and short words for what the tests do with one: make panics and
 * responders, apply one op, look at what is stored.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "harness/test.h"

#include "store/store.h"

struct fixture {
    struct store *store;
    struct arena arena;
    /* A folder of the test's own, removed at the end; empty for memory. */
    char folder[64];
    char path[128];
    char url[160];
};

/* cmocka setup and teardown; *state is the fixture. */
int setup_memory(void **state);
int setup_sqlite(void **state);
/* Only the folder, path and URL of a SQLite store; nothing is open. */
int setup_folder(void **state);
int teardown(void **state);
/* For a test that may have mounted a disk of its own over the folder. */
int unmount_and_teardown(void **state);

/* Closes what is open and opens the fixture's URL. */
void fixture_reopen(struct fixture *fixture);

#define FOR_EACH_STORE(test)                                                                                 \
    {#test " (memory)", test, setup_memory, teardown, NULL},                                                 \
    {                                                                                                        \
#test " (sqlite)", test, setup_sqlite, teardown, NULL                                                \
    }

/* Id number n: ids sort as their numbers. */
struct id id_of(unsigned n);

/*
 * An open panic of tenant "acme", created at n seconds, due at n + 2 seconds, with a content of its own for
 * each n.
 */
struct store_panic panic_of(unsigned n);
struct store_responder responder_of(const char *id);

/* Ops for the fixture's arena. */
struct store_op create_op(struct fixture *fixture, const struct store_panic *panic);
struct store_op update_op(const struct store_panic *panic, const struct store_event *event);
struct store_op put_op(struct fixture *fixture, const struct store_responder *responder);

/* Apply one op; its outcome. The batch itself must be OK. */
enum status create(struct fixture *fixture, const struct store_panic *panic);
enum status update(struct fixture *fixture, const struct store_panic *panic);
enum status put(struct fixture *fixture, const struct store_responder *responder);

/* Creates panics 1 to n in one batch, the last one first: the order of creation must not matter. */
void create_many(struct fixture *fixture, unsigned n);

/* The stored panic, which must exist. */
struct store_panic stored(struct fixture *fixture, const struct id *id);

/* The next version of a panic: bound to the responder (NULL = to none). */
struct store_panic bound_next(const struct store_panic *panic, const char *responder_id);

void assert_panic_equal(const struct store_panic *a, const struct store_panic *b);

#endif
