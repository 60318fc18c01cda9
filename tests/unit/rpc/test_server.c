/* The server over real sockets: the envelope, hostile peers, addresses, and the ordered stop. */
#include "unit/rpc/rig.h"

#include <fcntl.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

#define TCP_ANY "tcp://127.0.0.1:0"

/* A request envelope; headers and timeout may be added behind. */
static struct wire *make_request(const char *method, const char *id)
{
    static struct wire wire;
    static struct wire payload;
    payload.length = 0;
    wire_text(&payload, 1, id);
    wire.length = 0;
    wire_text(&wire, 1, method);
    wire_bytes(&wire, 2, payload.data, payload.length);
    return &wire;
}

static enum status start_on(struct rig *rig, const char *url, struct rpc_server **ret_server,
                            struct diag *diag)
{
    struct rpc_server_config config = {
        .urls = &url, .n_urls = 1, .contexts = 2, .router = rig->router, .tenant = "acme"};
    return rpc_server_start(&config, ret_server, diag);
}

static void assert_answers(const char *url)
{
    char text[64];
    assert_ok(rig_get(url, "echo", text, sizeof(text)));
    assert_string_equal(text, "echo");
}

static void test_answers_over_tcp(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 4);
    assert_string_not_equal(rig_url(rig), TCP_ANY);
    assert_answers(rig_url(rig));
}

static void test_answers_over_ipc(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 4);
    assert_answers(rig_url(rig));
}

static void test_answers_over_inproc(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, "inproc://test-server", 4);
    assert_answers(rig_url(rig));
}

static void test_one_server_listens_on_all_its_urls(void **state)
{
    struct rig *rig = *state;
    char ipc[128];
    snprintf(ipc, sizeof(ipc), "%s", rig_ipc(rig, "s"));
    const char *urls[] = {TCP_ANY, ipc, "inproc://test-server-all"};
    struct rpc_server_config config = {
        .urls = urls, .n_urls = 3, .contexts = 2, .router = rig->router, .tenant = "acme"};
    assert_ok(rpc_server_start(&config, &rig->server, NULL));
    for (size_t i = 0; i < 3; i++) {
        assert_answers(rpc_server_url(rig->server, i));
    }
}

static void test_error_comes_with_message_and_trailer(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct wire *request = make_request(RIG_GET, "missing");
    Rpc__V1__Response *answer = rig_exchange(rig_url(rig), request->data, request->length);
    assert_int_equal(answer->code, STATUS_NOT_FOUND);
    assert_string_equal(answer->message, "id: there is no panic missing");
    assert_int_equal(answer->payload.len, 0);
    assert_int_equal(answer->n_trailers, 1);
    assert_string_equal(answer->trailers[0]->name, "retry-after");
    assert_string_equal(answer->trailers[0]->value, "3");
    rig_free_answer(answer);
}

static void test_big_answer_arrives_whole(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    static char text[70000];
    assert_ok(rig_get(rig_url(rig), "big", text, sizeof(text)));
    assert_int_equal(strlen(text), 60000);
}

static void test_tenant_comes_from_the_configuration(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    char text[64];
    assert_ok(rig_get(rig_url(rig), "tenant", text, sizeof(text)));
    assert_string_equal(text, "acme");
}

static void assert_refused(struct rig *rig, const void *bytes, size_t length, enum status status,
                           const char *text)
{
    Rpc__V1__Response *answer = rig_exchange(rig_url(rig), bytes, length);
    assert_int_equal(answer->code, status);
    assert_string_equal(answer->message, text);
    rig_free_answer(answer);
}

static void test_bad_envelopes_get_an_answer_that_says_why(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    assert_refused(rig, "\xFF\xFF\xFF\xFF\xFF\xFF", 6, STATUS_INVALID_ARGUMENT,
                   "request envelope: message: a field's number is cut, too long or 0");
    assert_refused(rig, "\x0A\x05/pan", 6, STATUS_INVALID_ARGUMENT,
                   "request envelope: method: is longer than what encloses it");
    assert_refused(rig, "\x22\x03\x0A\x01\xC3", 5, STATUS_INVALID_ARGUMENT,
                   "request envelope: headers.name: text is not valid UTF-8 or holds NUL");
    assert_int_equal(rpc_server_stats(rig->server).refused, 3);
    assert_answers(rig_url(rig));
}

