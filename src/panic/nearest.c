/*
 * A crit-bit tree (D. J. Bernstein, "Crit-bit trees", https://cr.yp.to/critbit.html) over the cells of the
 * items' places, searched by branch and bound as a k-d tree is (J. H. Friedman, J. L. Bentley and R. A.
 * Finkel, "An Algorithm for Finding Best Matches in Logarithmic Expected Time", ACM TOMS 3, 1977).
 *
 * An item's key is its cell, then its name. A cell is the number of a square of a centimetre or two: the face
 * of the cube round the Earth through which the place is seen from the centre, and the place on that face
 * with the bits of both coordinates interleaved (G. M. Morton, 1966; so does https://s2geometry.io). Items
 * whose keys begin alike are therefore near each other, and every fork stands for a region: halves of it
 * hang at its two sides.
 *
 * Why a search is exact: it does not believe in cells. Each branch has the bounding box, in space, of the
 * unit vectors below it, and a branch is left out only if the box is farther than an item already found. The
 * chord between unit vectors grows with the great-circle distance, so the nearest in space is the nearest on
 * the ground; poles, the antimeridian and the cube's edges are places like all others. What is equally far
 * is looked into, so that names decide, but where a box is one point: there the first name is found by
 * walking down the lower sides, since the name is all that is left of the key.
 *
 * Why the shape needs no care: it follows from the keys alone, not from the order of changes. A change
 * touches one path from the root, and nothing is ever rebuilt. n items need n - 1 forks, and each item brings
 * one along; an item that leaves while its fork is in use takes the fork that its leaving sets free instead,
 * by moving the one into the other. So there is always one for the next item.
 *
 * Cost. No path is longer than the key has bits (DEPTH_MAX); of n items spread over cells it has about log n,
 * of n at one place as many as their names need to differ. A search goes down one path and into what boxes
 * could not exclude. Where the ground lies along the axes of space, as in the middle of a cube's face, that
 * is a constant number of branches at each level; where it is tilted, boxes reach over their neighbours, and
 * the number rises slowly with the depth: 40 to 90 branches in all among 100,000 items of one town, as it
 * lies, and 50 to 130 among a million. It is more where many are nearly as far as the nearest: for whoever
 * stands in the middle of those who have been taken, or far away from all, the edge of the crowd is looked
 * at, some multiple of the root of n. Only items on a circle round the place, or many at different places
 * within one cell, make a search look at all of them.
 *
 * Why no library: what Debian has for this (libspatialindex, nanoflann, FLANN, GEOS) is C++ inside and finds
 * memory for its own nodes, so that a responder who becomes free could fail to be found again.
 */
#include "panic/nearest.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* Bits of a face's number and of each coordinate on it. */
#define FACE_BITS 3
#define COORDINATE_BITS 30
#define CELL_BITS 64
#define DEPTH_MAX (CELL_BITS + 8 * NEAREST_NAME_MAX)

/* Compilers may fuse multiply and add in one place and not in another: chords are equal only within this. */
#define ROUNDING (1.0 - 8.0 * DBL_EPSILON)

/* Bit i moves to 2i. */
static uint64_t spread(uint64_t bits)
{
    bits = (bits | bits << 16) & 0x0000ffff0000ffff;
    bits = (bits | bits << 8) & 0x00ff00ff00ff00ff;
    bits = (bits | bits << 4) & 0x0f0f0f0f0f0f0f0f;
    bits = (bits | bits << 2) & 0x3333333333333333;
    return (bits | bits << 1) & 0x5555555555555555;
}

/* From -1..1; what rounding puts outside counts as the edge. */
static uint64_t quantise(double coordinate)
{
    double scale = (double)(UINT64_C(1) << COORDINATE_BITS);
    return (uint64_t)fmax(0, fmin((coordinate + 1) / 2 * scale, scale - 1));
}

static uint64_t cell_on(unsigned face, double u, double v)
{
    uint64_t place = spread(quantise(u)) << 1 | spread(quantise(v));
    return (uint64_t)face << (CELL_BITS - FACE_BITS) | place << (CELL_BITS - FACE_BITS - 2 * COORDINATE_BITS);
}

static uint64_t cell_of(const struct geo_point *point)
{
    double x = fabs(point->x);
    double y = fabs(point->y);
    double z = fabs(point->z);
    if (x >= y && x >= z) {
        return cell_on(point->x < 0, point->y / x, point->z / x);
    }
    if (y >= z) {
        return cell_on(2 + (point->y < 0), point->z / y, point->x / y);
    }
    return cell_on(4 + (point->z < 0), point->x / z, point->y / z);
}

