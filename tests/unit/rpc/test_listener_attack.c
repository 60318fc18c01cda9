/*
 * Peers that hang up at the worst moment must not stop a listener, nor keep nng from freeing connections
 * (src/rpc/nng_compat.c says what they aim at), and a listener that has stopped all the same must come back.
 */
#include "unit/rpc/rig.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "rpc/nng_compat.h"

#define TCP_ANY "tcp://127.0.0.1:0"
#define PEERS 400
#define FLOODS 60

/* Answers a stranger's first call, and has never stopped doing so: a listener that stops is opened again by
 * the watchdog, which counts it. */
static void assert_lets_strangers_in(const struct rig *rig)
{
    char text[64];
    assert_ok(rig_get(rig_url(rig), "echo", text, sizeof(text)));
    assert_string_equal(text, "echo");
    assert_int_equal(rpc_server_stats(rig->server).listeners_revived, 0);
}

/* The next close sends RST, not FIN. */
static void close_with_reset(int fd)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    rig_close(fd);
}

static void attack_with_resets(const struct rig *rig)
{
    for (int i = 0; i < PEERS; i++) {
        int fd = rig_connect(rig_url(rig), false);
        if (i % 2 == 0) {
            shutdown(fd, SHUT_WR);
        }
        close_with_reset(fd);
    }
}

static void test_resets_do_not_stop_a_tcp_listener(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 4);
    attack_with_resets(rig);
    assert_lets_strangers_in(rig);
}

static void test_hang_ups_do_not_stop_an_ipc_listener(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 4);
    attack_with_resets(rig);
    assert_lets_strangers_in(rig);
}

static void test_old_connections_live_through_an_attack(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 4);
    int fd = rig_connect(rig_url(rig), true);
    attack_with_resets(rig);
    rig_write_request(fd, 1, "", 0);
    uint8_t head[12];
    assert_true(rig_read(fd, head, sizeof(head)));
    rig_close(fd);
}

/* As much as the peer's socket takes at once. */
static void write_what_fits(int fd, const struct wire *frames)
{
    (void)!send(fd, frames->data, frames->length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void put_frames(struct wire *frames, const char *id, int n)
{
    static struct wire request;
    static struct wire payload;
    payload.length = 0;
    wire_text(&payload, 1, id);
    request.length = 0;
    wire_text(&request, 1, RIG_GET);
    wire_bytes(&request, 2, payload.data, payload.length);
    uint8_t head[12] = {0, 0, 0, 0, 0, 0, 0, (uint8_t)(request.length + 4), 0x80, 0, 0, 1};
    for (int i = 0; i < n; i++) {
        wire_raw(frames, head, sizeof(head));
        wire_raw(frames, request.data, request.length);
    }
}

/* Connections that are open or not freed, waited for. */
static void assert_connections_are_freed(const struct rig *rig)
{
    int64_t until_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    while (rpc_server_stats(rig->server).connections > 0 && monotonic_us() < until_us) {
        sched_yield();
    }
    assert_int_equal(rpc_server_stats(rig->server).connections, 0);
}

static void flood_and_leave(const struct rig *rig, const char *id, bool reset)
{
    static struct wire frames;
    frames.length = 0;
    put_frames(&frames, id, 100);
    for (int i = 0; i < FLOODS; i++) {
        int fd = rig_connect(rig_url(rig), true);
        write_what_fits(fd, &frames);
        if (reset) {
            close_with_reset(fd);
        } else {
            rig_close(fd);
        }
    }
}

static void test_peers_that_ask_and_leave_are_freed(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 8);
    flood_and_leave(rig, "small", false);
    flood_and_leave(rig, "small", true);
    assert_connections_are_freed(rig);
    assert_lets_strangers_in(rig);
}

static void test_peers_that_ask_for_much_and_leave_are_freed(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 8);
    flood_and_leave(rig, "big", false);
    flood_and_leave(rig, "big", true);
    assert_connections_are_freed(rig);
    assert_lets_strangers_in(rig);
}

static void test_ipc_peers_that_ask_and_leave_are_freed(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 8);
    flood_and_leave(rig, "small", false);
    assert_connections_are_freed(rig);
    assert_lets_strangers_in(rig);
}

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

/* Finds the descriptor that listens at the rig's address, and makes it deaf. */
static void deafen(const struct rig *rig)
{
    unsigned long port = strtoul(strrchr(rig_url(rig), ':') + 1, NULL, 10);
    for (int fd = 0; fd < 1024; fd++) {
        int listening = 0;
        struct sockaddr_in address = {.sin_port = 0};
        socklen_t size = sizeof(listening);
        socklen_t address_size = sizeof(address);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening &&
            getsockname(fd, (struct sockaddr *)&address, &address_size) == 0 &&
            ntohs(address.sin_port) == port) {
            shutdown(fd, SHUT_RDWR);
            return;
        }
    }
    fail_msg("nobody listens");
}

static void test_a_deaf_listener_is_opened_again(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 4);
    char url[128];
    snprintf(url, sizeof(url), "%s", rig_url(rig));
    deafen(rig);
    char text[64];
    assert_ok(rig_get(url, "echo", text, sizeof(text)));
    assert_string_equal(rig_url(rig), url);
    assert_int_equal(rpc_server_stats(rig->server).listeners_revived, 1);
}

#else

static void test_a_deaf_listener_is_opened_again(void **state)
{
    (void)state;
    print_message("nng 1.6 and newer have no watchdog: their listeners do not stop\n");
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_resets_do_not_stop_a_tcp_listener),
        TEST(test_hang_ups_do_not_stop_an_ipc_listener),
        TEST(test_old_connections_live_through_an_attack),
        TEST(test_peers_that_ask_and_leave_are_freed),
        TEST(test_peers_that_ask_for_much_and_leave_are_freed),
        TEST(test_ipc_peers_that_ask_and_leave_are_freed),
        TEST(test_a_deaf_listener_is_opened_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
