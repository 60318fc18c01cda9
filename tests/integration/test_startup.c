/* How panicd and panicctl begin: exit statuses, messages, and files that are not theirs to touch. */
#include "harness/test.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/calls.h"
#include "harness/panicd.h"

#define OUTPUT_MAX 8192
#define ARGS_MAX 24
#define FILE_MAX ((size_t)1024 * 1024)
/* One that serves although it should refuse is ended by this; its exit status is then another. */
#define GIVE_UP_AFTER "20"
#define NEVER_IN_USE "ipc:///tmp/panicd-test-nobody-listens-here.sock"

/* The program is run with `timeout`, and its exit status and output must be these. */
static void expect_end(const char *program, const char *const *args, int status, const char *text)
{
    const char *argv[ARGS_MAX] = {"timeout", GIVE_UP_AFTER, program};
    size_t n = 3;
    for (; *args != NULL; args++) {
        assert_true(n < ARGS_MAX - 1);
        argv[n++] = *args;
    }
    char output[OUTPUT_MAX];
    int ended = harness_run(argv, output, sizeof(output));
    if (ended != status || strstr(output, text) == NULL) {
        fail_msg("expected exit status %d and \"%s\", but got %d and:\n%s", status, text, ended, output);
    }
}

#define PANICD(status, text, ...)                                                                            \
    expect_end(harness_panicd_path, (const char *const[]){__VA_ARGS__, NULL}, (status), (text))
#define PANICCTL(status, text, ...)                                                                          \
    expect_end(harness_panicctl_path, (const char *const[]){__VA_ARGS__, NULL}, (status), (text))

/* ---- a folder for each test ---- */

static int set_up(void **state)
{
    char *folder = strdup("/tmp/panicd-start-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    const char *const argv[] = {"/bin/rm", "-rf", *state, NULL};
    char output[256];
    harness_run(argv, output, sizeof(output));
    free(*state);
    return 0;
}

struct name {
    char text[300];
};

static struct name in_folder(void **state, const char *prefix, const char *name)
{
    struct name path;
    snprintf(path.text, sizeof(path.text), "%s%s/%s", prefix, (const char *)*state, name);
    return path;
}

static size_t read_file(const char *path, char *data)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(data, 1, FILE_MAX, file);
    fclose(file);
    assert_true(length > 0 && length < FILE_MAX);
    return length;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* Starting on it fails with this message, and not a byte of it changes. */
static void expect_refused_and_untouched(const char *path, const char *text)
{
    char *before = malloc(FILE_MAX);
    char *after = malloc(FILE_MAX);
    assert_true(before != NULL && after != NULL);
    size_t length = read_file(path, before);
    struct name store;
    snprintf(store.text, sizeof(store.text), "sqlite:%s", path);
    PANICD(EX_IOERR, text, "--listen", NEVER_IN_USE, "--store", store.text);
    assert_int_equal(read_file(path, after), length);
    assert_memory_equal(after, before, length);
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < 3; i++) {
        struct name name;
        snprintf(name.text, sizeof(name.text), "%s%s", path, beside[i]);
        assert_int_not_equal(access(name.text, F_OK), 0);
    }
    free(before);
    free(after);
}

/* ---- panicd: usage ---- */

static void test_help_and_version_exit_0(void **state)
{
    (void)state;
    PANICD(0, "--listen=URL", "--help");
    PANICD(0, "panicd 0.", "--version");
    PANICCTL(0, "Commands", "--help");
    PANICCTL(0, "panicctl 0.", "--version");
    PANICCTL(0, "--lat=DEGREES", "create", "--help");
}

static void test_bad_usage_exits_64_and_says_what_is_wrong(void **state)
{
    (void)state;
    PANICD(EX_USAGE, "--frobnicate", "--frobnicate");
    PANICD(EX_USAGE, "unexpected argument \"start\"", "start");
    PANICD(EX_USAGE, "--log-level: \"loud\" is none of debug, info, warn, error", "--log-level", "loud");
    PANICD(EX_USAGE, "--cache: \"redis://h\"", "--cache", "redis://h");
    PANICD(EX_USAGE, "--http: \"8080\" is not ADDRESS:PORT", "--http", "8080");
    PANICD(EX_USAGE, "--http-origin: \"console.example\" is not an origin", "--http-origin",
           "console.example");
    PANICD(EX_USAGE, "--http-origin: \"https://a.example/\"", "--http-origin", "https://a.example/");
    PANICD(EX_USAGE, "store: must be", "--store", "postgres:x", "--listen", NEVER_IN_USE);
}

