/*
 * Two structures over the same entries: a tree by (tenant, id), and an array of those that are free, as unit
 * vectors beside each other, which the search runs over from end to end: a few nanoseconds each, no
 * trigonometry. An entry knows its place in the array, so that taking and releasing one is O(1) (the last one
 * moves into the gap).
 */
#include "panic/roster.h"

#include <bsd/sys/tree.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "panic/geo.h"
#include "panic/v1/panic.pb-c.h"

#define NOT_FREE SIZE_MAX

struct entry {
    RB_ENTRY(entry) node;
    char tenant[STORE_TENANT_MAX + 1];
    char id[STORE_RESPONDER_ID_MAX + 1];
    bool on_duty;
    bool simulated;
    bool bound;
    bool placed;
    struct geo_point point;
    /* Index in `free`, or NOT_FREE. */
    size_t slot;
};

/* What the search reads: kept apart from the entries so that it runs over consecutive memory. */
struct candidate {
    struct geo_point point;
    bool placed;
    bool simulated;
    struct entry *entry;
};

static int compare_entries(const struct entry *a, const struct entry *b)
{
    int order = strcmp(a->tenant, b->tenant);
    return order != 0 ? order : strcmp(a->id, b->id);
}

RB_HEAD(entry_tree, entry);
RB_GENERATE_INTERNAL(entry_tree, entry, node, compare_entries, static __attribute__((unused)))

struct roster {
    pthread_mutex_t lock;
    struct entry_tree entries;
    size_t n_entries;
    struct candidate *free;
    size_t n_free;
    /* Of these the real and the simulated ones. Written under the lock, read by anybody. */
    _Atomic size_t available[2];
    /* Room in `free`: always at least n_entries, so that freeing a responder cannot fail. */
    size_t free_room;
};

