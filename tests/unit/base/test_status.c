/* The status names of google.rpc.Code, and diagnostics. */
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

static void test_names_are_those_of_google_rpc_code(void **state)
{
    (void)state;
    static const char *const names[STATUS_COUNT] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    for (unsigned i = 0; i < STATUS_COUNT; i++) {
        assert_string_equal(status_name((enum status)i), names[i]);
        assert_int_equal(status_from_code(i), i);
    }
}

static void test_a_number_that_is_no_code_is_unknown(void **state)
{
    (void)state;
    static const unsigned wrong[] = {STATUS_COUNT, 18, 4242, 0x80000000U, 0xFFFFFFFFU};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_status(status_from_code(wrong[i]), STATUS_UNKNOWN);
        /* As it may come from the wire, where nobody checked it. */
        enum status status;
        memcpy(&status, &wrong[i], sizeof(status));
        assert_string_equal(status_name(status), "UNKNOWN");
    }
}

static void test_diag_fail_formats_and_returns_the_status(void **state)
{
    (void)state;
    struct diag diag;
    assert_status(diag_fail(&diag, STATUS_INVALID_ARGUMENT, "lat: %d is over %s", 91, "90"),
                  STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "lat: 91 is over 90");
}

static void test_diag_fail_takes_null(void **state)
{
    (void)state;
    assert_status(diag_fail(NULL, STATUS_NOT_FOUND, "%s", "nobody reads this"), STATUS_NOT_FOUND);
}

static void test_diag_fail_cuts_a_long_text(void **state)
{
    (void)state;
    struct diag diag;
    char text[2 * sizeof(diag.text)];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    assert_status(diag_fail(&diag, STATUS_INTERNAL, "%s", text), STATUS_INTERNAL);
    assert_int_equal(strlen(diag.text), sizeof(diag.text) - 1);
    assert_memory_equal(diag.text, text, sizeof(diag.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_those_of_google_rpc_code),
        cmocka_unit_test(test_a_number_that_is_no_code_is_unknown),
        cmocka_unit_test(test_diag_fail_formats_and_returns_the_status),
        cmocka_unit_test(test_diag_fail_takes_null),
        cmocka_unit_test(test_diag_fail_cuts_a_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
