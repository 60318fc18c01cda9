/* The vocabulary of json's tests: documents of json.test.v1.Everything in, documents and errors out. */
#ifndef TESTS_UNIT_JSON_EVERYTHING_H
#define TESTS_UNIT_JSON_EVERYTHING_H

#include "harness/test.h"

#include "json/json.h"
#include "test_messages.pb-c.h"

/* Makes the test messages known to json; a cmocka group setup. */
int setup_everything(void **state);
/* Gives back the memory of the last test; a cmocka teardown. */
int teardown_everything(void **state);

/* Memory of one test. */
extern struct arena test_arena;

/* The document as a message; the test fails when it is refused. */
Json__Test__V1__Everything *parse(const char *text);

/* The message as JSON; the test fails when it has none. */
const char *print(const Json__Test__V1__Everything *message);

/* Parsing `text` and printing what came of it gives `expected`. */
void assert_becomes(const char *text, const char *expected);
/* ... gives the same text. */
void assert_keeps(const char *text);

/* Parsing `text` is refused with this whole error. */
void assert_refused(const char *text, const char *error);

/* `before`, then empty arrays in one another, `levels` deep, then `after`; in the arena. */
const char *nested_arrays(const char *before, size_t levels, const char *after);

#define everything_test(function) cmocka_unit_test_teardown(function, teardown_everything)

#endif