enum status roster_new(struct roster **ret_roster)
{
    struct roster *roster = calloc(1, sizeof(*roster));
    if (roster == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    pthread_mutex_init(&roster->lock, NULL);
    RB_INIT(&roster->entries);
    *ret_roster = roster;
    return STATUS_OK;
}

void roster_free(struct roster *roster)
{
    if (roster == NULL) {
        return;
    }
    struct entry *entry = RB_MIN(entry_tree, &roster->entries);
    while (entry != NULL) {
        struct entry *next = RB_NEXT(entry_tree, &roster->entries, entry);
        RB_REMOVE(entry_tree, &roster->entries, entry);
        free(entry);
        entry = next;
    }
    pthread_mutex_destroy(&roster->lock);
    free(roster->free);
    free(roster);
}

static void copy_name(char *to, size_t room, const char *from)
{
    size_t length = strnlen(from, room - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

static struct entry *find(struct roster *roster, const char *tenant, const char *id)
{
    struct entry key;
    copy_name(key.tenant, sizeof(key.tenant), tenant);
    copy_name(key.id, sizeof(key.id), id);
    return RB_FIND(entry_tree, &roster->entries, &key);
}

static void remove_free(struct roster *roster, struct entry *entry)
{
    if (entry->slot == NOT_FREE) {
        return;
    }
    roster->available[roster->free[entry->slot].simulated]--;
    struct candidate last = roster->free[--roster->n_free];
    roster->free[entry->slot] = last;
    last.entry->slot = entry->slot;
    entry->slot = NOT_FREE;
}

/* Brings the array of the free in line with the entry. */
static void settle(struct roster *roster, struct entry *entry)
{
    remove_free(roster, entry);
    if (!entry->on_duty || entry->bound) {
        return;
    }
    entry->slot = roster->n_free++;
    roster->free[entry->slot] = (struct candidate){
        .point = entry->point, .placed = entry->placed, .simulated = entry->simulated, .entry = entry};
    roster->available[entry->simulated]++;
}

static bool make_room(struct roster *roster)
{
    if (roster->n_entries < roster->free_room) {
        return true;
    }
    size_t room = roster->free_room == 0 ? 64 : roster->free_room * 2;
    struct candidate *bigger = realloc(roster->free, room * sizeof(*bigger));
    if (bigger == NULL) {
        return false;
    }
    roster->free = bigger;
    roster->free_room = room;
    return true;
}

static struct entry *add(struct roster *roster, const struct store_responder *responder)
{
    struct entry *entry = make_room(roster) ? calloc(1, sizeof(*entry)) : NULL;
    if (entry == NULL) {
        return NULL;
    }
    copy_name(entry->tenant, sizeof(entry->tenant), responder->tenant);
    copy_name(entry->id, sizeof(entry->id), responder->id);
    entry->bound = !id_is_nil(&responder->panic_id);
    entry->slot = NOT_FREE;
    RB_INSERT(entry_tree, &roster->entries, entry);
    roster->n_entries++;
    return entry;
}

/* The content is what this process or its forerunner has packed. */
static bool is_simulated(const struct store_responder *responder)
{
    Panic__V1__Responder *content =
        panic__v1__responder__unpack(NULL, responder->content.length, responder->content.data);
    bool simulated = content != NULL && content->simulated;
    if (content != NULL) {
        panic__v1__responder__free_unpacked(content, NULL);
    }
    return simulated;
}

static enum status put(struct roster *roster, const struct store_responder *responder)
{
    struct entry *entry = find(roster, responder->tenant, responder->id);
    if (entry == NULL) {
        entry = add(roster, responder);
    }
    if (entry == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    entry->on_duty = responder->state == PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE;
    entry->simulated = is_simulated(responder);
    entry->placed = responder->location.known;
    if (entry->placed) {
        entry->point = geo_point(responder->location.lat, responder->location.lng);
    }
    settle(roster, entry);
    return STATUS_OK; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds the entry */
}

enum status roster_put(struct roster *roster, const struct store_responder *responder)
{
    pthread_mutex_lock(&roster->lock);
    enum status status = put(roster, responder);
    pthread_mutex_unlock(&roster->lock);
    return status;
}

struct loading {
    struct roster *roster;
    enum status status;
};

static void load_one(void *ctx, const struct store_responder *responder)
{
    struct loading *loading = ctx;
    if (loading->status == STATUS_OK) {
        loading->status = roster_put(loading->roster, responder);
    }
}

enum status roster_load(struct roster *roster, struct store *store)
{
    struct loading loading = {.roster = roster, .status = STATUS_OK};
    enum status status = store_all_responders(store, load_one, &loading);
    return status != STATUS_OK ? status : loading.status;
}

/* The nearest free one with a place; without, one that has none; NULL when nobody of the tenant is free. */
static struct entry *nearest(const struct roster *roster, const char *tenant, bool simulated,
                             const struct geo_point *point)
{
    struct entry *best = NULL;
    double best_nearness = -2.0;
    for (size_t i = 0; i < roster->n_free; i++) {
        const struct candidate *candidate = &roster->free[i];
        double nearness = candidate->placed && point != NULL ? geo_nearness(&candidate->point, point) : -2.0;
        bool better = candidate->simulated == simulated && (best == NULL || nearness > best_nearness);
        if (better && strcmp(candidate->entry->tenant, tenant) == 0) {
            best = candidate->entry;
            best_nearness = nearness;
        }
    }
    return best;
}

bool roster_take(struct roster *roster, const char *tenant, const struct store_location *place,
                 bool simulated, struct roster_match *ret_match)
{
    struct geo_point point;
    if (place->known) {
        point = geo_point(place->lat, place->lng);
    }
    pthread_mutex_lock(&roster->lock);
    struct entry *entry = nearest(roster, tenant, simulated, place->known ? &point : NULL);
    if (entry != NULL) {
        memcpy(ret_match->responder_id, entry->id, sizeof(entry->id));
        ret_match->distance_m = entry->placed && place->known ? geo_distance_m(&entry->point, &point) : -1.0;
        entry->bound = true;
        settle(roster, entry);
    }
    pthread_mutex_unlock(&roster->lock);
    return entry != NULL;
}

void roster_release(struct roster *roster, const char *tenant, const char *responder_id)
{
    pthread_mutex_lock(&roster->lock);
    struct entry *entry = find(roster, tenant, responder_id);
    if (entry != NULL && entry->bound) {
        entry->bound = false;
        settle(roster, entry);
    }
    pthread_mutex_unlock(&roster->lock);
}

size_t roster_available(const struct roster *roster, bool simulated)
{
    return roster->available[simulated];
}