static void test_unknown_method_is_named(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct wire *request = make_request("/panic.v1.PanicService/Explode", "");
    assert_refused(rig, request->data, request->length, STATUS_UNIMPLEMENTED,
                   "method: /panic.v1.PanicService/Explode does not exist here");
    assert_refused(rig, "", 0, STATUS_UNIMPLEMENTED, "method:  does not exist here");
}

static void test_bad_payload_is_refused_with_its_field(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct wire *request = make_request(RIG_GET, "\xC3");
    assert_refused(rig, request->data, request->length, STATUS_INVALID_ARGUMENT,
                   "id: text is not valid UTF-8 or holds NUL");
}

static void test_a_message_beyond_the_limit_is_refused_within_the_process(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, "inproc://test-server-long", 1);
    static const char zeros[RPC_MESSAGE_MAX + 1];
    assert_refused(rig, zeros, sizeof(zeros), STATUS_INVALID_ARGUMENT, "request envelope: is too long");
}

static void test_headers_reach_the_handler(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct wire *request = make_request(RIG_GET, "header");
    wire_bytes(request, 4, "\x0A\x06x-test\x12\x05value", 15);
    Rpc__V1__Response *answer = rig_exchange(rig_url(rig), request->data, request->length);
    assert_int_equal(answer->code, 0);
    assert_memory_equal(answer->payload.data, "\x0A\x07\x0A\x05value", 9);
    rig_free_answer(answer);
}

static void test_timeout_becomes_the_deadline(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct wire *request = make_request(RIG_GET, "deadline");
    wire_number(request, 3, 5000);
    Rpc__V1__Response *answer = rig_exchange(rig_url(rig), request->data, request->length);
    assert_memory_equal(answer->payload.data,
                        "\x0A\x09\x0A\x07"
                        "5000000",
                        11);
    rig_free_answer(answer);
}

static void test_a_handler_may_finish_on_another_thread(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_CREATE, "later");
    rig_write_request(fd, 1, request->data, request->length);
    rig_wait_held(1);
    assert_int_equal(rpc_server_stats(rig->server).in_flight, 1);
    rig_release_held();
    uint8_t head[8 + 4];
    assert_true(rig_read(fd, head, sizeof(head)));
    assert_memory_equal(head + 8, "\x80\0\0\x01", 4);
    close(fd);
}

static void test_all_contexts_may_be_in_flight_and_more_wait_their_turn(void **state)
{
    struct rig *rig = *state;
    const unsigned contexts = 64;
    rig_start(rig, TCP_ANY, contexts);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_CREATE, "x");
    for (uint32_t i = 0; i < contexts + 10; i++) {
        rig_write_request(fd, i, request->data, request->length);
    }
    rig_wait_held(contexts);
    assert_int_equal(rpc_server_stats(rig->server).in_flight, contexts);
    rig_release_held();
    rig_wait_held(10);
    rig_release_held();
    for (uint32_t i = 0; i < contexts + 10; i++) {
        uint8_t head[12];
        uint8_t body[64];
        assert_true(rig_read(fd, head, sizeof(head)));
        assert_true(head[7] - 4U <= sizeof(body) && rig_read(fd, body, head[7] - 4U));
    }
    close(fd);
}

/* The peer announces `length`, and loses its connection; another one does not notice. */
static void assert_costs_only_its_connection(struct rig *rig, uint64_t length)
{
    rig_start(rig, TCP_ANY, 1);
    int bystander = rig_connect(rig_url(rig), true);
    int fd = rig_connect(rig_url(rig), true);
    uint8_t head[8];
    for (int i = 0; i < 8; i++) {
        head[i] = (uint8_t)(length >> (56 - 8 * i));
    }
    rig_write(fd, head, sizeof(head));
    assert_true(rig_peer_closes(fd));
    close(fd);
    struct wire *request = make_request(RIG_GET, "x");
    rig_write_request(bystander, 7, request->data, request->length);
    uint8_t answer[12];
    assert_true(rig_read(bystander, answer, sizeof(answer)));
    close(bystander);
}