/* A name is followed by zeros without end. */
static unsigned char name_byte(const struct nearest_item *item, unsigned i)
{
    return i < item->name_length ? (unsigned char)item->name[i] : 0;
}

static unsigned key_bit(const struct nearest_item *item, unsigned bit)
{
    if (bit < CELL_BITS) {
        return item->cell >> (CELL_BITS - 1 - bit) & 1;
    }
    bit -= CELL_BITS;
    return name_byte(item, bit / 8) >> (7 - bit % 8) & 1;
}

/* The first bit in which the keys differ. */
static unsigned critical_bit(const struct nearest_item *a, const struct nearest_item *b)
{
    if (a->cell != b->cell) {
        return (unsigned)__builtin_clzll(a->cell ^ b->cell);
    }
    unsigned i = 0;
    while (i < NEAREST_NAME_MAX && name_byte(a, i) == name_byte(b, i)) {
        i++;
    }
    assert(i < NEAREST_NAME_MAX);
    unsigned differ = name_byte(a, i) ^ name_byte(b, i);
    return CELL_BITS + 8 * i + (unsigned)__builtin_clz(differ) - (8 * sizeof(differ) - 8);
}

/* The libm's fmin and fmax are calls, and these are half of a search. No coordinate is NaN. */
static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static struct nearest_box join(const struct nearest_box *a, const struct nearest_box *b)
{
    return (struct nearest_box){
        .low = {smaller(a->low.x, b->low.x), smaller(a->low.y, b->low.y), smaller(a->low.z, b->low.z)},
        .high = {larger(a->high.x, b->high.x), larger(a->high.y, b->high.y), larger(a->high.z, b->high.z)}};
}

static bool is_same_point(const struct geo_point *a, const struct geo_point *b)
{
    return a->x == b->x && a->y == b->y && a->z == b->z;
}

static void set_parent(const struct nearest_branch *branch, struct nearest_fork *parent)
{
    if (branch->fork != NULL) {
        branch->fork->parent = parent;
    } else {
        assert(branch->item != NULL);
        branch->item->parent = parent;
    }
}

/* The branch at which the fork hangs. */
static struct nearest_branch *holder(struct nearest *set, const struct nearest_fork *fork)
{
    struct nearest_fork *parent = fork->parent;
    return parent == NULL ? &set->root : &parent->branch[parent->branch[1].fork == fork];
}

/* An item that shares more of its key with `item` than those on other paths do. */
static const struct nearest_item *closest_key(const struct nearest *set, const struct nearest_item *item)
{
    const struct nearest_branch *branch = &set->root;
    while (branch->fork != NULL) {
        branch = &branch->fork->branch[key_bit(item, branch->fork->bit)];
    }
    return branch->item;
}

void nearest_add(struct nearest *set, struct nearest_item *item, const char *name,
                 const struct geo_point *point)
{
    size_t name_length = strlen(name);
    assert(name_length <= NEAREST_NAME_MAX && !item->fork.in_use);
    item->name = name;
    item->name_length = (uint16_t)name_length;
    item->point = *point;
    item->cell = cell_of(point);
    item->parent = NULL;
    const struct nearest_branch leaf = {.item = item, .box = {.low = *point, .high = *point}};
    const struct nearest_item *closest = closest_key(set, item);
    if (closest == NULL) {
        set->root = leaf;
        return;
    }
    unsigned bit = critical_bit(item, closest);
    struct nearest_fork *parent = NULL;
    struct nearest_branch *at = &set->root;
    while (at->fork != NULL && at->fork->bit < bit) {
        at->box = join(&at->box, &leaf.box);
        parent = at->fork;
        at = &parent->branch[key_bit(item, parent->bit)];
    }
    unsigned side = key_bit(item, bit);
    struct nearest_fork *fork = &item->fork;
    *fork = (struct nearest_fork){.parent = parent, .in_use = true, .bit = (uint16_t)bit};
    fork->branch[side] = leaf;
    fork->branch[!side] = *at;
    set_parent(&fork->branch[0], fork);
    set_parent(&fork->branch[1], fork);
    *at = (struct nearest_branch){.fork = fork, .box = join(&leaf.box, &at->box)};
}

/* Boxes from the fork upwards, after something below it has gone. */
static void shrink(struct nearest *set, const struct nearest_fork *fork)
{
    for (; fork != NULL; fork = fork->parent) {
        struct nearest_branch *branch = holder(set, fork);
        struct nearest_box box = join(&fork->branch[0].box, &fork->branch[1].box);
        if (is_same_point(&box.low, &branch->box.low) && is_same_point(&box.high, &branch->box.high)) {
            return;
        }
        branch->box = box;
    }
}

