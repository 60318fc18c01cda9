#include "unit/rpc/rig.h"

#include <netdb.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "panic/v1/panic_service.pb-c.h"

#define HELD_MAX 1024

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6
/*
 * Read by LeakSanitizer. These versions lose a listener now and then when its socket is closed, and an answer
 * whose connection ends in the moment it is handed over.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libnng.so\n";
}
#endif

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct rpc_call *calls[HELD_MAX];
    size_t n;
} held = {.mutex = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER};

/* Set once, by the first set-up. */
static char big[60001];

static void reply_with_id(struct rpc_call *call, char *id)
{
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    panic.id = id;
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    response.panic = &panic;
    rpc_call_reply(call, &response.base);
}

static void handle_get(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    char *id = ((const Panic__V1__GetPanicRequest *)call->request)->id;
    if (strcmp(id, "missing") == 0) {
        rpc_call_add_trailer(call, "retry-after", "3");
        rpc_call_fail(call, STATUS_NOT_FOUND, "id: there is no panic %s", id);
    } else if (strcmp(id, "header") == 0) {
        const char *value = rpc_call_header(call, "x-test");
        reply_with_id(call, value != NULL ? arena_copy(&call->arena, value, strlen(value)) : id);
    } else if (strcmp(id, "deadline") == 0) {
        reply_with_id(call,
                      arena_printf(&call->arena, "%lld", (long long)(call->deadline_us - call->start_us)));
    } else if (strcmp(id, "tenant") == 0) {
        reply_with_id(call, arena_printf(&call->arena, "%s", call->identity.tenant));
    } else if (strcmp(id, "big") == 0) {
        reply_with_id(call, big);
    } else {
        reply_with_id(call, id);
    }
}

static void handle_create(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    pthread_mutex_lock(&held.mutex);
    assert_true(held.n < HELD_MAX);
    held.calls[held.n++] = call;
    pthread_cond_broadcast(&held.arrived);
    pthread_mutex_unlock(&held.mutex);
}

void rig_wait_held(size_t n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RIG_PATIENCE_S;
    pthread_mutex_lock(&held.mutex);
    int error = 0;
    while (held.n < n && error == 0) {
        error = pthread_cond_timedwait(&held.arrived, &held.mutex, &until);
    }
    size_t have = held.n;
    pthread_mutex_unlock(&held.mutex);
    assert_int_equal(have, n);
}

static void *release_all(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&held.mutex);
    for (size_t i = 0; i < held.n; i++) {
        const Panic__V1__CreatePanicRequest *request = (const void *)held.calls[i]->request;
        Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
        panic.id = request->id;
        Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
        response.panic = &panic;
        rpc_call_reply(held.calls[i], &response.base);
    }
    held.n = 0;
    pthread_mutex_unlock(&held.mutex);
    return NULL;
}

void rig_release_held(void)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_all, NULL), 0);
    pthread_join(thread, NULL);
}

int rig_set_up(void **state)
{
    static const struct rpc_binding bindings[] = {
        {.method = "GetPanic", .handler = handle_get, .read_only = true},
        {.method = "CreatePanic", .handler = handle_create},
    };
    if (big[0] == 0) {
        memset(big, 'b', sizeof(big) - 1);
    }
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    snprintf(rig->folder, sizeof(rig->folder), "/tmp/panicd-rpc-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    struct rpc_service services[] = {
        {&panic__v1__panic_service__descriptor, bindings, 2, NULL},
        rpc_health_service(&rig->health),
    };
    assert_ok(rpc_router_new(services, 2, &rig->router));
    rig->health.router = rig->router;
    atomic_store(&rig->health.serving, true);
    held.n = 0;
    *state = rig;
    return 0;
}

int rig_tear_down(void **state)
{
    struct rig *rig = *state;
    rig_stop(rig);
    rpc_router_free(rig->router);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", rig->folder);
    int failed = system(command); // NOLINT(cert-env33-c,concurrency-mt-unsafe)
    free(rig);
    return failed;
}

const char *rig_ipc(const struct rig *rig, const char *name)
{
    static char url[128];
    snprintf(url, sizeof(url), "ipc://%s/%s", rig->folder, name);
    return url;
}

