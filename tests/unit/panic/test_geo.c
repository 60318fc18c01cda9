/*
 * Distances against values from elsewhere: a quarter and a half of the circle of radius 6,371,008.8 m, and
 * city pairs computed with the haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and
 * Telescope 68, 1984).
 */
#include "harness/test.h"

#include <math.h>
#include <stdlib.h>

#include "panic/geo.h"

#define HALF_CIRCLE_M (M_PI * GEO_EARTH_RADIUS_M)

static double distance(double lat_a, double lng_a, double lat_b, double lng_b)
{
    struct geo_point a = geo_point(lat_a, lng_a);
    struct geo_point b = geo_point(lat_b, lng_b);
    return geo_distance_m(&a, &b);
}

/* Another way to the same figure: hav(d/R) = hav(Δφ) + cos φ1 cos φ2 hav(Δλ). */
static double haversine(double lat_a, double lng_a, double lat_b, double lng_b)
{
    double rad = M_PI / 180.0;
    double s = sin((lat_b - lat_a) * rad / 2);
    double t = sin((lng_b - lng_a) * rad / 2);
    double h = s * s + cos(lat_a * rad) * cos(lat_b * rad) * t * t;
    return 2 * GEO_EARTH_RADIUS_M * asin(sqrt(fmin(h, 1)));
}

static void assert_near(double actual, double expected, double tolerance)
{
    if (!(fabs(actual - expected) <= tolerance)) {
        fail_msg("%.9g is not within %g of %.9g", actual, tolerance, expected);
    }
}

static double random_between(double low, double high)
{
    static uint64_t number = 88172645463325252U;
    number ^= number << 13;
    number ^= number >> 7;
    number ^= number << 17;
    return low + (high - low) * ((double)(number >> 11) / 9007199254740992.0);
}

static void test_one_degree_of_a_great_circle(void **state)
{
    (void)state;
    assert_near(distance(0, 0, 0, 1), 111195.0802, 0.001);
    assert_near(distance(0, 0, 1, 0), 111195.0802, 0.001);
    assert_near(distance(89, 30, 90, 0), 111195.0802, 0.001);
}

static void test_known_cities(void **state)
{
    (void)state;
    /* Cape Town to Johannesburg; London to New York: the usual 1,262 and 5,570 km. */
    assert_near(distance(-33.9249, 18.4241, -26.2041, 28.0473), 1261.7e3, 1.5e3);
    assert_near(distance(51.5074, -0.1278, 40.7128, -74.0060), 5570.2e3, 1.5e3);
}

static void test_antipodes_are_half_a_circle_apart(void **state)
{
    (void)state;
    assert_near(distance(0, 0, 0, 180), HALF_CIRCLE_M, 0.5);
    assert_near(distance(90, 0, -90, 0), HALF_CIRCLE_M, 0.5);
    assert_near(distance(-33.9, 18.4, 33.9, -161.6), HALF_CIRCLE_M, 0.5);
}

static void test_at_a_pole_the_longitude_means_nothing(void **state)
{
    (void)state;
    assert_true(distance(90, 0, 90, 123) == 0);
    assert_true(distance(-90, -180, -90, 77) == 0);
    assert_near(distance(90, 55, 0, -120), HALF_CIRCLE_M / 2, 1e-3);
}

static void test_the_date_line_is_no_wall(void **state)
{
    (void)state;
    assert_near(distance(10, 180, 10, -180), 0, 1e-6);
    assert_near(distance(0, 179.5, 0, -179.5), 111195.0802, 0.001);
}

static void test_the_same_place_is_at_distance_0(void **state)
{
    (void)state;
    assert_true(distance(-33.9, 18.4, -33.9, 18.4) == 0.0);
    assert_true(distance(0, 0, 0, 0) == 0.0);
}

static void test_a_metre_is_a_metre(void **state)
{
    (void)state;
    double degree = 1 / 111195.0802;
    assert_near(distance(48, 11, 48 + degree, 11), 1, 1e-6);
    assert_near(distance(0, 0, 0, degree / 100), 0.01, 1e-6);
}

static void test_random_pairs_agree_with_the_haversine_formula(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        double lat_a = random_between(-90, 90);
        double lng_a = random_between(-180, 180);
        double lat_b = random_between(-90, 90);
        double lng_b = random_between(-180, 180);
        double expected = haversine(lat_a, lng_a, lat_b, lng_b);
        assert_near(distance(lat_a, lng_a, lat_b, lng_b), expected,
                    expected > 0.999 * HALF_CIRCLE_M ? 1 : 1e-3);
    }
}

static void assert_ranks(double radius_deg, double tolerance_m)
{
    for (int i = 0; i < 200000; i++) {
        double lat = random_between(-80, 80);
        double lng = random_between(-180, 180);
        struct geo_point here = geo_point(lat, lng);
        struct geo_point a = geo_point(lat + random_between(-radius_deg, radius_deg),
                                       lng + random_between(-radius_deg, radius_deg));
        struct geo_point b = geo_point(lat + random_between(-radius_deg, radius_deg),
                                       lng + random_between(-radius_deg, radius_deg));
        double nearer_by = geo_distance_m(&here, &b) - geo_distance_m(&here, &a);
        if (fabs(nearer_by) > tolerance_m) {
            assert_int_equal(nearer_by > 0, geo_chord2(&here, &a) < geo_chord2(&here, &b));
        }
    }
}

static void test_the_chord_ranks_like_distance_over_the_world(void **state)
{
    (void)state;
    assert_ranks(10, 0.01);
}

static void test_the_chord_ranks_like_distance_in_a_town(void **state)
{
    (void)state;
    assert_ranks(0.002, 1e-6);
}

static void test_the_bounds_belong_to_the_world(void **state)
{
    (void)state;
    assert_true(geo_valid(0, 0));
    assert_true(geo_valid(90, 180));
    assert_true(geo_valid(-90, -180));
    assert_true(geo_valid(-0.0, -0.0));
}

static void test_what_is_no_place_is_not_valid(void **state)
{
    (void)state;
    const double bad[][2] = {{nextafter(90, 91), 0},
                             {nextafter(-90, -91), 0},
                             {0, nextafter(180, 181)},
                             {0, nextafter(-180, -181)},
                             {NAN, 0},
                             {0, NAN},
                             {INFINITY, 0},
                             {-INFINITY, 0},
                             {0, INFINITY},
                             {0, -INFINITY},
                             {1e308, 1e308}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (geo_valid(bad[i][0], bad[i][1])) {
            fail_msg("%g, %g counts as a place", bad[i][0], bad[i][1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_degree_of_a_great_circle),
        cmocka_unit_test(test_known_cities),
        cmocka_unit_test(test_antipodes_are_half_a_circle_apart),
        cmocka_unit_test(test_at_a_pole_the_longitude_means_nothing),
        cmocka_unit_test(test_the_date_line_is_no_wall),
        cmocka_unit_test(test_the_same_place_is_at_distance_0),
        cmocka_unit_test(test_a_metre_is_a_metre),
        cmocka_unit_test(test_random_pairs_agree_with_the_haversine_formula),
        cmocka_unit_test(test_the_chord_ranks_like_distance_over_the_world),
        cmocka_unit_test(test_the_chord_ranks_like_distance_in_a_town),
        cmocka_unit_test(test_the_bounds_belong_to_the_world),
        cmocka_unit_test(test_what_is_no_place_is_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
