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
    return (struct geo_point){.x = cos(phi) * cos(lambda), .y = cos(phi) * sin(lambda), .z = sin(phi)};
}

double geo_distance_m(const struct geo_point *a, const struct geo_point *b)
{
    double dx = a->x - b->x;
    double dy = a->y - b->y;
    double dz = a->z - b->z;
    double half_chord = sqrt(dx * dx + dy * dy + dz * dz) / 2.0;
    return 2.0 * GEO_EARTH_RADIUS_M * asin(fmin(half_chord, 1.0));
}