void rig_start(struct rig *rig, const char *url, unsigned contexts)
{
    struct rpc_server_config config = {
        .urls = &url, .n_urls = 1, .contexts = contexts, .router = rig->router, .tenant = "acme"};
    struct diag diag = {.text = ""};
    if (rpc_server_start(&config, &rig->server, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
}

const char *rig_url(const struct rig *rig)
{
    return rpc_server_url(rig->server, 0);
}

void rig_stop(struct rig *rig)
{
    rpc_server_free(rig->server);
    rig->server = NULL;
}

Rpc__V1__Response *rig_exchange(const char *url, const void *bytes, size_t length)
{
    nng_socket socket;
    assert_int_equal(nng_req0_open(&socket), 0);
    nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, RIG_PATIENCE_S * 1000);
    nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, RIG_PATIENCE_S * 1000);
    assert_int_equal(nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK), 0);
    nng_msg *msg;
    assert_int_equal(nng_msg_alloc(&msg, 0), 0);
    assert_int_equal(nng_msg_append(msg, bytes, length), 0);
    assert_int_equal(nng_sendmsg(socket, msg, 0), 0);
    assert_int_equal(nng_recvmsg(socket, &msg, 0), 0);
    Rpc__V1__Response *answer = rpc__v1__response__unpack(NULL, nng_msg_len(msg), nng_msg_body(msg));
    assert_non_null(answer);
    nng_msg_free(msg);
    nng_close(socket);
    return answer;
}

void rig_free_answer(Rpc__V1__Response *answer)
{
    rpc__v1__response__free_unpacked(answer, NULL);
}

enum status rig_get(const char *url, const char *id, char *text, size_t size)
{
    static struct wire wire;
    struct wire *request = calloc(1, sizeof(*request));
    wire.length = 0;
    wire_text(request, 1, id);
    wire_text(&wire, 1, RIG_GET);
    wire_bytes(&wire, 2, request->data, request->length);
    free(request);
    Rpc__V1__Response *answer = rig_exchange(url, wire.data, wire.length);
    enum status status = status_from_code(answer->code);
    snprintf(text, size, "%s", answer->message);
    if (status == STATUS_OK) {
        Panic__V1__GetPanicResponse *response =
            panic__v1__get_panic_response__unpack(NULL, answer->payload.len, answer->payload.data);
        assert_non_null(response);
        snprintf(text, size, "%s", response->panic->id);
        panic__v1__get_panic_response__free_unpacked(response, NULL);
    }
    rig_free_answer(answer);
    return status;
}

static int connect_to_path(const char *name)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    snprintf(path.sun_path, sizeof(path.sun_path), "%s", name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&path, sizeof(path)), 0);
    return fd;
}

/* To the first address of the name, which is also where a listener by that name is. */
static int connect_to_host(const char *authority)
{
    char host[64];
    const char *port = strrchr(authority, ':');
    snprintf(host, sizeof(host), "%.*s", (int)(port - authority), authority);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *address;
    assert_int_equal(getaddrinfo(host, port + 1, &hints, &address), 0);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, address->ai_addr, address->ai_addrlen), 0);
    freeaddrinfo(address);
    return fd;
}

static int connect_to(const char *url)
{
    const char *name = strstr(url, "://") + 3;
    return strncmp(url, "ipc:", 4) == 0 ? connect_to_path(name) : connect_to_host(name);
}

int rig_connect(const char *url, bool greet)
{
    int fd = connect_to(url);
    if (greet) {
        uint8_t greeting[8];
        rig_write(fd, "\0SP\0\0\x30\0", 8);
        assert_true(rig_read(fd, greeting, sizeof(greeting)));
        assert_memory_equal(greeting, "\0SP\0\0\x31\0", 8);
    }
    return fd;
}

int rig_listen(char *url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(url, size, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

int rig_accept(int listening)
{
    struct pollfd readable = {.fd = listening, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, RIG_PATIENCE_S * 1000), 1);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

void rig_close(int fd)
{
    close(fd);
}

bool rig_read(int fd, void *bytes, size_t length)
{
    char *at = bytes;
    while (length > 0) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (poll(&readable, 1, RIG_PATIENCE_S * 1000) != 1) {
            return false;
        }
        ssize_t n = read(fd, at, length);
        if (n <= 0) {
            return false;
        }
        at += n;
        length -= (size_t)n;
    }
    return true;
}

bool rig_peer_closes(int fd)
{
    for (;;) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (poll(&readable, 1, RIG_PATIENCE_S * 1000) != 1) {
            return false;
        }
        char rest[4096];
        if (read(fd, rest, sizeof(rest)) <= 0) {
            return true;
        }
    }
}

void rig_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
        assert_true(n > 0);
        at += n;
        length -= (size_t)n;
    }
}

void rig_write_request(int fd, uint32_t id, const void *body, size_t length)
{
    uint8_t head[13];
    size_t n = 0;
    bool ipc = false;
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        ipc = address.ss_family == AF_UNIX;
    }
    if (ipc) {
        head[n++] = 1;
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        head[n++] = (uint8_t)((uint64_t)(length + 4) >> shift);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        head[n++] = (uint8_t)((id | 0x80000000U) >> shift);
    }
    rig_write(fd, head, n);
    rig_write(fd, body, length);
}
