/* The judge of histories: a right one passes, and each condition, broken alone, is found. */
#include "harness/test.h"

#include <stdlib.h>

#include "history.h"

#define CAPACITY 2

#define assert_judged(expected, ...)                                                                         \
    do {                                                                                                     \
        struct operation operations[] = {__VA_ARGS__};                                                       \
        assert_int_equal(history_judge(operations, sizeof(operations) / sizeof(operations[0]), CAPACITY),    \
                         (expected));                                                                        \
    } while (0)

static void test_empty_history_is_linearizable(void **state)
{
    (void)state;
    assert_int_equal(history_judge(NULL, 0, CAPACITY), LINEARIZABLE);
}

static void test_right_history_is_linearizable(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {FOUND_EMPTY, 0, 1, 2}, {PUSHED, 7, 3, 4}, {PUSHED, 5, 5, 6},
                  {FOUND_FULL, 0, 7, 8}, {POPPED, 7, 9, 10}, {POPPED, 5, 11, 12}, {FOUND_EMPTY, 0, 13, 14});
}

static void test_value_left_inside_is_linearizable(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 1, 5, 6});
}

static void test_value_never_pushed_is_a_phantom(void **state)
{
    (void)state;
    assert_judged(PHANTOM, {PUSHED, 1, 1, 2}, {POPPED, 2, 3, 4});
    assert_judged(PHANTOM, {POPPED, 1, 3, 4});
}

static void test_value_popped_before_its_push_began_is_a_phantom(void **state)
{
    (void)state;
    assert_judged(PHANTOM, {POPPED, 1, 1, 2}, {PUSHED, 1, 3, 4});
    assert_judged(LINEARIZABLE, {POPPED, 1, 1, 3}, {PUSHED, 1, 2, 4});
}

static void test_value_popped_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_judged(DUPLICATE, {PUSHED, 1, 1, 2}, {POPPED, 1, 3, 4}, {POPPED, 1, 5, 6});
}

static void test_values_that_change_places_are_out_of_order(void **state)
{
    (void)state;
    assert_judged(WRONG_ORDER, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 2, 5, 6}, {POPPED, 1, 7, 8});
}

static void test_values_whose_pushes_or_pops_overlap_may_change_places(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 3}, {PUSHED, 2, 2, 4}, {POPPED, 2, 5, 6}, {POPPED, 1, 7, 8});
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 2, 5, 7}, {POPPED, 1, 6, 8});
}

static void test_value_lost_behind_a_later_one_is_out_of_order(void **state)
{
    (void)state;
    assert_judged(WRONG_ORDER, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 2, 5, 6});
}

static void test_empty_while_a_value_is_certainly_inside_is_wrong(void **state)
{
    (void)state;
    assert_judged(WRONG_EMPTY, {PUSHED, 1, 1, 2}, {FOUND_EMPTY, 0, 3, 4}, {POPPED, 1, 5, 6});
    assert_judged(WRONG_EMPTY, {PUSHED, 1, 1, 2}, {FOUND_EMPTY, 0, 3, 4});
}

static void test_empty_while_values_in_turn_are_certainly_inside_is_wrong(void **state)
{
    (void)state;
    assert_judged(WRONG_EMPTY, {PUSHED, 1, 1, 2}, {FOUND_EMPTY, 0, 3, 8}, {PUSHED, 2, 4, 5},
                  {POPPED, 1, 6, 7}, {POPPED, 2, 9, 10});
}

static void test_empty_between_two_values_is_right(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {FOUND_EMPTY, 0, 3, 8}, {POPPED, 1, 4, 5},
                  {PUSHED, 2, 6, 7}, {POPPED, 2, 9, 10});
}

static void test_empty_that_overlaps_the_push_or_the_pop_is_right(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 3}, {FOUND_EMPTY, 0, 2, 4}, {POPPED, 1, 5, 6});
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {FOUND_EMPTY, 0, 3, 5}, {POPPED, 1, 4, 6});
}