static void test_an_announced_gigabyte_costs_only_its_peer(void **state)
{
    assert_costs_only_its_connection(*state, UINT64_C(1) << 30);
}

static void test_one_byte_too_many_costs_only_its_peer(void **state)
{
    assert_costs_only_its_connection(*state, RPC_MESSAGE_MAX + 1);
}

static void test_a_length_of_all_ones_costs_only_its_peer(void **state)
{
    assert_costs_only_its_connection(*state, UINT64_MAX);
}

static void test_peers_that_hang_up_in_the_middle_of_a_frame_are_forgotten(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    for (int i = 0; i < 20; i++) {
        int fd = rig_connect(rig_url(rig), true);
        rig_write(fd, "\0\0\0\0\0\0\0\x40\x80\0\0", 11);
        close(fd);
    }
    assert_answers(rig_url(rig));
    assert_int_equal(rpc_server_stats(rig->server).requests, 1);
}

static void test_a_peer_that_greets_with_garbage_is_dropped(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    int fd = rig_connect(rig_url(rig), false);
    rig_write(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_true(rig_peer_closes(fd));
    close(fd);
    assert_answers(rig_url(rig));
}

static void wait_dropped(const struct rig *rig, uint64_t peers)
{
    int64_t give_up_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    while (rpc_server_stats(rig->server).peers_dropped < peers) {
        assert_true(monotonic_us() < give_up_us);
        sched_yield();
    }
}

static void test_a_peer_that_does_not_read_cannot_keep_the_contexts(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_GET, "big");
    /* 24 MB of answers: more than the kernel's buffers hold. */
    for (uint32_t i = 0; i < 400; i++) {
        rig_write_request(fd, i, request->data, request->length);
    }
    wait_dropped(rig, 1);
    assert_true(rig_peer_closes(fd));
    assert_answers(rig_url(rig));
    assert_int_equal(rpc_server_stats(rig->server).peers_dropped, 1);
    close(fd);
}

static void test_address_in_use_is_unavailable_and_says_what_to_do(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    struct rpc_server *second = NULL;
    struct diag diag;
    assert_status(start_on(rig, rig_url(rig), &second, &diag), STATUS_UNAVAILABLE);
    char expected[256];
    snprintf(expected, sizeof(expected),
             "%s: address in use; choose another port with --listen or stop the other process", rig_url(rig));
    assert_string_equal(diag.text, expected);
    assert_null(second);
}

static void test_listens_on_all_urls_or_on_none(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 1);
    char free_url[128];
    snprintf(free_url, sizeof(free_url), "%s", rig_ipc(rig, "free"));
    const char *urls[] = {free_url, rig_url(rig)};
    struct rpc_server_config config = {
        .urls = urls, .n_urls = 2, .contexts = 1, .router = rig->router, .tenant = "acme"};
    struct rpc_server *second = NULL;
    assert_status(rpc_server_start(&config, &second, NULL), STATUS_UNAVAILABLE);
    assert_int_equal(access(free_url + strlen("ipc://"), F_OK), -1);
}

static void test_ipc_socket_belongs_to_its_owner_only(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 1);
    struct stat info;
    assert_int_equal(stat(rig_url(rig) + strlen("ipc://"), &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
}

static void test_socket_file_of_a_dead_process_does_not_block(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", rig->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    rig_start(rig, rig_ipc(rig, "s"), 1);
    assert_answers(rig_url(rig));
}

static void test_socket_of_a_living_server_is_not_taken(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, rig_ipc(rig, "s"), 1);
    struct rpc_server *thief = NULL;
    struct diag diag;
    assert_status(start_on(rig, rig_url(rig), &thief, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "address in use"));
    assert_answers(rig_url(rig));
}

