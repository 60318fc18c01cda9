/*
 * Peers that connect and hang up, in every way there is, while others want to be served.
 *
 * With nng below 1.6 one such peer could stop a listener for good: sending it the greeting failed with EPIPE,
 * which the accept loop took for its own end; and one that hung up at the wrong moment could keep every later
 * connection's descriptor open (see src/rpc/nng_compat.c). So after every few of them a new client must get
 * an answer from a listener that never stopped, and in the end the descriptors are back to what they were.
 */
#include "harness/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/calls.h"
#include "harness/panicd.h"
#include "harness/sp_peer.h"
#include "rpc/v1/rpc.pb-c.h"

#define ATTACKS 320
#define ATTACKS_SANITIZED 160
#define ATTACKS_BETWEEN_CLIENTS 16
/* The watchdog's own connections, and a client's that is being closed. */
#define DESCRIPTORS_SLACK 4

static void close_at_once(int fd)
{
    close(fd);
}

static void fin_then_reset(int fd)
{
    shutdown(fd, SHUT_WR);
    sp_reset(fd);
}

static void shut_both_then_reset(int fd)
{
    shutdown(fd, SHUT_RDWR);
    sp_reset(fd);
}

/* Without waiting for the other side's. */
static void greet(int fd)
{
    static const uint8_t greeting[] = {0, 'S', 'P', 0, 0, SP_REQ, 0, 0};
    sp_send(fd, greeting, sizeof(greeting));
}

static void greet_then_reset(int fd)
{
    greet(fd);
    sp_reset(fd);
}

static void half_greeting_then_reset(int fd)
{
    sp_send(fd, "\0SP", 3);
    sp_reset(fd);
}

/* A request whose answer finds nobody. */
static void ask_then_reset(int fd)
{
    static const char method[] = "/health.v1.HealthService/Check";
    greet(fd);
    Rpc__V1__Request request = RPC__V1__REQUEST__INIT;
    request.method = (char *)method;
    uint8_t body[128];
    sp_send_request(fd, 1, body, rpc__v1__request__pack(&request, body));
    sp_reset(fd);
}

static void half_a_frame_then_reset(int fd)
{
    greet(fd);
    sp_send_head(fd, 1000);
    sp_send(fd, "half", 4);
    sp_reset(fd);
}

static void (*const attacks[])(int fd) = {sp_reset,         close_at_once,
                                          fin_then_reset,   shut_both_then_reset,
                                          greet_then_reset, half_greeting_then_reset,
                                          ask_then_reset,   half_a_frame_then_reset};

/* How long a client takes that has no connection yet. */
static int64_t be_a_new_client(const char *url)
{
    int64_t begin_us = monotonic_us();
    struct panic_client *client = calls_connect(url);
    struct arena arena;
    arena_init(&arena, NULL, 0, (size_t)1024 * 1024);
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    const Panic__V1__CreatePanicResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_create(client, &request, HARNESS_PATIENCE_US, &arena, &response, &diag);
    if (status != STATUS_OK) {
        fail_msg("a new client got no answer: %s: %s", status_name(status), diag.text);
    }
    panic_client_close(client);
    arena_reset(&arena);
    return monotonic_us() - begin_us;
}

static size_t count_descriptors(const struct panicd *panicd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)panicd_pid(panicd));
    DIR *folder = opendir(path);
    assert_non_null(folder);
    size_t n = 0;
    while (readdir(folder) != NULL) { /* NOLINT(concurrency-mt-unsafe): a stream of our own */
        n++;
    }
    closedir(folder);
    return n;
}

/* The connections of those who left are closed, all but those that are about to be. */
static void expect_descriptors_back(const struct panicd *panicd, size_t before)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    size_t now;
    while ((now = count_descriptors(panicd)) > before + DESCRIPTORS_SLACK) {
        if (monotonic_us() > give_up_us) {
            fail_msg("panicd had %zu descriptors before, and still has %zu", before, now);
        }
    }
}

static void attack(const char *url, struct panicd *panicd)
{
    size_t n = HARNESS_SANITIZED ? ATTACKS_SANITIZED : ATTACKS;
    int64_t slowest_us = 0;
    be_a_new_client(url);
    size_t before = count_descriptors(panicd);
    for (size_t i = 0; i < n; i++) {
        attacks[i % (sizeof(attacks) / sizeof(attacks[0]))](sp_connect(url));
        if (i % ATTACKS_BETWEEN_CLIENTS == 0) {
            int64_t us = be_a_new_client(url);
            slowest_us = us > slowest_us ? us : slowest_us;
        }
    }
    be_a_new_client(url);
    print_message("%s: %zu attacks, %zu new clients served, the slowest in %lld ms\n", url, n,
                  (n + ATTACKS_BETWEEN_CLIENTS - 1) / ATTACKS_BETWEEN_CLIENTS + 1,
                  (long long)(slowest_us / US_PER_MS));
    expect_descriptors_back(panicd, before);
    /* Otherwise one did stop, and the watchdog saw it. */
    assert_false(panicd_logged(panicd, "listener stopped answering"));
}

static void test_tcp_listener_outlives_peers_that_hang_up(void **state)
{
    attack(panicd_tcp(*state), *state);
}

static void test_ipc_listener_outlives_peers_that_hang_up(void **state)
{
    attack(panicd_ipc(*state), *state);
}

static int set_up(void **state)
{
    *state = panicd_start(NULL);
    return 0;
}

static int tear_down(void **state)
{
    panicd_end(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tcp_listener_outlives_peers_that_hang_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ipc_listener_outlives_peers_that_hang_up, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("listener attack", tests, NULL, NULL);
}
