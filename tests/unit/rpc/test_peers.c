/* Who may connect, and what becomes of peers that do not take their answers. */
#include "unit/rpc/rig.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "rpc/peers.h"

#define TCP_ANY "tcp://127.0.0.1:0"
#define HOST_A 1
#define HOST_B 2

static struct peers *new_peers(unsigned connections_max, unsigned host_max, unsigned overdue_max)
{
    const struct peers_limits limits = {connections_max, host_max, overdue_max};
    struct peers *peers;
    assert_ok(peers_new(&limits, &peers, NULL));
    return peers;
}

static nng_pipe pipe_of(uint32_t id)
{
    return (nng_pipe){.id = id};
}

static uint64_t host_v4(const char *text)
{
    nng_sockaddr address = {.s_in = {.sa_family = NNG_AF_INET}};
    assert_int_equal(inet_pton(AF_INET, text, &address.s_in.sa_addr), 1);
    return peers_host(&address);
}

static uint64_t host_v6(const char *text)
{
    nng_sockaddr address = {.s_in6 = {.sa_family = NNG_AF_INET6}};
    assert_int_equal(inet_pton(AF_INET6, text, address.s_in6.sa_addr), 1);
    return peers_host(&address);
}

static void test_hosts_are_v4_addresses_and_v6_networks(void **state)
{
    (void)state;
    assert_int_not_equal(host_v4("192.0.2.1"), host_v4("192.0.2.2"));
    assert_int_equal(host_v6("::ffff:192.0.2.1"), host_v4("192.0.2.1"));
    assert_int_equal(host_v6("2001:db8:0:1::1"), host_v6("2001:db8:0:1:ffff::2"));
    assert_int_not_equal(host_v6("2001:db8:0:1::1"), host_v6("2001:db8:0:2::1"));
}

static void test_this_host_is_not_limited_by_itself(void **state)
{
    (void)state;
    const nng_sockaddr ipc = {.s_family = NNG_AF_IPC};
    assert_int_equal(host_v4("127.0.0.1"), 0);
    assert_int_equal(host_v4("127.9.9.9"), 0);
    assert_int_equal(host_v6("::1"), 0);
    assert_int_equal(host_v6("::ffff:127.0.0.1"), 0);
    assert_int_equal(peers_host(&ipc), 0);
}

static void test_a_host_gets_its_part_and_leaves_the_rest_to_others(void **state)
{
    (void)state;
    struct peers *peers = new_peers(4, 2, 1);
    assert_true(peers_add(peers, pipe_of(1), HOST_A));
    assert_true(peers_add(peers, pipe_of(2), HOST_A));
    assert_false(peers_add(peers, pipe_of(3), HOST_A));
    assert_true(peers_add(peers, pipe_of(4), HOST_B));
    assert_true(peers_add(peers, pipe_of(5), 0));
    assert_false(peers_add(peers, pipe_of(6), 0));
    assert_int_equal(peers_stats(peers).refused, 2);
    peers_free(peers);
}

static void test_who_leaves_makes_room(void **state)
{
    (void)state;
    struct peers *peers = new_peers(4, 1, 1);
    assert_true(peers_add(peers, pipe_of(1), HOST_A));
    assert_false(peers_add(peers, pipe_of(2), HOST_A));
    /* One that was refused is reported gone as well. */
    peers_remove(peers, pipe_of(2));
    assert_false(peers_add(peers, pipe_of(3), HOST_A));
    peers_remove(peers, pipe_of(1));
    assert_true(peers_add(peers, pipe_of(4), HOST_A));
    peers_free(peers);
}