static void test_a_file_in_the_way_is_not_removed(void **state)
{
    struct rig *rig = *state;
    char path[128];
    snprintf(path, sizeof(path), "%s/precious", rig->folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    struct rpc_server *server = NULL;
    assert_status(start_on(rig, rig_ipc(rig, "precious"), &server, NULL), STATUS_INVALID_ARGUMENT);
    assert_int_equal(access(path, F_OK), 0);
}

static void test_urls_that_cannot_be_served_are_refused_and_named(void **state)
{
    struct rig *rig = *state;
    static const char *const urls[] = {
        "",
        "7070",
        "127.0.0.1:7070",
        "http://127.0.0.1:7070",
        "ws://127.0.0.1:7070",
        "wss://127.0.0.1:7070",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:70x",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:7070/path",
        "tcp://user@127.0.0.1:7070",
        "tcp://::1:7070",
        "ipc://",
        "inproc://",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct rpc_server *server = NULL;
        struct diag diag = {.text = ""};
        if (start_on(rig, urls[i], &server, &diag) != STATUS_INVALID_ARGUMENT ||
            strncmp(diag.text, urls[i], strlen(urls[i])) != 0) {
            fail_msg("%s: %s", urls[i], diag.text);
        }
    }
}

static void test_an_ipc_path_too_long_for_a_socket_is_refused(void **state)
{
    struct rig *rig = *state;
    char url[6 + 108 + 1] = "ipc://";
    memset(url + 6, 'x', 108);
    struct rpc_server *server = NULL;
    struct diag diag;
    assert_status(start_on(rig, url, &server, &diag), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(diag.text, "the path must have 1 to 107 bytes"));
}

static void test_plain_listener_beyond_loopback_must_be_asked_for(void **state)
{
    struct rig *rig = *state;
    static const char *const urls[] = {"tcp://0.0.0.0:0", "tcp://*:0", "tcp://:0", "tcp://[::]:0",
                                       "tcp://192.0.2.1:0"};
    struct rpc_server *server = NULL;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_status(start_on(rig, urls[i], &server, NULL), STATUS_INVALID_ARGUMENT);
    }
    struct rpc_server_config config = {.urls = urls,
                                       .n_urls = 1,
                                       .contexts = 1,
                                       .router = rig->router,
                                       .tenant = "acme",
                                       .allow_plain = true};
    assert_ok(rpc_server_start(&config, &rig->server, NULL));
    char url[64];
    snprintf(url, sizeof(url), "tcp://127.0.0.1%s", strrchr(rig_url(rig), ':'));
    assert_answers(url);
}

static void test_calls_under_way_are_answered_during_the_stop(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 32);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_CREATE, "x");
    for (uint32_t i = 0; i < 32; i++) {
        rig_write_request(fd, i, request->data, request->length);
    }
    rig_wait_held(32);
    rpc_server_close(rig->server);
    rig_release_held();
    rig_stop(rig);
    for (uint32_t i = 0; i < 32; i++) {
        uint8_t head[12];
        uint8_t body[64];
        assert_true(rig_read(fd, head, sizeof(head)));
        assert_true(head[7] - 4U <= sizeof(body) && rig_read(fd, body, head[7] - 4U));
    }
    close(fd);
}

static void *stop_server(void *arg)
{
    rpc_server_stop(arg);
    return NULL;
}

static void test_stop_waits_for_the_last_call(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_CREATE, "x");
    rig_write_request(fd, 1, request->data, request->length);
    rig_wait_held(1);
    rpc_server_close(rig->server);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_server, rig->server), 0);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += 1;
    assert_int_not_equal(pthread_timedjoin_np(thread, NULL, &soon), 0);
    rig_release_held();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rpc_server_stats(rig->server).in_flight, 0);
    close(fd);
}

struct answer {
    unsigned code;
    char message[128];
};