static void test_full_with_a_place_free_is_wrong(void **state)
{
    (void)state;
    assert_judged(WRONG_FULL, {PUSHED, 1, 1, 2}, {FOUND_FULL, 0, 3, 4}, {PUSHED, 2, 5, 6});
    assert_judged(WRONG_FULL, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 1, 5, 6}, {FOUND_FULL, 0, 7, 8});
}

static void test_full_while_operations_hold_the_places_is_right(void **state)
{
    (void)state;
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 6}, {FOUND_FULL, 0, 4, 5});
    assert_judged(LINEARIZABLE, {PUSHED, 1, 1, 2}, {PUSHED, 2, 3, 4}, {POPPED, 1, 5, 8},
                  {FOUND_FULL, 0, 6, 7});
}

/* One thread after another on a model of the queue; then one operation is falsified. */
static size_t sequential_history(struct operation *operations, size_t rounds)
{
    size_t n = 0;
    uint64_t now = 0;
    for (uint64_t value = 0; value < rounds; value += 2) {
        const struct operation round[] = {
            {FOUND_EMPTY, 0, now + 1, now + 2},    {PUSHED, value, now + 3, now + 4},
            {PUSHED, value + 1, now + 5, now + 6}, {FOUND_FULL, 0, now + 7, now + 8},
            {POPPED, value, now + 9, now + 10},    {POPPED, value + 1, now + 11, now + 12},
        };
        for (size_t i = 0; i < 6; i++) {
            operations[n++] = round[i];
        }
        now += 12;
    }
    return n;
}

static void test_one_wrong_answer_in_a_long_history_is_found(void **state)
{
    (void)state;
    enum { ROUNDS = 2000, SIZE = ROUNDS * 3 };
    struct operation *operations = calloc(SIZE, sizeof(*operations));
    assert_non_null(operations);
    const struct {
        size_t at;
        enum operation_kind kind;
        enum verdict expected;
    } falsified[] = {
        {0, FOUND_FULL, WRONG_FULL}, {3, FOUND_EMPTY, WRONG_EMPTY}, {4, FOUND_EMPTY, WRONG_ORDER}};
    assert_int_equal(history_judge(operations, sequential_history(operations, ROUNDS), CAPACITY),
                     LINEARIZABLE);
    for (size_t i = 0; i < sizeof(falsified) / sizeof(falsified[0]); i++) {
        size_t n = sequential_history(operations, ROUNDS);
        operations[600 + falsified[i].at].kind = falsified[i].kind;
        assert_int_equal(history_judge(operations, n, CAPACITY), falsified[i].expected);
    }
    free(operations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_history_is_linearizable),
        cmocka_unit_test(test_right_history_is_linearizable),
        cmocka_unit_test(test_value_left_inside_is_linearizable),
        cmocka_unit_test(test_value_never_pushed_is_a_phantom),
        cmocka_unit_test(test_value_popped_before_its_push_began_is_a_phantom),
        cmocka_unit_test(test_value_popped_twice_is_a_duplicate),
        cmocka_unit_test(test_values_that_change_places_are_out_of_order),
        cmocka_unit_test(test_values_whose_pushes_or_pops_overlap_may_change_places),
        cmocka_unit_test(test_value_lost_behind_a_later_one_is_out_of_order),
        cmocka_unit_test(test_empty_while_a_value_is_certainly_inside_is_wrong),
        cmocka_unit_test(test_empty_while_values_in_turn_are_certainly_inside_is_wrong),
        cmocka_unit_test(test_empty_between_two_values_is_right),
        cmocka_unit_test(test_empty_that_overlaps_the_push_or_the_pop_is_right),
        cmocka_unit_test(test_full_with_a_place_free_is_wrong),
        cmocka_unit_test(test_full_while_operations_hold_the_places_is_right),
        cmocka_unit_test(test_one_wrong_answer_in_a_long_history_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
