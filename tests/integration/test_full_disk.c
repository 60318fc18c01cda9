/*
 * A disk without room. The store lies on a tmpfs of a few megabytes, in a mount namespace of this test, so
 * that the mount goes with the process. A ballast file takes half of it; when creates are refused for want of
 * room it is deleted, and they must succeed again by themselves.
 */
#include "harness/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/id.h"
#include "harness/calls.h"
#include "harness/panicd.h"
#include "rpc/channel.h"

#define DISK "size=8m"
#define BALLAST_BYTES (3 * 1024 * 1024)
#define NOTE_BYTES 4000
#define PANICS_MAX 4000

struct fixture {
    char folder[64];
    struct panicd *panicd;
    struct panic_client *client;
    /* For single attempts: panic_client would repeat what is refused. */
    struct rpc_channel *channel;
    struct arena arena;
    char acknowledged[PANICS_MAX][ID_TEXT_SIZE];
    size_t n_acknowledged;
    char refused[ID_TEXT_SIZE];
};

static void expect_system(int result, const char *what)
{
    if (result != 0) {
        fail_msg("%s: %s", what, strerror(errno));
    }
}

static void ballast_path(const struct fixture *f, char *path, size_t size)
{
    snprintf(path, size, "%s/ballast", f->folder);
}

static void make_ballast(const struct fixture *f)
{
    char path[128];
    ballast_path(f, path, sizeof(path));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    expect_system(posix_fallocate(fd, 0, BALLAST_BYTES), "ballast");
    close(fd);
}

/* A namespace and a mount of our own; says why when that is not permitted. */
static bool can_mount(const char *folder)
{
    if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", folder, "tmpfs", 0, DISK) == 0) {
        return true;
    }
    print_message("a small tmpfs cannot be mounted here: %s\n", strerror(errno));
    return false;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    snprintf(f->folder, sizeof(f->folder), "/tmp/panicd-disk-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rpc_channel_close(f->channel);
    panic_client_close(f->client);
    panicd_end(f->panicd);
    arena_reset(&f->arena);
    umount(f->folder);
    rmdir(f->folder);
    free(f);
    return 0;
}

static enum status create_once(struct fixture *f, char id[ID_TEXT_SIZE], struct diag *diag)
{
    char note[NOTE_BYTES + 1];
    memset(note, 'x', NOTE_BYTES);
    note[NOTE_BYTES] = 0;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = note;
    entry.key = (char *)"note";
    entry.value = &value;
    metadata.n_fields = 1;
    metadata.fields = entries;
    request.id = id;
    request.subject_id = id;
    request.metadata = &metadata;
    const ProtobufCMessage *response;
    arena_reset(&f->arena);
    enum status status =
        rpc_channel_call_wait(f->channel, &panic__v1__panic_service__descriptor, "CreatePanic", &request.base,
                              HARNESS_PATIENCE_US, false, &f->arena, &response, diag);
    if (status == STATUS_OK) {
        memcpy(f->acknowledged[f->n_acknowledged++], id, ID_TEXT_SIZE);
    }
    return status;
}

static enum status create_new(struct fixture *f, char id[ID_TEXT_SIZE], struct diag *diag)
{
    assert_true(f->n_acknowledged < PANICS_MAX);
    struct id fresh = id_new_v7(clock_wall_us(clock_system()));
    return create_once(f, (char *)id_format(&fresh, id), diag);
}

/* Until a create is refused, which must be for want of room. */
static void create_until_full(struct fixture *f)
{
    struct diag diag = {0};
    enum status status;
    do {
        status = create_new(f, f->refused, &diag);
    } while (status == STATUS_OK);
    assert_status(status, STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(diag.text, "nothing was stored"));
}

static void expect_all_readable(struct fixture *f)
{
    for (size_t i = 0; i < f->n_acknowledged; i++) {
        arena_reset(&f->arena);
        const Panic__V1__Panic *panic = calls_get(f->client, &f->arena, f->acknowledged[i]);
        assert_true(panic->durable);
        assert_string_equal(panic->subject_id, f->acknowledged[i]);
        assert_int_equal(strlen(panic->metadata->fields[0]->value->string_value), NOTE_BYTES);
    }
}

static void expect_refused_one_is_unknown(struct fixture *f)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = f->refused;
    const Panic__V1__GetPanicResponse *response;
    struct diag diag;
    assert_status(panic_client_get(f->client, &request, HARNESS_PATIENCE_US, &f->arena, &response, &diag),
                  STATUS_NOT_FOUND);
}

static void count_panic(void *ctx, const Panic__V1__Panic *panic)
{
    (void)panic;
    (*(size_t *)ctx)++;
}

static void expect_stored(struct fixture *f, size_t n)
{
    size_t stored = 0;
    calls_each_panic(f->client, count_panic, &stored);
    assert_int_equal(stored, n);
}

static void start(struct fixture *f)
{
    f->panicd = panicd_start_in(f->folder, NULL);
    f->client = calls_connect(panicd_ipc(f->panicd));
    const struct rpc_channel_config config = {.url = panicd_ipc(f->panicd), .contexts = 1};
    assert_ok(rpc_channel_open(&config, &f->channel, NULL));
    arena_init(&f->arena, NULL, 0, (size_t)16 * 1024 * 1024);
}

static void test_a_full_disk_refuses_loses_nothing_and_is_got_over_without_a_restart(void **state)
{
    struct fixture *f = *state;
    if (!can_mount(f->folder)) {
        skip();
    }
    start(f);
    make_ballast(f);
    create_until_full(f);
    size_t before = f->n_acknowledged;
    assert_true(before > 10);
    expect_all_readable(f);
    expect_refused_one_is_unknown(f);
    expect_stored(f, before);

    char path[128];
    ballast_path(f, path, sizeof(path));
    pid_t pid = panicd_pid(f->panicd);
    expect_system(unlink(path), "unlink");
    struct diag diag = {0};
    assert_ok(create_once(f, f->refused, &diag));
    char id[ID_TEXT_SIZE];
    for (int i = 0; i < 50; i++) {
        assert_ok(create_new(f, id, &diag));
    }
    assert_int_equal(panicd_pid(f->panicd), pid);

    panicd_kill(f->panicd);
    panicd_restart(f->panicd);
    expect_stored(f, before + 51);
    expect_all_readable(f);
    print_message("%zu panics until the disk was full, 51 after it had room again, all there after kill -9\n",
                  before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_full_disk_refuses_loses_nothing_and_is_got_over_without_a_restart, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("full disk", tests, NULL, NULL);
}
