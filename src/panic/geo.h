/*
 * Places on the Earth as unit vectors, so that the nearest of many is found by multiplications only.
 *
 * For unit vectors a and b the chord |a-b| grows with the angle between them, so comparing chords ranks by
 * great-circle distance, and their squares do as well. The distance itself is R * 2 * asin(|a-b| / 2), which
 * unlike acos(a.b) is accurate for near points; R = 6,371,008.8 m, the mean radius of GRS 80 (H. Moritz,
 * "Geodetic Reference System 1980").
 */
#ifndef PANIC_GEO_H
#define PANIC_GEO_H

#include <stdbool.h>

#define GEO_EARTH_RADIUS_M 6371008.8

struct geo_point {
    double x, y, z;
};

/* Finite, and within -90..90 and -180..180 degrees? */
bool geo_valid(double lat, double lng);

/* Degrees to a unit vector. The position must be valid. */
struct geo_point geo_point(double lat, double lng);

/* The square of the chord between them: smaller is nearer. */
static inline double geo_chord2(const struct geo_point *a, const struct geo_point *b)
{
    double dx = a->x - b->x;
    double dy = a->y - b->y;
    double dz = a->z - b->z;
    return dx * dx + dy * dy + dz * dz;
}

/* Great-circle distance in metres. */
double geo_distance_m(const struct geo_point *a, const struct geo_point *b);

#endif
