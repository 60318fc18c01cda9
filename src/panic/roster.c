/*
 * Responders by tenant and id in trees, and those that are free in sets that nearest.h searches: for each
 * tenant two crowds, the real and the simulated ones, and in each a set of those with a place and one of
 * those without, which all stand at one point there, so that they come in the order of their ids.
 *
 * An entry is in the set where it belongs while it is free, and in none while it is not: it is withdrawn
 * before anything of it changes, and enlisted again afterwards. Nothing but a put of a responder or tenant
 * that is new needs memory, so one that is known can always be freed, moved and found.
 */
#include "panic/roster.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "panic/geo.h"
#include "panic/nearest.h"
#include "panic/v1/panic.pb-c.h"
#include "rpc/alloc.h"

/* A responder with a place and the longest id takes a quarter of it. */
#define UNPACKED_SIZE 2048
#define UNPACKED_SIZE_MAX ((size_t)2 * STORE_CONTENT_MAX)

static_assert(STORE_RESPONDER_ID_MAX <= NEAREST_NAME_MAX, "ids are the names of items");

struct tenant;

struct entry {
    RB_ENTRY(entry) node;
    struct tenant *tenant;
    char id[STORE_RESPONDER_ID_MAX + 1];
    bool on_duty;
    bool simulated;
    bool bound;
    bool placed;
    struct geo_point point;
    struct nearest_item item;
    /* The set it is in; NULL while it is not free. */
    struct nearest *enlisted;
};

static int compare_entries(const struct entry *a, const struct entry *b)
{
    return strcmp(a->id, b->id);
}

RB_HEAD(entry_tree, entry);
RB_GENERATE_INTERNAL(entry_tree, entry, node, compare_entries, static __attribute__((unused)))

/* Those of a tenant that are free, real or simulated. */
struct crowd {
    struct nearest placed;
    struct nearest unplaced;
};

struct tenant {
    RB_ENTRY(tenant) node;
    char name[STORE_TENANT_MAX + 1];
    struct entry_tree entries;
    struct crowd crowds[2];
};

static int compare_tenants(const struct tenant *a, const struct tenant *b)
{
    return strcmp(a->name, b->name);
}

RB_HEAD(tenant_tree, tenant);
RB_GENERATE_INTERNAL(tenant_tree, tenant, node, compare_tenants, static __attribute__((unused)))

struct roster {
    size_t responders_max;
    pthread_mutex_t lock;
    /* Under the lock. */
    struct tenant_tree tenants;
    size_t responders;
    /* How many are free, real and simulated. Written under the lock, read by anybody. */
    _Atomic size_t available[2];
};