/* One exchange on a plain socket. */
static struct answer ask(int fd, const struct wire *request)
{
    uint8_t head[12];
    uint8_t body[256];
    rig_write_request(fd, 1, request->data, request->length);
    assert_true(rig_read(fd, head, sizeof(head)));
    size_t length = ((size_t)head[6] << 8 | head[7]) - 4U;
    assert_true(length <= sizeof(body) && rig_read(fd, body, length));
    Rpc__V1__Response *response = rpc__v1__response__unpack(NULL, length, body);
    assert_non_null(response);
    struct answer answer = {.code = response->code};
    snprintf(answer.message, sizeof(answer.message), "%s", response->message);
    rig_free_answer(response);
    return answer;
}

static void test_late_requests_on_open_connections_are_unavailable(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    int fd = rig_connect(rig_url(rig), true);
    struct wire *request = make_request(RIG_GET, "late");
    struct answer answer = ask(fd, request);
    assert_int_equal(answer.code, STATUS_OK);
    rpc_server_close(rig->server);
    answer = ask(fd, request);
    assert_int_equal(answer.code, STATUS_UNAVAILABLE);
    assert_string_equal(answer.message, "the server is shutting down; send the request again");
    close(fd);
}

static void test_new_connections_are_turned_away_after_close(void **state)
{
    struct rig *rig = *state;
    rig_start(rig, TCP_ANY, 2);
    rpc_server_close(rig->server);
    int fd = rig_connect(rig_url(rig), true);
    assert_true(rig_peer_closes(fd));
    close(fd);
}

static void test_address_is_free_again_after_the_stop(void **state)
{
    struct rig *rig = *state;
    char url[128];
    for (int i = 0; i < 3; i++) {
        rig_start(rig, i == 0 ? TCP_ANY : url, 2);
        snprintf(url, sizeof(url), "%s", rig_url(rig));
        assert_answers(url);
        rig_stop(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_over_tcp),
        TEST(test_answers_over_ipc),
        TEST(test_answers_over_inproc),
        TEST(test_one_server_listens_on_all_its_urls),
        TEST(test_error_comes_with_message_and_trailer),
        TEST(test_big_answer_arrives_whole),
        TEST(test_tenant_comes_from_the_configuration),
        TEST(test_bad_envelopes_get_an_answer_that_says_why),
        TEST(test_unknown_method_is_named),
        TEST(test_bad_payload_is_refused_with_its_field),
        TEST(test_a_message_beyond_the_limit_is_refused_within_the_process),
        TEST(test_headers_reach_the_handler),
        TEST(test_timeout_becomes_the_deadline),
        TEST(test_a_handler_may_finish_on_another_thread),
        TEST(test_all_contexts_may_be_in_flight_and_more_wait_their_turn),
        TEST(test_an_announced_gigabyte_costs_only_its_peer),
        TEST(test_one_byte_too_many_costs_only_its_peer),
        TEST(test_a_length_of_all_ones_costs_only_its_peer),
        TEST(test_peers_that_hang_up_in_the_middle_of_a_frame_are_forgotten),
        TEST(test_a_peer_that_greets_with_garbage_is_dropped),
        TEST(test_a_peer_that_does_not_read_cannot_keep_the_contexts),
        TEST(test_address_in_use_is_unavailable_and_says_what_to_do),
        TEST(test_listens_on_all_urls_or_on_none),
        TEST(test_ipc_socket_belongs_to_its_owner_only),
        TEST(test_socket_file_of_a_dead_process_does_not_block),
        TEST(test_socket_of_a_living_server_is_not_taken),
        TEST(test_a_file_in_the_way_is_not_removed),
        TEST(test_urls_that_cannot_be_served_are_refused_and_named),
        TEST(test_an_ipc_path_too_long_for_a_socket_is_refused),
        TEST(test_plain_listener_beyond_loopback_must_be_asked_for),
        TEST(test_calls_under_way_are_answered_during_the_stop),
        TEST(test_stop_waits_for_the_last_call),
        TEST(test_late_requests_on_open_connections_are_unavailable),
        TEST(test_new_connections_are_turned_away_after_close),
        TEST(test_address_is_free_again_after_the_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
