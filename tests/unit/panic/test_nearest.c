/*
 * The nearest of a set against a walk over all of it, on places that are easy and places that are not, while
 * items come, go and move; the shape of the tree; and what a search costs, in branches looked at.
 */
#include "harness/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "panic/nearest.h"

#define UNITS 600
#define STEPS 6000
#define ASKED 2000
#define NAME_SIZE (NEAREST_NAME_MAX + 1)

struct unit {
    struct nearest_item item;
    char name[NAME_SIZE];
    struct geo_point point;
    bool listed;
};

struct world {
    struct nearest set;
    struct unit *units;
    size_t n;
};

static uint64_t random_state = 88172645463325252U;

static uint64_t random_number(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double random_between(double low, double high)
{
    return low + (high - low) * ((double)(random_number() >> 11) / 9007199254740992.0);
}

static void world_new(struct world *world, size_t n)
{
    *world = (struct world){.units = calloc(n, sizeof(struct unit)), .n = n};
    assert_non_null(world->units);
    for (size_t i = 0; i < n; i++) {
        snprintf(world->units[i].name, NAME_SIZE, "unit-%zu", i);
    }
}

static void world_free(struct world *world)
{
    free(world->units);
}

static void add(struct world *world, size_t i, struct geo_point point)
{
    struct unit *unit = &world->units[i];
    unit->point = point;
    unit->listed = true;
    nearest_add(&world->set, &unit->item, unit->name, &point);
}

static void take_out(struct world *world, size_t i)
{
    nearest_remove(&world->set, &world->units[i].item);
    world->units[i].listed = false;
}

static const struct unit *walk(const struct world *world, const struct geo_point *point)
{
    const struct unit *best = NULL;
    double best_chord2 = INFINITY;
    for (size_t i = 0; i < world->n; i++) {
        const struct unit *unit = &world->units[i];
        if (!unit->listed) {
            continue;
        }
        double chord2 = geo_chord2(&unit->point, point);
        if (best == NULL || chord2 < best_chord2 ||
            (chord2 == best_chord2 && strcmp(unit->name, best->name) < 0)) {
            best = unit;
            best_chord2 = chord2;
        }
    }
    return best;
}

static void assert_finds_as_the_walk(const struct world *world, struct geo_point point)
{
    const struct unit *expected = walk(world, &point);
    const struct nearest_item *found = nearest_find(&world->set, &point);
    if (found != (expected != NULL ? &expected->item : NULL)) {
        fail_msg("for %.17g %.17g %.17g: %s, not %s", point.x, point.y, point.z,
                 found != NULL ? found->name : "nobody", expected != NULL ? expected->name : "nobody");
    }
}

/* ---- shape ---- */

static bool is_at(const struct geo_point *point, double x, double y, double z)
{
    return point->x == x && point->y == y && point->z == z;
}

/* Items below the branch; fails where a box is not the smallest or a pointer upwards is wrong. */
static size_t check_branch(const struct nearest_branch *branch, const struct nearest_fork *parent)
{
    if (branch->fork == NULL) {
        const struct geo_point *point = &branch->item->point;
        assert_ptr_equal(branch->item->parent, parent);
        assert_true(is_at(&branch->box.low, point->x, point->y, point->z));
        assert_true(is_at(&branch->box.high, point->x, point->y, point->z));
        return 1;
    }
    const struct nearest_fork *fork = branch->fork;
    assert_ptr_equal(fork->parent, parent);
    assert_true(fork->in_use && (parent == NULL || fork->bit > parent->bit));
    const struct nearest_box *a = &fork->branch[0].box;
    const struct nearest_box *b = &fork->branch[1].box;
    assert_true(is_at(&branch->box.low, fmin(a->low.x, b->low.x), fmin(a->low.y, b->low.y),
                      fmin(a->low.z, b->low.z)));
    assert_true(is_at(&branch->box.high, fmax(a->high.x, b->high.x), fmax(a->high.y, b->high.y),
                      fmax(a->high.z, b->high.z)));
    return check_branch(&fork->branch[0], fork) + check_branch(&fork->branch[1], fork);
}

static void check_shape(const struct world *world)
{
    size_t listed = 0;
    size_t forks = 0;
    for (size_t i = 0; i < world->n; i++) {
        listed += world->units[i].listed;
        forks += world->units[i].item.fork.in_use;
    }
    assert_int_equal(forks, listed > 0 ? listed - 1 : 0);
    assert_int_equal(nearest_is_empty(&world->set), listed == 0);
    if (listed > 0) {
        assert_int_equal(check_branch(&world->set.root, NULL), listed);
    }
}

/* ---- places ---- */

typedef struct geo_point make_place(void);

/* Evenly over the whole Earth. */
static struct geo_point anywhere(void)
{
    return geo_point(asin(random_between(-1, 1)) * 180 / M_PI, random_between(-180, 180));
}

static struct geo_point within(double lat, double lng, double degrees)
{
    return geo_point(fmax(-90, fmin(90, lat + random_between(-degrees, degrees))),
                     lng + random_between(-degrees, degrees));
}

static struct geo_point in_a_town(void)
{
    return within(-33.9, 18.4, 0.1);
}

static struct geo_point in_a_town_along_the_axes(void)
{
    return within(0, 0, 0.1);
}

static struct geo_point in_a_town_at_the_cubes_corner(void)
{
    return within(35.26, 45, 0.1);
}

/* Towns from the size of a country down to that of a room, one in the other. */
static struct geo_point in_towns_within_towns(void)
{
    return within(48.1, 11.5, pow(10, random_between(-7, 1)));
}

static struct geo_point on_few_spots(void)
{
    return geo_point(10 + (double)(random_number() % 3), 20 + (double)(random_number() % 3));
}

static struct geo_point at_one_spot(void)
{
    return geo_point(-33.9, 18.4);
}

static struct geo_point round_a_pole(void)
{
    double lat = 90 - pow(10, random_between(-6, 0)) * (double)(random_number() % 2);
    return geo_point(random_number() % 4 == 0 ? -lat : lat, random_between(-180, 180));
}

static struct geo_point at_the_date_line(void)
{
    double lng = 180 - random_between(0, 0.01);
    return geo_point(random_between(-17.01, -17), random_number() % 2 == 0 ? lng : -lng);
}

static struct geo_point along_a_meridian(void)
{
    return geo_point((double)(random_number() % 180) - 90, 45);
}

static struct geo_point along_the_equator(void)
{
    return geo_point(0, (double)(random_number() % 360) - 180);
}

/* All of them as far from the pole, but for rounding. */
static struct geo_point on_a_circle(void)
{
    return geo_point(60, (double)(random_number() % 3600) / 10 - 180);
}

/* Where three faces of the cube meet, and along their edges. */
static struct geo_point at_the_cubes_edges(void)
{
    double a = random_between(-1e-9, 1e-9);
    double b = random_number() % 2 == 0 ? random_between(-1, 1) : 1;
    double length = sqrt(1 + (1 + a) * (1 + a) + b * b);
    return (struct geo_point){1 / length, (1 + a) / length, b / length};
}

/* Nearer together than a cell is wide. */
static struct geo_point in_one_cell(void)
{
    return within(1, 1, 1e-10);
}

/* Some at the same place, and yet not all that share a cell with them. */
static struct geo_point on_spots_in_one_cell(void)
{
    return geo_point(1 + (double)(random_number() % 3) * 1e-11, 1);
}

static const struct geo_point landmarks[] = {
    {1, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {0, -1, 0}, {0, 0, 1}, {0, 0, -1},
};

/* Comes, goes and moves; asks from where units are, from near, and from anywhere. */
static void run_against_the_walk(make_place *place)
{
    struct world world;
    world_new(&world, UNITS);
    for (int step = 0; step < STEPS; step++) {
        /* The set grows for a third of the time, then comes and goes, and shrinks to nothing. */
        size_t i = random_number() % UNITS;
        bool wanted = step < STEPS / 3 || (step < 2 * STEPS / 3 && random_number() % 2 == 0);
        if (world.units[i].listed) {
            take_out(&world, i);
        }
        if (wanted) {
            add(&world, i, place());
        }
        assert_finds_as_the_walk(&world, step % 3 == 0 ? anywhere() : place());
        if (step % 50 == 0) {
            assert_finds_as_the_walk(&world, landmarks[(size_t)step / 50 % 6]);
            check_shape(&world);
        }
    }
    for (size_t i = 0; i < UNITS; i++) {
        if (world.units[i].listed) {
            take_out(&world, i);
        }
    }
    check_shape(&world);
    world_free(&world);
}

#define AS_THE_WALK(place)                                                                                   \
    static void test_as_the_walk_##place(void **state)                                                       \
    {                                                                                                        \
        (void)state;                                                                                         \
        run_against_the_walk(place);                                                                         \
    }

AS_THE_WALK(anywhere)
AS_THE_WALK(in_a_town)
AS_THE_WALK(in_towns_within_towns)
AS_THE_WALK(on_few_spots)
AS_THE_WALK(at_one_spot)
AS_THE_WALK(round_a_pole)
AS_THE_WALK(at_the_date_line)
AS_THE_WALK(along_a_meridian)
AS_THE_WALK(along_the_equator)
AS_THE_WALK(on_a_circle)
AS_THE_WALK(at_the_cubes_edges)
AS_THE_WALK(in_one_cell)
AS_THE_WALK(on_spots_in_one_cell)

/* ---- by themselves ---- */

static void test_an_empty_set_has_nobody(void **state)
{
    (void)state;
    const struct nearest set = {.root = {.item = NULL}};
    assert_null(nearest_find(&set, &landmarks[0]));
    assert_null(nearest_first(&set));
}

static void test_the_first_of_one_place_is_the_first_name(void **state)
{
    (void)state;
    struct world world;
    world_new(&world, 5);
    const char *names[] = {"b", "ab", "a", "abc", "B"};
    const char *sorted[] = {"B", "a", "ab", "abc", "b"};
    for (size_t i = 0; i < 5; i++) {
        snprintf(world.units[i].name, NAME_SIZE, "%s", names[i]);
        add(&world, i, landmarks[0]);
    }
    for (size_t i = 0; i < 5; i++) {
        struct nearest_item *first = nearest_first(&world.set);
        assert_string_equal(first->name, sorted[i]);
        assert_ptr_equal(nearest_find(&world.set, &landmarks[4]), first);
        nearest_remove(&world.set, first);
    }
    world_free(&world);
}

/*
 * The longest path there can be: 512 names of which each differs from the next in one bit more, and places
 * within one cell so that a search has to look at both sides all the way down.
 */
static void test_the_deepest_tree_is_searched(void **state)
{
    (void)state;
    struct world world;
    world_new(&world, (size_t)8 * NEAREST_NAME_MAX);
    for (size_t i = 0; i < world.n; i++) {
        memset(world.units[i].name, 0xff, NEAREST_NAME_MAX);
        world.units[i].name[i / 8] = (char)(0xff ^ (0x80 >> i % 8));
        add(&world, i, in_one_cell());
    }
    check_shape(&world);
    for (size_t i = 0; i < world.n; i++) {
        assert_finds_as_the_walk(&world, in_one_cell());
        assert_finds_as_the_walk(&world, anywhere());
    }
    world_free(&world);
}

/* ---- cost ---- */

static uint64_t cost(const struct world *world, struct geo_point point)
{
    uint64_t visited;
    assert_non_null(nearest_find_counted(&world->set, &point, &visited));
    return visited;
}

static void fill(struct world *world, size_t n, make_place *place)
{
    world_new(world, n);
    for (size_t i = 0; i < n; i++) {
        add(world, i, place());
    }
}

/* Branches that a search among n looks at, on average. */
static double average_cost(size_t n, make_place *place, make_place *asked)
{
    struct world world;
    fill(&world, n, place);
    uint64_t sum = 0;
    for (int i = 0; i < ASKED; i++) {
        sum += cost(&world, asked());
    }
    world_free(&world);
    return (double)sum / ASKED;
}

/* The same while half of them are taken, each by the one that is nearest to it when it asks. */
static double average_cost_of_taking(size_t n, make_place *place, make_place *asked)
{
    struct world world;
    fill(&world, n, place);
    size_t taken = n / 2;
    uint64_t sum = 0;
    for (size_t i = 0; i < taken; i++) {
        struct geo_point point = asked();
        sum += cost(&world, point);
        nearest_remove(&world.set, nearest_find(&world.set, &point));
    }
    world_free(&world);
    return (double)sum / (double)taken;
}

/* A hundredfold number costs less than the square of the logarithm does; a root would cost tenfold. */
static void assert_grows_slowly(make_place *place, make_place *asked)
{
    double few = average_cost(1000, place, asked);
    double many = average_cost(100000, place, asked);
    print_message("[ figure   ] branches looked at: %.1f of 1000, %.1f of 100000\n", few, many);
    assert_true(many < few * pow(log(100000) / log(1000), 2));
}

/* A tenfold number adds no more than the tenfold before it has, but for chance. */
static void test_the_cost_is_logarithmic_where_the_ground_lies_along_the_axes(void **state)
{
    (void)state;
    double few = average_cost(1000, in_a_town_along_the_axes, in_a_town_along_the_axes);
    double more = average_cost(10000, in_a_town_along_the_axes, in_a_town_along_the_axes);
    double many = average_cost(100000, in_a_town_along_the_axes, in_a_town_along_the_axes);
    print_message("[ figure   ] branches looked at: %.1f of 1000, %.1f of 10000, %.1f of 100000\n", few, more,
                  many);
    assert_true(many - more < 1.25 * (more - few));
}

static void test_the_cost_grows_slowly_where_the_ground_is_most_tilted(void **state)
{
    (void)state;
    assert_grows_slowly(in_a_town_at_the_cubes_corner, in_a_town_at_the_cubes_corner);
}

static void test_the_cost_grows_slowly_anywhere(void **state)
{
    (void)state;
    assert_grows_slowly(anywhere, anywhere);
}

static void test_the_cost_grows_slowly_in_a_town(void **state)
{
    (void)state;
    assert_grows_slowly(in_a_town, in_a_town);
}

static void test_the_cost_grows_slowly_in_towns_within_towns(void **state)
{
    (void)state;
    assert_grows_slowly(in_towns_within_towns, in_towns_within_towns);
}

static void test_the_cost_grows_slowly_round_a_pole(void **state)
{
    (void)state;
    assert_grows_slowly(round_a_pole, round_a_pole);
}

static void test_the_cost_grows_slowly_at_the_date_line(void **state)
{
    (void)state;
    assert_grows_slowly(at_the_date_line, at_the_date_line);
}

static void test_the_cost_grows_slowly_at_one_spot(void **state)
{
    (void)state;
    assert_grows_slowly(at_one_spot, at_one_spot);
}

/* From afar a front reaches them, along which many are nearly as far. */
static void test_the_cost_for_those_far_away_grows_less_than_an_edge(void **state)
{
    (void)state;
    double few = average_cost(1000, in_a_town, anywhere);
    double many = average_cost(100000, in_a_town, anywhere);
    print_message("[ figure   ] branches looked at: %.1f of 1000, %.1f of 100000\n", few, many);
    assert_true(many < few * sqrt(100));
}

static void test_the_cost_stays_small_while_half_are_taken(void **state)
{
    (void)state;
    static make_place *const places[] = {anywhere, in_a_town, in_towns_within_towns, round_a_pole,
                                         at_the_date_line};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        double few = average_cost_of_taking(300, places[i], places[i]);
        double many = average_cost_of_taking(30000, places[i], places[i]);
        print_message("[ figure   ] branches looked at: %.1f of 300, %.1f of 30000\n", few, many);
        assert_true(many < 3 * few);
    }
}

/* All who call stand at one spot, and everybody round it is taken: the edge is looked at, which is a line. */
static void test_the_cost_in_the_middle_of_those_taken_grows_like_their_edge(void **state)
{
    (void)state;
    double few = average_cost_of_taking(300, in_a_town, at_one_spot);
    double many = average_cost_of_taking(30000, in_a_town, at_one_spot);
    print_message("[ figure   ] branches looked at: %.1f of 300, %.1f of 30000\n", few, many);
    assert_true(many < few * sqrt(30000.0 / 300.0));
}

static void test_the_cost_does_not_depend_on_what_was_before(void **state)
{
    (void)state;
    struct world fresh;
    struct world used;
    world_new(&fresh, 4000);
    world_new(&used, 4000);
    for (size_t i = 0; i < 4000; i++) {
        add(&used, i, round_a_pole());
    }
    for (size_t i = 4000; i-- > 0;) {
        take_out(&used, i);
        if (i % 4 == 0) {
            add(&used, i, anywhere());
        }
    }
    for (size_t i = 0; i < 4000; i += 4) {
        add(&fresh, i, used.units[i].point);
    }
    for (int i = 0; i < 1000; i++) {
        struct geo_point point = anywhere();
        assert_int_equal(cost(&used, point), cost(&fresh, point));
    }
    world_free(&fresh);
    world_free(&used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_walk_anywhere),
        cmocka_unit_test(test_as_the_walk_in_a_town),
        cmocka_unit_test(test_as_the_walk_in_towns_within_towns),
        cmocka_unit_test(test_as_the_walk_on_few_spots),
        cmocka_unit_test(test_as_the_walk_at_one_spot),
        cmocka_unit_test(test_as_the_walk_round_a_pole),
        cmocka_unit_test(test_as_the_walk_at_the_date_line),
        cmocka_unit_test(test_as_the_walk_along_a_meridian),
        cmocka_unit_test(test_as_the_walk_along_the_equator),
        cmocka_unit_test(test_as_the_walk_on_a_circle),
        cmocka_unit_test(test_as_the_walk_at_the_cubes_edges),
        cmocka_unit_test(test_as_the_walk_in_one_cell),
        cmocka_unit_test(test_as_the_walk_on_spots_in_one_cell),
        cmocka_unit_test(test_an_empty_set_has_nobody),
        cmocka_unit_test(test_the_first_of_one_place_is_the_first_name),
        cmocka_unit_test(test_the_deepest_tree_is_searched),
        cmocka_unit_test(test_the_cost_is_logarithmic_where_the_ground_lies_along_the_axes),
        cmocka_unit_test(test_the_cost_grows_slowly_where_the_ground_is_most_tilted),
        cmocka_unit_test(test_the_cost_grows_slowly_anywhere),
        cmocka_unit_test(test_the_cost_grows_slowly_in_a_town),
        cmocka_unit_test(test_the_cost_grows_slowly_in_towns_within_towns),
        cmocka_unit_test(test_the_cost_grows_slowly_round_a_pole),
        cmocka_unit_test(test_the_cost_grows_slowly_at_the_date_line),
        cmocka_unit_test(test_the_cost_grows_slowly_at_one_spot),
        cmocka_unit_test(test_the_cost_for_those_far_away_grows_less_than_an_edge),
        cmocka_unit_test(test_the_cost_stays_small_while_half_are_taken),
        cmocka_unit_test(test_the_cost_in_the_middle_of_those_taken_grows_like_their_edge),
        cmocka_unit_test(test_the_cost_does_not_depend_on_what_was_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