enum status roster_new(size_t responders_max, struct roster **ret_roster)
{
    struct roster *roster = calloc(1, sizeof(*roster));
    if (roster == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    roster->responders_max = responders_max;
    pthread_mutex_init(&roster->lock, NULL);
    RB_INIT(&roster->tenants);
    *ret_roster = roster;
    return STATUS_OK;
}

static void free_entries(struct tenant *tenant)
{
    struct entry *entry = RB_MIN(entry_tree, &tenant->entries);
    while (entry != NULL) {
        struct entry *next = RB_NEXT(entry_tree, &tenant->entries, entry);
        RB_REMOVE(entry_tree, &tenant->entries, entry);
        free(entry);
        entry = next;
    }
}

void roster_free(struct roster *roster)
{
    if (roster == NULL) {
        return;
    }
    struct tenant *tenant = RB_MIN(tenant_tree, &roster->tenants);
    while (tenant != NULL) {
        struct tenant *next = RB_NEXT(tenant_tree, &roster->tenants, tenant);
        RB_REMOVE(tenant_tree, &roster->tenants, tenant);
        free_entries(tenant);
        free(tenant);
        tenant = next;
    }
    pthread_mutex_destroy(&roster->lock);
    free(roster);
}

static void copy_name(char *to, size_t room, const char *from)
{
    size_t length = strnlen(from, room - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

static struct tenant *find_tenant(struct roster *roster, const char *name)
{
    struct tenant key;
    copy_name(key.name, sizeof(key.name), name);
    return RB_FIND(tenant_tree, &roster->tenants, &key);
}

static struct entry *find(struct roster *roster, const char *tenant_name, const char *id)
{
    struct tenant *tenant = find_tenant(roster, tenant_name);
    if (tenant == NULL) {
        return NULL;
    }
    struct entry key;
    copy_name(key.id, sizeof(key.id), id);
    return RB_FIND(entry_tree, &tenant->entries, &key);
}

static void withdraw(struct roster *roster, struct entry *entry)
{
    if (entry->enlisted != NULL) {
        nearest_remove(entry->enlisted, &entry->item);
        entry->enlisted = NULL;
        roster->available[entry->simulated]--;
    }
}

/* Puts the entry, which was withdrawn, where it belongs. */
static void enlist(struct roster *roster, struct entry *entry)
{
    if (!entry->on_duty || entry->bound) {
        return;
    }
    static const struct geo_point nowhere = {.x = 1};
    struct crowd *crowd = &entry->tenant->crowds[entry->simulated];
    entry->enlisted = entry->placed ? &crowd->placed : &crowd->unplaced;
    nearest_add(entry->enlisted, &entry->item, entry->id, entry->placed ? &entry->point : &nowhere);
    roster->available[entry->simulated]++;
}

static struct tenant *need_tenant(struct roster *roster, const char *name)
{
    struct tenant *tenant = find_tenant(roster, name);
    if (tenant != NULL) {
        return tenant;
    }
    tenant = calloc(1, sizeof(*tenant));
    if (tenant != NULL) {
        copy_name(tenant->name, sizeof(tenant->name), name);
        RB_INSERT(tenant_tree, &roster->tenants, tenant);
    }
    return tenant; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds it */
}

static struct entry *add(struct roster *roster, const struct store_responder *responder)
{
    struct tenant *tenant = need_tenant(roster, responder->tenant);
    struct entry *entry = tenant != NULL ? calloc(1, sizeof(*entry)) : NULL;
    if (entry == NULL) {
        return NULL; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds the tenant */
    }
    entry->tenant = tenant;
    copy_name(entry->id, sizeof(entry->id), responder->id);
    entry->bound = !id_is_nil(&responder->panic_id);
    RB_INSERT(entry_tree, &tenant->entries, entry);
    roster->responders++;
    return entry;
}

/*
 * The content is what this process or its forerunner has packed, and small: it is unpacked on the stack, so
 * that no want of memory can make a simulated responder a real one.
 */
static bool is_simulated(const struct store_responder *responder)
{
    alignas(max_align_t) char room[UNPACKED_SIZE];
    struct arena arena;
    arena_init(&arena, room, sizeof(room), UNPACKED_SIZE_MAX);
    ProtobufCAllocator allocator = rpc_arena_allocator(&arena);
    const Panic__V1__Responder *content =
        panic__v1__responder__unpack(&allocator, responder->content.length, responder->content.data);
    bool simulated = content != NULL && content->simulated;
    arena_reset(&arena);
    return simulated;
}

static enum status put(struct roster *roster, const struct store_responder *responder, bool simulated)
{
    struct entry *entry = find(roster, responder->tenant, responder->id);
    if (entry == NULL) {
        entry = add(roster, responder);
    }
    if (entry == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    withdraw(roster, entry);
    entry->on_duty = responder->state == PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE;
    entry->simulated = simulated;
    entry->placed = responder->location.known;
    if (entry->placed) {
        entry->point = geo_point(responder->location.lat, responder->location.lng);
    }
    enlist(roster, entry);
    return STATUS_OK; /* NOLINT(clang-analyzer-unix.Malloc): the tree holds the entry */
}

enum status roster_put(struct roster *roster, const struct store_responder *responder)
{
    bool simulated = is_simulated(responder);
    pthread_mutex_lock(&roster->lock);
    enum status status = put(roster, responder, simulated);
    pthread_mutex_unlock(&roster->lock);
    return status;
}

enum status roster_check_put(struct roster *roster, const char *tenant, const char *responder_id,
                             bool simulated)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&roster->lock);
    const struct entry *entry = find(roster, tenant, responder_id);
    if (entry == NULL && roster->responders >= roster->responders_max) {
        status = STATUS_RESOURCE_EXHAUSTED;
    } else if (entry != NULL && entry->bound && entry->simulated != simulated) {
        status = STATUS_FAILED_PRECONDITION;
    }
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

static struct nearest_item *find_free(const struct crowd *crowd, const struct geo_point *point)
{
    if (point != NULL && !nearest_is_empty(&crowd->placed)) {
        return nearest_find(&crowd->placed, point);
    }
    /* Where nobody knows how far it is, those go that are of no use to a panic with a place. */
    struct nearest_item *item = nearest_first(&crowd->unplaced);
    return item != NULL ? item : nearest_first(&crowd->placed);
}

/* NULL when nobody of the tenant is free. */
static struct entry *nearest(struct roster *roster, const char *tenant_name, bool simulated,
                             const struct geo_point *point)
{
    struct tenant *tenant = find_tenant(roster, tenant_name);
    struct nearest_item *item = tenant != NULL ? find_free(&tenant->crowds[simulated], point) : NULL;
    return item != NULL ? (struct entry *)(void *)((char *)item - offsetof(struct entry, item)) : NULL;
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
        withdraw(roster, entry);
        entry->bound = true;
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
        enlist(roster, entry);
    }
    pthread_mutex_unlock(&roster->lock);
}

size_t roster_available(const struct roster *roster, bool simulated)
{
    return roster->available[simulated];
}
