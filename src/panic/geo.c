#include "panic/geo.h"

#include <math.h>

bool geo_valid(double lat, double lng)
{
    return isfinite(lat) && isfinite(lng) && fabs(lat) <= 90.0 && fabs(lng) <= 180.0;
}

struct geo_point geo_point(double lat, double lng)
{
    double phi = lat * M_PI / 180.0;
    double lambda = lng * M_PI / 180.0;
    /* A pole is one place, whatever the longitude: the cosine of its rounded latitude is not quite 0. */
    double across = fabs(lat) < 90.0 ? cos(phi) : 0;
    return (struct geo_point){.x = across * cos(lambda), .y = across * sin(lambda), .z = sin(phi)};
}

double geo_distance_m(const struct geo_point *a, const struct geo_point *b)
{
    double half_chord = sqrt(geo_chord2(a, b)) / 2.0;
    return 2.0 * GEO_EARTH_RADIUS_M * asin(fmin(half_chord, 1.0));
}
