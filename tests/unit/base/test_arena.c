/* The arena; malloc is wrapped by the linker, to count and to fail. */
#include "harness/test.h"

#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define ALIGN alignof(max_align_t)
#define FIRST_SIZE 1024

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static unsigned mallocs;
static bool memory_is_short;

void *__wrap_malloc(size_t size)
{
    mallocs++;
    return memory_is_short ? NULL : __real_malloc(size);
}

static alignas(max_align_t) char first[FIRST_SIZE];
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    memset(first, 'x', sizeof(first));
    arena_init(&arena, first, sizeof(first), (size_t)1 << 20);
    mallocs = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_is_short = false;
    arena_reset(&arena);
    return 0;
}

static bool is_in_first(const void *memory)
{
    const char *at = memory;
    return at >= first && at < first + sizeof(first);
}

static void test_what_fits_the_first_piece_needs_no_malloc(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIRST_SIZE / ALIGN; i++) {
        assert_true(is_in_first(arena_alloc(&arena, ALIGN)));
    }
    assert_int_equal(mallocs, 0);
    assert_false(is_in_first(arena_alloc(&arena, 1)));
    assert_int_equal(mallocs, 1);
}

static void test_every_piece_is_aligned(void **state)
{
    (void)state;
    for (size_t size = 0; size < 300; size++) {
        assert_int_equal((uintptr_t)arena_alloc(&arena, size) % ALIGN, 0);
    }
}

static void test_pieces_do_not_overlap(void **state)
{
    (void)state;
    enum { PIECES = 200 };
    unsigned char *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&arena, i);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(pieces[i][k], i);
        }
    }
}

static void test_a_piece_of_no_bytes_is_a_piece(void **state)
{
    (void)state;
    void *a = arena_alloc(&arena, 0);
    void *b = arena_alloc(&arena, 0);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    struct arena none;
    arena_init(&none, NULL, 0, 64);
    assert_non_null(arena_alloc_zero(&none, 0));
    arena_reset(&none);
}

static void test_small_pieces_share_a_block(void **state)
{
    (void)state;
    (void)arena_alloc(&arena, FIRST_SIZE);
    for (unsigned i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(&arena, 64));
    }
    assert_int_equal(mallocs, 1);
}

static void test_a_piece_larger_than_a_block_gets_its_own(void **state)
{
    (void)state;
    size_t size = 200000;
    char *large = arena_alloc(&arena, size);
    assert_non_null(large);
    memset(large, 1, size);
    assert_int_equal(mallocs, 1);
}

static void test_the_cap_is_reached_exactly(void **state)
{
    (void)state;
    struct arena capped;
    arena_init(&capped, first, sizeof(first), 4 * ALIGN);
    for (unsigned i = 0; i < 4; i++) {
        assert_non_null(arena_alloc(&capped, ALIGN));
    }
    assert_null(arena_alloc(&capped, 1));
    assert_null(arena_copy(&capped, "", 0));
    assert_null(arena_printf(&capped, "%d", 1));
}

static void test_a_piece_beyond_the_cap_leaves_the_rest_usable(void **state)
{
    (void)state;
    struct arena capped;
    arena_init(&capped, NULL, 0, 64);
    assert_null(arena_alloc(&capped, 65));
    assert_non_null(arena_alloc(&capped, 64));
    arena_reset(&capped);
}

static void test_sizes_near_the_largest_number_are_refused(void **state)
{
    (void)state;
    struct arena boundless;
    arena_init(&boundless, first, sizeof(first), SIZE_MAX);
    for (size_t i = 0; i < 2 * ALIGN; i++) {
        assert_null(arena_alloc(&boundless, SIZE_MAX - i));
    }
    assert_null(arena_alloc_zero(&boundless, SIZE_MAX / 2 + 1));
    assert_int_equal(mallocs, 0);
}

static void test_short_memory_gives_null_and_counts_nothing(void **state)
{
    (void)state;
    memory_is_short = true;
    assert_null(arena_alloc(&arena, FIRST_SIZE + 1));
    assert_null(arena_alloc_zero(&arena, FIRST_SIZE + 1));
    assert_null(arena_copy(&arena, first, FIRST_SIZE));
    assert_null(arena_printf(&arena, "%*d", FIRST_SIZE, 1));
    assert_int_equal(arena.used, 0);
    assert_true(is_in_first(arena_alloc(&arena, FIRST_SIZE)));
}

static void test_reset_takes_everything_back(void **state)
{
    (void)state;
    void *before = arena_alloc(&arena, 100);
    for (unsigned i = 0; i < 10; i++) {
        assert_non_null(arena_alloc(&arena, 10000));
    }
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_null(arena.blocks);
    assert_ptr_equal(arena_alloc(&arena, 100), before);
}

static void test_after_reset_the_whole_cap_is_there_again(void **state)
{
    (void)state;
    struct arena capped;
    arena_init(&capped, NULL, 0, 20000);
    assert_non_null(arena_alloc(&capped, 20000));
    assert_null(arena_alloc(&capped, 1));
    arena_reset(&capped);
    assert_non_null(arena_alloc(&capped, 20000));
    arena_reset(&capped);
}

static void test_zeroed_memory_is_zero(void **state)
{
    (void)state;
    const char *memory = arena_alloc_zero(&arena, 100);
    assert_true(is_in_first(memory));
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(memory[i], 0);
    }
}

static void test_a_copy_ends_with_a_nul_and_keeps_those_inside(void **state)
{
    (void)state;
    char source[] = {'a', 0, 'b'};
    char *copy = arena_copy(&arena, source, sizeof(source));
    source[0] = 'X';
    assert_memory_equal(copy, "a\0b\0", 4);
}

static void test_a_copy_of_nothing_is_an_empty_string(void **state)
{
    (void)state;
    assert_string_equal(arena_copy(&arena, NULL, 0), "");
}

static void test_printf_formats_into_the_arena(void **state)
{
    (void)state;
    const char *text = arena_printf(&arena, "%s-%d", "panic", 42);
    assert_string_equal(text, "panic-42");
    assert_true(is_in_first(text));
    const char *longer = arena_printf(&arena, "%*d", 5000, 7);
    assert_int_equal(strlen(longer), 5000);
    assert_int_equal(longer[4999], '7');
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_what_fits_the_first_piece_needs_no_malloc),
        test(test_every_piece_is_aligned),
        test(test_pieces_do_not_overlap),
        test(test_a_piece_of_no_bytes_is_a_piece),
        test(test_small_pieces_share_a_block),
        test(test_a_piece_larger_than_a_block_gets_its_own),
        test(test_the_cap_is_reached_exactly),
        test(test_a_piece_beyond_the_cap_leaves_the_rest_usable),
        test(test_sizes_near_the_largest_number_are_refused),
        test(test_short_memory_gives_null_and_counts_nothing),
        test(test_reset_takes_everything_back),
        test(test_after_reset_the_whole_cap_is_there_again),
        test(test_zeroed_memory_is_zero),
        test(test_a_copy_ends_with_a_nul_and_keeps_those_inside),
        test(test_a_copy_of_nothing_is_an_empty_string),
        test(test_printf_formats_into_the_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