static void test_urls_that_are_not_served_exit_64(void **state)
{
    (void)state;
    PANICD(EX_USAGE, "http://127.0.0.1:7070: not supported; use tcp://", "--store", "memory:", "--listen",
           "http://127.0.0.1:7070");
    PANICD(EX_USAGE, "ws://127.0.0.1:7070/x: not supported", "--store", "memory:", "--listen",
           "ws://127.0.0.1:7070/x");
    PANICD(EX_USAGE, "HOST:PORT", "--store", "memory:", "--listen", "tcp://127.0.0.1:seventy");
    PANICD(EX_USAGE, "needs --tls-cert and --tls-key", "--store", "memory:", "--listen",
           "tls+tcp://127.0.0.1:0");
}

static void test_plain_tcp_beyond_loopback_must_be_allowed_by_name(void **state)
{
    (void)state;
    PANICD(EX_USAGE, "--allow-plaintext", "--store", "memory:", "--listen", "tcp://0.0.0.0:0");
    /* A host name that only looks like loopback. */
    PANICD(EX_USAGE, "tcp://127.example.com:7070", "--store", "memory:", "--listen",
           "tcp://127.example.com:7070");
    const char *const options[] = {"--store",         "memory:",           "--listen",
                                   "tcp://0.0.0.0:0", "--allow-plaintext", NULL};
    struct panicd *panicd = panicd_start_with(options);
    const char *port = strrchr(panicd_tcp(panicd), ':');
    struct name url;
    snprintf(url.text, sizeof(url.text), "tcp://127.0.0.1%s", port);
    struct panic_client *client = calls_connect(url.text);
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)1024 * 1024);
    calls_create(client, &arena, NULL);
    arena_reset(&arena);
    panic_client_close(client);
    panicd_end(panicd);
}

/* ---- panicd: the store ---- */

static void test_a_store_that_cannot_be_opened_exits_74_and_names_it(void **state)
{
    struct name missing = in_folder(state, "sqlite:", "no/such/folder.db");
    PANICD(EX_IOERR, "no/such/folder.db", "--listen", NEVER_IN_USE, "--store", missing.text);
    /* Nobody, root included, can make a file there. */
    PANICD(EX_IOERR, "/proc/panicd.db", "--listen", NEVER_IN_USE, "--store", "sqlite:/proc/panicd.db");
    struct name folder = in_folder(state, "sqlite:", "");
    PANICD(EX_IOERR, "is a folder", "--listen", NEVER_IN_USE, "--store", folder.text);
}

static void test_a_file_that_is_no_database_is_refused_and_untouched(void **state)
{
    struct name path = in_folder(state, "", "letters.txt");
    write_file(path.text,
               "Dear Sir or Madam,\n\nthis is no database, and somebody may want to keep it. It is a "
               "little longer than the header of one.\n");
    expect_refused_and_untouched(path.text, "is not a database");
}

static void test_a_database_of_something_else_is_refused_and_untouched(void **state)
{
    struct name path = in_folder(state, "", "other.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path.text, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE song (title TEXT)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refused_and_untouched(path.text, "another application");
}

static void test_a_newer_schema_is_refused_and_untouched(void **state)
{
    struct panicd *panicd = panicd_start_in(*state, NULL);
    panicd_end(panicd);
    struct name path = in_folder(state, "", "panicd.db");
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path.text, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    expect_refused_and_untouched(path.text, "has schema version 99");
}

static void test_a_store_in_use_exits_74_and_its_user_goes_on(void **state)
{
    struct panicd *first = panicd_start_in(*state, NULL);
    struct name store = in_folder(state, "sqlite:", "panicd.db");
    PANICD(EX_IOERR, "already in use; stop the other panicd first", "--listen", NEVER_IN_USE, "--store",
           store.text);
    struct panic_client *client = calls_connect(panicd_ipc(first));
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)1024 * 1024);
    calls_create(client, &arena, NULL);
    arena_reset(&arena);
    panic_client_close(client);
    panicd_end(first);
}

