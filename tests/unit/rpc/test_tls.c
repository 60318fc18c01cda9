/* tls+tcp, with a certificate that openssl's command line makes for the occasion. */
#include "unit/rpc/rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "panic/v1/panic_service.pb-c.h"

#define LOCALHOST "tls+tcp://localhost:0"

struct files {
    char cert[128];
    char key[128];
};

/* False, having said why, when openssl is not there. */
static bool make_files(const struct rig *rig, const char *name, struct files *files)
{
    char command[512];
    snprintf(files->cert, sizeof(files->cert), "%s/%s.crt", rig->folder, name);
    snprintf(files->key, sizeof(files->key), "%s/%s.key", rig->folder, name);
    snprintf(command, sizeof(command),
             "umask 077; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
             "-addext subjectAltName=DNS:localhost -keyout '%s' -out '%s' >/dev/null 2>&1",
             files->key, files->cert);
    if (system(command) != 0) { // NOLINT(cert-env33-c,concurrency-mt-unsafe)
        print_message("openssl could not make a certificate; TLS is not tested\n");
        return false;
    }
    return true;
}

static enum status start(struct rig *rig, const char *url, const char *cert, const char *key,
                         struct diag *diag)
{
    struct rpc_server_config config = {.urls = &url,
                                       .n_urls = 1,
                                       .contexts = 4,
                                       .router = rig->router,
                                       .tenant = "acme",
                                       .tls_cert_file = cert,
                                       .tls_key_file = key};
    return rpc_server_start(&config, &rig->server, diag);
}

static struct rpc_channel *open_channel(const char *url, const char *ca_file)
{
    struct rpc_channel_config config = {.url = url, .contexts = 1, .tls_ca_file = ca_file};
    struct rpc_channel *channel = NULL;
    struct diag diag = {.text = ""};
    if (rpc_channel_open(&config, &channel, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
    return channel;
}

static enum status get(struct rpc_channel *channel, int64_t timeout_us, struct diag *diag)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, RPC_ARENA_MAX);
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    const ProtobufCMessage *response;
    enum status status = rpc_channel_call_wait(channel, &panic__v1__panic_service__descriptor, "GetPanic",
                                               &request.base, timeout_us, true, &arena, &response, diag);
    arena_reset(&arena);
    return status;
}

static void expect_served(const char *url, const char *ca_file)
{
    struct rpc_channel *channel = open_channel(url, ca_file);
    assert_ok(get(channel, RIG_PATIENCE_S * US_PER_S, NULL));
    rpc_channel_close(channel);
}

#define HANDSHAKE_FAILED                                                                                     \
    ": the server does not speak TLS, or its certificate is not trusted or does not name "

/* No call is answered, and once a handshake has failed the error names what may be the cause. */
static void await_failed_handshake(struct rpc_channel *channel, const char *host)
{
    int64_t give_up_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    struct diag diag = {.text = ""};
    while (strstr(diag.text, HANDSHAKE_FAILED) == NULL) {
        assert_true(monotonic_us() < give_up_us);
        assert_status(get(channel, 200 * US_PER_MS, &diag), STATUS_DEADLINE_EXCEEDED);
    }
    char cause[128];
    snprintf(cause, sizeof(cause), " ms" HANDSHAKE_FAILED "%s as a DNS name", host);
    assert_string_equal(strstr(diag.text, " ms"), cause);
}

static void test_calls_go_over_tls(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_ok(start(rig, LOCALHOST, files.cert, files.key, NULL));
    expect_served(rig_url(rig), files.cert);
}

static void test_a_server_with_another_certificate_is_not_trusted(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    struct files other = {.cert = ""};
    if (!make_files(rig, "server", &files) || !make_files(rig, "other", &other)) {
        skip();
    }
    assert_ok(start(rig, LOCALHOST, files.cert, files.key, NULL));
    struct rpc_channel *channel = open_channel(rig_url(rig), other.cert);
    await_failed_handshake(channel, "localhost");
    rpc_channel_close(channel);
    assert_int_equal(rpc_server_stats(rig->server).requests, 0);
}

