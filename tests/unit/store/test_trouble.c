/* When a failure that repeats is logged. */
#include "harness/test.h"

#include "base/clock.h"
#include "store/trouble.h"

#define MINUTE_US (60 * US_PER_S)
#define BEGIN_US (7 * MINUTE_US)

static void test_the_first_failure_is_logged_and_then_one_a_minute(void **state)
{
    (void)state;
    struct trouble trouble = {0};
    assert_true(trouble_note(&trouble, BEGIN_US));
    assert_false(trouble_note(&trouble, BEGIN_US));
    assert_false(trouble_note(&trouble, BEGIN_US + MINUTE_US - 1));
    assert_true(trouble_note(&trouble, BEGIN_US + MINUTE_US));
    assert_false(trouble_note(&trouble, BEGIN_US + 2 * MINUTE_US - 1));
}

static void test_the_end_tells_how_many_there_were_once(void **state)
{
    (void)state;
    struct trouble trouble = {0};
    assert_int_equal(trouble_end(&trouble), 0);
    for (int i = 0; i < 3; i++) {
        (void)!trouble_note(&trouble, BEGIN_US);
    }
    assert_int_equal(trouble_end(&trouble), 3);
    assert_int_equal(trouble_end(&trouble), 0);
}

static void test_what_begins_anew_is_logged_at_once(void **state)
{
    (void)state;
    struct trouble trouble = {0};
    assert_true(trouble_note(&trouble, BEGIN_US));
    assert_int_equal(trouble_end(&trouble), 1);
    assert_true(trouble_note(&trouble, BEGIN_US + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_failure_is_logged_and_then_one_a_minute),
        cmocka_unit_test(test_the_end_tells_how_many_there_were_once),
        cmocka_unit_test(test_what_begins_anew_is_logged_at_once),
    };
    return cmocka_run_group_tests_name("store: trouble", tests, NULL, NULL);
}