static void test_an_address_in_use_exits_74_and_names_it(void **state)
{
    struct panicd *first = panicd_start_in(*state, NULL);
    PANICD(EX_IOERR, panicd_tcp(first), "--store", "memory:", "--listen", panicd_tcp(first));
    PANICD(EX_IOERR, "address in use", "--store", "memory:", "--listen", panicd_tcp(first));
    PANICD(EX_IOERR, "address in use", "--store", "memory:", "--listen", panicd_ipc(first));
    panicd_end(first);
}

static void test_a_file_in_the_place_of_an_ipc_socket_is_not_removed(void **state)
{
    struct name path = in_folder(state, "", "notes.txt");
    write_file(path.text, "keep me");
    struct name url = in_folder(state, "ipc://", "notes.txt");
    PANICD(EX_USAGE, "exists and is not a socket", "--store", "memory:", "--listen", url.text);
    struct stat info;
    assert_int_equal(stat(path.text, &info), 0);
    assert_true(S_ISREG(info.st_mode));
}

/* ---- the environment ---- */

static void test_options_come_from_the_environment(void **state)
{
    struct name store = in_folder(state, "sqlite:", "from-environment.db");
    struct name listen = in_folder(state, "tcp://127.0.0.1:0 ipc://", "from-environment.sock");
    setenv("PANICD_STORE", store.text, 1);
    setenv("PANICD_LISTEN", listen.text, 1);
    const char *const no_options[] = {NULL};
    struct panicd *panicd = panicd_start_with(no_options);
    struct name url = in_folder(state, "ipc://", "from-environment.sock");
    assert_true(panicd_logged(panicd, url.text));
    assert_true(panicd_logged(panicd, "tcp://127.0.0.1:"));
    panicd_end(panicd);
    struct name path = in_folder(state, "", "from-environment.db");
    assert_int_equal(access(path.text, F_OK), 0);
    unsetenv("PANICD_STORE");
    unsetenv("PANICD_LISTEN");
}

static void test_options_override_the_environment(void **state)
{
    struct name unwanted = in_folder(state, "sqlite:", "unwanted.db");
    setenv("PANICD_STORE", unwanted.text, 1);
    setenv("PANICD_LISTEN", "http://nonsense", 1);
    struct name wanted = in_folder(state, "sqlite:", "wanted.db");
    const char *const options[] = {"--store", wanted.text, "--listen", "tcp://127.0.0.1:0", NULL};
    struct panicd *panicd = panicd_start_with(options);
    panicd_end(panicd);
    struct name path = in_folder(state, "", "unwanted.db");
    assert_int_not_equal(access(path.text, F_OK), 0);
    path = in_folder(state, "", "wanted.db");
    assert_int_equal(access(path.text, F_OK), 0);
    unsetenv("PANICD_STORE");
    unsetenv("PANICD_LISTEN");
}

static void test_a_bad_value_in_the_environment_exits_64(void **state)
{
    (void)state;
    setenv("PANICD_LOG_LEVEL", "loud", 1);
    PANICD(EX_USAGE, "panicd: PANICD_LOG_LEVEL: \"loud\" is none of debug, info, warn, error", "--store",
           "memory:");
    unsetenv("PANICD_LOG_LEVEL");
    setenv("PANICD_CACHE", "redis://h", 1);
    PANICD(EX_USAGE, "\"redis://h\"", "--store", "memory:");
    unsetenv("PANICD_CACHE");
}

/* ---- panicctl ---- */

static void test_panicctl_bad_usage_exits_64_and_says_what_is_wrong(void **state)
{
    (void)state;
    PANICCTL(EX_USAGE, "\"frobnicate\" is no command; panicctl --help lists them", "frobnicate");
    PANICCTL(EX_USAGE, "which command?", "--json");
    PANICCTL(EX_USAGE, "which panic? Name its ID", "get");
    PANICCTL(EX_USAGE, "which panic? Name its ID", "resolve");
    PANICCTL(EX_USAGE, "which responder? Name its ID", "responder", "put");
    PANICCTL(EX_USAGE, "responder put ID", "responder");
    PANICCTL(EX_USAGE, "--lat and --lng go together", "create", "--lat", "1");
    PANICCTL(EX_USAGE, "\"colour\" is not KEY=VALUE", "create", "--metadata", "colour");
    PANICCTL(EX_USAGE, "--status: \"open\"", "list", "--status", "open");
}

