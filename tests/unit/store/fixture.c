/* Each test that needs files has a folder of its own under /tmp, which holds nothing else. */
#include "fixture.h"

#include <dirent.h>
#include <sys/mount.h>
#include <unistd.h>

#define ARENA_MAX (64u << 20)

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    arena_init(&fixture->arena, NULL, 0, ARENA_MAX);
    return fixture;
}

int setup_memory(void **state)
{
    struct fixture *fixture = fixture_new();
    snprintf(fixture->url, sizeof(fixture->url), "memory:");
    assert_ok(store_open(fixture->url, &fixture->store, NULL));
    *state = fixture;
    return 0;
}

int setup_folder(void **state)
{
    struct fixture *fixture = fixture_new();
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/panicd-store-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof(fixture->path), "%s/panicd.db", fixture->folder);
    snprintf(fixture->url, sizeof(fixture->url), "sqlite:%s", fixture->path);
    *state = fixture;
    return 0;
}

int setup_sqlite(void **state)
{
    setup_folder(state);
    fixture_reopen(*state);
    return 0;
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        }
    }
    closedir(dir);
    assert_int_equal(rmdir(folder), 0);
}

int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    arena_reset(&fixture->arena);
    if (fixture->folder[0] != 0) {
        remove_folder(fixture->folder);
    }
    free(fixture);
    return 0;
}

int unmount_and_teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    fixture->store = NULL;
    /* Nothing is mounted after a skip. */
    (void)umount2(fixture->folder, MNT_DETACH);
    return teardown(state);
}

void fixture_reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    struct diag diag = {0};
    if (store_open(fixture->url, &fixture->store, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
}

struct id id_of(unsigned n)
{
    struct id id = {
        .bytes = {1, [12] = (uint8_t)(n >> 24), [13] = (uint8_t)(n >> 16), [14] = (uint8_t)(n >> 8)}};
    id.bytes[15] = (uint8_t)n;
    return id;
}

struct store_panic panic_of(unsigned n)
{
    static const char contents[] = "abcdefghijklmnopqrstuvwxyz";
    return (struct store_panic){
        .tenant = "acme",
        .id = id_of(n),
        .version = 1,
        .status = 1,
        .stage = 1,
        .create_time_us = n * 1000000LL,
        .update_time_us = n * 1000000LL,
        .next_action_at_us = (n + 2) * 1000000LL,
        .content = {.data = (const uint8_t *)&contents[n % 25], .length = 2},
    };
}

struct store_responder responder_of(const char *id)
{
    return (struct store_responder){
        .tenant = "acme",
        .id = id,
        .state = 1,
        .location = {.known = true, .lat = -33.9, .lng = 18.4},
        .update_time_us = 7000000,
        .content = {.data = (const uint8_t *)id, .length = strlen(id)},
    };
}

struct store_op create_op(struct fixture *fixture, const struct store_panic *panic)
{
    return (struct store_op){.kind = STORE_CREATE, .panic = panic, .arena = &fixture->arena};
}

struct store_op update_op(const struct store_panic *panic, const struct store_event *event)
{
    return (struct store_op){.kind = STORE_UPDATE, .panic = panic, .event = event};
}

struct store_op put_op(struct fixture *fixture, const struct store_responder *responder)
{
    return (struct store_op){.kind = STORE_PUT_RESPONDER, .responder = responder, .arena = &fixture->arena};
}

static enum status apply_one(struct fixture *fixture, struct store_op op)
{
    assert_ok(store_apply(fixture->store, &op, 1));
    return op.outcome;
}

enum status create(struct fixture *fixture, const struct store_panic *panic)
{
    return apply_one(fixture, create_op(fixture, panic));
}

enum status update(struct fixture *fixture, const struct store_panic *panic)
{
    return apply_one(fixture, update_op(panic, NULL));
}

enum status put(struct fixture *fixture, const struct store_responder *responder)
{
    return apply_one(fixture, put_op(fixture, responder));
}

struct store_panic stored(struct fixture *fixture, const struct id *id)
{
    struct store_panic panic = {0};
    assert_ok(store_get(fixture->store, "acme", id, &fixture->arena, &panic));
    return panic;
}

struct store_panic bound_next(const struct store_panic *panic, const char *responder_id)
{
    struct store_panic next = *panic;
    next.version++;
    next.responder_id = responder_id;
    next.assigned = responder_id != NULL;
    return next;
}

static void assert_text_equal(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL) {
        assert_string_equal(a, b);
    }
}

void assert_panic_equal(const struct store_panic *a, const struct store_panic *b)
{
    assert_string_equal(a->tenant, b->tenant);
    assert_true(id_equal(&a->id, &b->id));
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->stage, b->stage);
    assert_int_equal(a->waiting, b->waiting);
    assert_int_equal(a->attempts, b->attempts);
    assert_int_equal(a->create_time_us, b->create_time_us);
    assert_int_equal(a->update_time_us, b->update_time_us);
    assert_int_equal(a->next_action_at_us, b->next_action_at_us);
    assert_text_equal(a->responder_id, b->responder_id);
    assert_int_equal(a->assigned, b->assigned);
    assert_int_equal(a->assign_time_us, b->assign_time_us);
    assert_true(a->distance_m == b->distance_m);
    assert_text_equal(a->outcome, b->outcome);
    assert_int_equal(a->content.length, b->content.length);
    assert_memory_equal(a->content.data, b->content.data, a->content.length);
}

void create_many(struct fixture *fixture, unsigned n)
{
    struct store_panic panics[64];
    struct store_op ops[64];
    assert_true(n <= 64);
    for (unsigned i = 0; i < n; i++) {
        panics[i] = panic_of(n - i);
        ops[i] = create_op(fixture, &panics[i]);
    }
    assert_ok(store_apply(fixture->store, ops, n));
}