static void test_a_name_that_is_not_in_the_certificate_is_not_trusted(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_ok(start(rig, "tls+tcp://127.0.0.1:0", files.cert, files.key, NULL));
    struct rpc_channel *channel = open_channel(rig_url(rig), files.cert);
    await_failed_handshake(channel, "127.0.0.1");
    rpc_channel_close(channel);
    assert_int_equal(rpc_server_stats(rig->server).requests, 0);
}

/* Though other channels of the process, opened before and after, have that trouble. */
static void test_a_server_that_is_not_there_is_not_blamed_for_its_certificate(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_ok(start(rig, "tls+tcp://127.0.0.1:0", files.cert, files.key, NULL));
    struct rpc_channel *before = open_channel(rig_url(rig), files.cert);
    struct rpc_channel *channel = open_channel("tls+tcp://127.0.0.1:1", files.cert);
    struct rpc_channel *after = open_channel(rig_url(rig), files.cert);
    await_failed_handshake(before, "127.0.0.1");
    await_failed_handshake(after, "127.0.0.1");
    struct diag diag = {.text = ""};
    assert_status(get(channel, 200 * US_PER_MS, &diag), STATUS_DEADLINE_EXCEEDED);
    assert_non_null(strstr(diag.text, "no connection within "));
    assert_null(strstr(diag.text, HANDSHAKE_FAILED));
    rpc_channel_close(before);
    rpc_channel_close(channel);
    rpc_channel_close(after);
}

static void test_a_server_without_tls_is_named_among_the_causes(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_ok(start(rig, "tcp://127.0.0.1:0", NULL, NULL, NULL));
    char url[128];
    snprintf(url, sizeof(url), "tls+%s", rig_url(rig));
    struct rpc_channel *channel = open_channel(url, files.cert);
    await_failed_handshake(channel, "127.0.0.1");
    rpc_channel_close(channel);
}

static void test_resets_do_not_stop_a_tls_listener(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_ok(start(rig, LOCALHOST, files.cert, files.key, NULL));
    for (int i = 0; i < 200; i++) {
        int fd = rig_connect(rig_url(rig), false);
        struct linger reset = {.l_onoff = 1};
        shutdown(fd, SHUT_WR);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        rig_close(fd);
    }
    expect_served(rig_url(rig), files.cert);
}

static void assert_refused(struct rig *rig, const char *cert, const char *key, const char *text)
{
    struct diag diag = {.text = ""};
    assert_status(start(rig, LOCALHOST, cert, key, &diag), STATUS_INVALID_ARGUMENT);
    if (strstr(diag.text, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", diag.text, text);
    }
    assert_null(rig->server);
}

static void test_unusable_files_are_named(void **state)
{
    struct rig *rig = *state;
    struct files files = {.cert = ""};
    if (!make_files(rig, "server", &files)) {
        skip();
    }
    assert_refused(rig, NULL, NULL, "needs a certificate file and a key file");
    assert_refused(rig, files.cert, NULL, "needs a certificate file and a key file");
    assert_refused(rig, "/nonexistent/server.crt", files.key, "/nonexistent/server.crt: No such file");
    assert_refused(rig, files.cert, "/nonexistent/server.key", "/nonexistent/server.key: No such file");
    assert_refused(rig, rig->folder, files.key, "is not a readable PEM file");
    assert_refused(rig, "/dev/null", files.key, "is not a readable PEM file");
    assert_refused(rig, files.key, files.cert, "are not a certificate and its unencrypted key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_calls_go_over_tls),
        TEST(test_a_server_with_another_certificate_is_not_trusted),
        TEST(test_a_name_that_is_not_in_the_certificate_is_not_trusted),
        TEST(test_a_server_that_is_not_there_is_not_blamed_for_its_certificate),
        TEST(test_a_server_without_tls_is_named_among_the_causes),
        TEST(test_resets_do_not_stop_a_tls_listener),
        TEST(test_unusable_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