static void test_panicctl_refuses_bad_numbers(void **state)
{
    (void)state;
    PANICCTL(EX_USAGE, "--lat: \"91\" is not a number between -90 and 90", "create", "--lat", "91", "--lng",
             "0");
    PANICCTL(EX_USAGE, "--lat: \"north\" is not a number", "create", "--lat", "north", "--lng", "0");
    PANICCTL(EX_USAGE, "--lng: \"18,4\" is not a number", "create", "--lat", "0", "--lng", "18,4");
    PANICCTL(EX_USAGE, "--lat: \"nan\" is not a number", "create", "--lat", "nan", "--lng", "0");
    PANICCTL(EX_USAGE, "--lat: \"\" is not a number", "create", "--lat", "", "--lng", "0");
    PANICCTL(EX_USAGE, "--timeout: \"0\" is not a number", "--timeout", "0", "health");
    PANICCTL(EX_USAGE, "--page-size: \"0\" is not a number", "list", "--page-size", "0");
}

static void test_panicctl_without_a_server_fails_within_its_timeout_and_helps(void **state)
{
    (void)state;
    int64_t begin_us = monotonic_us();
    PANICCTL(EXIT_FAILURE, "is panicd running at " NEVER_IN_USE "? Name another address with --server",
             "--server", NEVER_IN_USE, "--timeout", "0.3", "health");
    PANICCTL(EXIT_FAILURE, "it is never doubled", "--server", NEVER_IN_USE, "--timeout", "0.3", "create");
    assert_true(monotonic_us() - begin_us < 10 * US_PER_S);
    PANICCTL(EXIT_FAILURE, "not supported; use tcp://", "--server", "http://127.0.0.1:7070", "health");
    PANICCTL(EXIT_FAILURE, "--server: tls+tcp://localhost:1 needs --tls-ca", "--server",
             "tls+tcp://localhost:1", "health");
}

static void test_panicctl_succeeds_with_0_and_fails_with_1_when_the_server_says_no(void **state)
{
    struct panicd *panicd = panicd_start_in(*state, NULL);
    const char *url = panicd_ipc(panicd);
    PANICCTL(0, "serving", "--server", url, "health");
    PANICCTL(0, "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41", "--server", url, "create", "--id",
             "018F4E2A-7C3B-7D10-9A55-3B1F0E6C2D41", "--lat", "-33.9", "--lng", "18.4");
    PANICCTL(EXIT_FAILURE, "ALREADY_EXISTS: id: ", "--server", url, "create", "--id",
             "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41");
    PANICCTL(EXIT_FAILURE, "NOT_FOUND: Panic not found", "--server", url, "get",
             "018f4e2a-7c3b-7d10-9a55-000000000000");
    PANICCTL(EX_USAGE, "id: not a UUID", "--server", url, "get", "nonce");
    panicd_end(panicd);
}

#define STARTUP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTUP(test_help_and_version_exit_0),
        STARTUP(test_bad_usage_exits_64_and_says_what_is_wrong),
        STARTUP(test_urls_that_are_not_served_exit_64),
        STARTUP(test_plain_tcp_beyond_loopback_must_be_allowed_by_name),
        STARTUP(test_a_store_that_cannot_be_opened_exits_74_and_names_it),
        STARTUP(test_a_file_that_is_no_database_is_refused_and_untouched),
        STARTUP(test_a_database_of_something_else_is_refused_and_untouched),
        STARTUP(test_a_newer_schema_is_refused_and_untouched),
        STARTUP(test_a_store_in_use_exits_74_and_its_user_goes_on),
        STARTUP(test_an_address_in_use_exits_74_and_names_it),
        STARTUP(test_a_file_in_the_place_of_an_ipc_socket_is_not_removed),
        STARTUP(test_options_come_from_the_environment),
        STARTUP(test_options_override_the_environment),
        STARTUP(test_a_bad_value_in_the_environment_exits_64),
        STARTUP(test_panicctl_bad_usage_exits_64_and_says_what_is_wrong),
        STARTUP(test_panicctl_refuses_bad_numbers),
        STARTUP(test_panicctl_without_a_server_fails_within_its_timeout_and_helps),
        STARTUP(test_panicctl_succeeds_with_0_and_fails_with_1_when_the_server_says_no),
    };
    return cmocka_run_group_tests_name("startup", tests, NULL, NULL);
}