/* `spare`, which is not in use, takes the place of `fork`. */
static void replace_fork(struct nearest *set, struct nearest_fork *fork, struct nearest_fork *spare)
{
    holder(set, fork)->fork = spare;
    *spare = *fork;
    set_parent(&spare->branch[0], spare);
    set_parent(&spare->branch[1], spare);
    *fork = (struct nearest_fork){.in_use = false};
}

void nearest_remove(struct nearest *set, struct nearest_item *item)
{
    struct nearest_fork *spare = item->parent;
    if (spare == NULL) {
        assert(set->root.item == item);
        set->root = (struct nearest_branch){.item = NULL};
        return;
    }
    const struct nearest_branch rest = spare->branch[spare->branch[0].item == item];
    *holder(set, spare) = rest;
    set_parent(&rest, spare->parent);
    shrink(set, spare->parent);
    *spare = (struct nearest_fork){.in_use = false};
    if (item->fork.in_use) {
        replace_fork(set, &item->fork, spare);
    }
}

/* ---- search ---- */

/* A branch that is looked into later, unless something nearer than its box is found before. */
struct later {
    const struct nearest_branch *branch;
    double chord2;
};

struct search {
    struct geo_point point;
    struct nearest_item *best;
    double best_chord2;
    uint64_t visited;
    size_t n_later;
    /* Nearest last. A path leaves at most one behind at each of its forks. */
    struct later later[DEPTH_MAX + 1];
};

static double outside(double low, double at, double high)
{
    return larger(larger(low - at, at - high), 0);
}

/* The square of the chord to the nearest point of the box. */
static double box_chord2(const struct nearest_box *box, const struct geo_point *point)
{
    double dx = outside(box->low.x, point->x, box->high.x);
    double dy = outside(box->low.y, point->y, box->high.y);
    double dz = outside(box->low.z, point->z, box->high.z);
    return (dx * dx + dy * dy + dz * dz) * ROUNDING;
}

static void consider(struct search *search, struct nearest_item *item)
{
    double chord2 = geo_chord2(&item->point, &search->point);
    if (search->best == NULL || chord2 < search->best_chord2 ||
        (chord2 == search->best_chord2 && strcmp(item->name, search->best->name) < 0)) {
        search->best = item;
        search->best_chord2 = chord2;
    }
}

/* Are all below at one place, so that only their names tell them apart? */
static bool is_one_place(const struct nearest_branch *branch)
{
    return branch->fork->bit >= CELL_BITS && is_same_point(&branch->box.low, &branch->box.high);
}

/* The nearer side, the other one being put off; at one place the lower one alone. */
static const struct nearest_branch *choose(struct search *search, const struct nearest_branch *branch)
{
    const struct nearest_branch *sides = branch->fork->branch;
    search->visited += 2;
    if (is_one_place(branch)) {
        return &sides[0];
    }
    double chord2[2] = {box_chord2(&sides[0].box, &search->point), box_chord2(&sides[1].box, &search->point)};
    unsigned nearer = chord2[1] < chord2[0];
    if (chord2[!nearer] <= search->best_chord2) {
        search->later[search->n_later++] =
            (struct later){.branch = &sides[!nearer], .chord2 = chord2[!nearer]};
    }
    return chord2[nearer] <= search->best_chord2 ? &sides[nearer] : NULL;
}

struct nearest_item *nearest_find_counted(const struct nearest *set, const struct geo_point *point,
                                          uint64_t *ret_visited)
{
    struct search search;
    search.point = *point;
    search.best = NULL;
    search.best_chord2 = INFINITY;
    search.visited = 1;
    search.n_later = 1;
    search.later[0] = (struct later){.branch = &set->root, .chord2 = 0};
    while (search.n_later > 0) {
        const struct later next = search.later[--search.n_later];
        const struct nearest_branch *branch = next.chord2 <= search.best_chord2 ? next.branch : NULL;
        while (branch != NULL && branch->fork != NULL) {
            branch = choose(&search, branch);
        }
        if (branch != NULL && branch->item != NULL) {
            consider(&search, branch->item);
        }
    }
    *ret_visited = search.visited;
    return search.best;
}

struct nearest_item *nearest_find(const struct nearest *set, const struct geo_point *point)
{
    uint64_t visited;
    return nearest_find_counted(set, point, &visited);
}

struct nearest_item *nearest_first(const struct nearest *set)
{
    const struct nearest_branch *branch = &set->root;
    while (branch->fork != NULL) {
        branch = &branch->fork->branch[0];
    }
    return branch->item;
}