static void test_default_leaves_descriptors_to_others(void **state)
{
    (void)state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {.rlim_cur = 256, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    unsigned max = peers_default_max();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(max, 256 - 64);
}

static void wait_dropped(const struct peers *peers, uint64_t n)
{
    int64_t until_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    while (peers_stats(peers).dropped < n && monotonic_us() < until_us) {
        sched_yield();
    }
    assert_int_equal(peers_stats(peers).dropped, n);
}

static void test_of_slow_peers_only_those_with_the_most_are_given_up(void **state)
{
    (void)state;
    struct peers *peers = new_peers(9, 9, 4);
    struct answer greedy[5];
    struct answer modest;
    struct answer next;
    nng_aio *aio;
    assert_int_equal(nng_aio_alloc(&aio, NULL, NULL), 0);
    assert_true(peers_add(peers, pipe_of(1), 0));
    assert_true(peers_add(peers, pipe_of(2), 0));
    modest.aio = aio;
    next.aio = aio;
    assert_true(peers_answer_begins(peers, pipe_of(2), &modest));
    for (size_t i = 0; i < 5; i++) {
        greedy[i].aio = aio;
        assert_true(peers_answer_begins(peers, pipe_of(1), &greedy[i]));
    }
    wait_dropped(peers, 1);
    assert_false(peers_answer_begins(peers, pipe_of(1), &next));
    assert_true(peers_answer_begins(peers, pipe_of(2), &next));
    peers_free(peers);
    nng_aio_free(aio);
}

static void test_a_peer_is_given_up_once(void **state)
{
    (void)state;
    struct peers *peers = new_peers(9, 9, 4);
    assert_true(peers_add(peers, pipe_of(1), 0));
    peers_give_up(peers, pipe_of(1));
    peers_give_up(peers, pipe_of(1));
    peers_give_up(peers, pipe_of(2));
    assert_int_equal(peers_stats(peers).dropped, 1);
    peers_free(peers);
}

static void write_get(int fd, const char *id, uint32_t n)
{
    static struct wire request;
    static struct wire payload;
    payload.length = 0;
    wire_text(&payload, 1, id);
    request.length = 0;
    wire_text(&request, 1, RIG_GET);
    wire_bytes(&request, 2, payload.data, payload.length);
    for (uint32_t i = 0; i < n; i++) {
        rig_write_request(fd, i, request.data, request.length);
    }
}

/* Within RIG_PATIENCE_S; dials until it is let in. */
static void assert_answered(const struct rig *rig)
{
    char text[64];
    assert_ok(rig_get(rig_url(rig), "echo", text, sizeof(text)));
    assert_string_equal(text, "echo");
}

static void wait_in_flight(const struct rig *rig, unsigned n)
{
    int64_t until_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    while (rpc_server_stats(rig->server).in_flight < n) {
        assert_true(monotonic_us() < until_us);
        sched_yield();
    }
}

/* Without the limit a call would wait until an answer is given up, far longer than the test waits. */
static void assert_cannot_hold_up_others(struct rig *rig, const char *url, uint32_t requests)
{
    const struct rpc_server_config config = {.urls = &url,
                                             .n_urls = 1,
                                             .contexts = 64,
                                             .router = rig->router,
                                             .tenant = "acme",
                                             .send_timeout_ms = 600 * 1000};
    assert_ok(rpc_server_start(&config, &rig->server, NULL));
    int fd = rig_connect(rig_url(rig), true);
    write_get(fd, "big", requests);
    wait_in_flight(rig, 64);
    while (rpc_server_stats(rig->server).peers_dropped == 0) {
        assert_answered(rig);
    }
    assert_true(rig_peer_closes(fd));
    rig_close(fd);
    assert_answered(rig);
    assert_int_equal(rpc_server_stats(rig->server).peers_dropped, 1);
}

static void test_a_tcp_peer_that_does_not_read_holds_up_nobody(void **state)
{
    struct rig *rig = *state;
    assert_cannot_hold_up_others(rig, TCP_ANY, 1000);
}

static void test_an_ipc_peer_that_does_not_read_holds_up_nobody(void **state)
{
    struct rig *rig = *state;
    assert_cannot_hold_up_others(rig, rig_ipc(rig, "s"), 100);
}

static void start_small(struct rig *rig, unsigned connections_max)
{
    const char *url = TCP_ANY;
    const struct rpc_server_config config = {.urls = &url,
                                             .n_urls = 1,
                                             .contexts = 4,
                                             .router = rig->router,
                                             .tenant = "acme",
                                             .connections_max = connections_max};
    assert_ok(rpc_server_start(&config, &rig->server, NULL));
}

static void assert_served(int fd)
{
    uint8_t head[12];
    write_get(fd, "echo", 1);
    assert_true(rig_read(fd, head, sizeof(head)));
    char body[256];
    assert_true(head[7] < sizeof(body));
    assert_true(rig_read(fd, body, head[7] - 4U));
}

static void test_connections_beyond_the_limit_are_refused_and_the_others_served(void **state)
{
    struct rig *rig = *state;
    start_small(rig, 2);
    int first = rig_connect(rig_url(rig), true);
    assert_served(first);
    int second = rig_connect(rig_url(rig), true);
    assert_served(second);
    int third = rig_connect(rig_url(rig), true);
    assert_true(rig_peer_closes(third));
    assert_true(rpc_server_stats(rig->server).connections_refused >= 1);
    assert_served(first);
    assert_served(second);
    rig_close(first);
    rig_close(second);
    rig_close(third);
}

static void test_when_one_leaves_another_gets_in(void **state)
{
    struct rig *rig = *state;
    start_small(rig, 1);
    int first = rig_connect(rig_url(rig), true);
    assert_served(first);
    rig_close(first);
    assert_answered(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_are_v4_addresses_and_v6_networks),
        cmocka_unit_test(test_this_host_is_not_limited_by_itself),
        cmocka_unit_test(test_a_host_gets_its_part_and_leaves_the_rest_to_others),
        cmocka_unit_test(test_who_leaves_makes_room),
        cmocka_unit_test(test_default_leaves_descriptors_to_others),
        cmocka_unit_test(test_of_slow_peers_only_those_with_the_most_are_given_up),
        cmocka_unit_test(test_a_peer_is_given_up_once),
        TEST(test_a_tcp_peer_that_does_not_read_holds_up_nobody),
        TEST(test_an_ipc_peer_that_does_not_read_holds_up_nobody),
        TEST(test_connections_beyond_the_limit_are_refused_and_the_others_served),
        TEST(test_when_one_leaves_another_gets_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
