/*
 * One thread over a few TCP connections that speak the Scalability Protocols' REQ (docs/protocol.md): it
 * sends what is due, takes what has come, and sleeps until the next call is due or an answer is there. A
 * call's request id is its slot's number; no slot has two calls under way. Calls go over the connections in
 * turn.
 *
 * A call that is due while every slot is busy starts late, and its latency counts from when it was due.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load/ids.h"
#include "bench/load/load.h"

#define GREETING_SIZE 8
/* The length of the frame, and the request id. */
#define HEAD_SIZE 12
#define LAST_BIT 0x80000000U
#define ANSWERS_MAX ((size_t)256 * 1024)
#define LAST_ANSWERS_S 30

struct slot {
    struct slot *next_free;
    /* Of the call under way: when it was due, and whether it is counted. */
    int64_t start_ns;
    bool counted;
    char id[BENCH_ID_LENGTH];
};

struct connection {
    int fd;
    /* What is still to be written; room for the requests of all slots. */
    uint8_t *out;
    size_t out_length;
    uint8_t in[ANSWERS_MAX];
    size_t in_length;
};

struct load {
    const struct load_config *config;
    struct load_result *result;
    struct load_ids ids;
    struct slot *slots;
    struct slot *free_slots;
    unsigned running;
    struct connection connections[LOAD_CONNECTIONS_MAX];
    struct pollfd polled[LOAD_CONNECTIONS_MAX];
};

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

/* ---- sending ---- */

static struct connection *connection_of(struct load *load, const struct slot *slot)
{
    return &load->connections[(size_t)(slot - load->slots) % load->config->connections];
}

static void start_call(struct load *load, int64_t start_ns, bool counted)
{
    struct slot *slot = load->free_slots;
    load->free_slots = slot->next_free;
    load->running++;
    slot->start_ns = start_ns;
    slot->counted = counted;
    load_ids_take(&load->ids, start_ns, slot->id);

    struct connection *connection = connection_of(load, slot);
    uint8_t *at = connection->out + connection->out_length;
    uint64_t length = htobe64(sizeof(uint32_t) + load->config->frame.length);
    uint32_t request_id = htobe32(LAST_BIT | (uint32_t)(slot - load->slots));
    memcpy(at, &length, sizeof(length));
    memcpy(at + sizeof(length), &request_id, sizeof(request_id));
    frame_write(&load->config->frame, slot->id, at + HEAD_SIZE);
    connection->out_length += HEAD_SIZE + load->config->frame.length;
}

static void write_out(struct connection *connection)
{
    if (connection->out_length == 0) {
        return;
    }
    ssize_t n = send(connection->fd, connection->out, connection->out_length, MSG_NOSIGNAL);
    check(n >= 0 || errno == EAGAIN, "write");
    if (n > 0) {
        connection->out_length -= (size_t)n;
        memmove(connection->out, connection->out + n, connection->out_length);
    }
}

/* ---- answers ---- */

static void end_call(struct load *load, struct slot *slot, const uint8_t *body, size_t length, int64_t now_ns)
{
    struct load_result *result = load->result;
    enum status status = frame_check(&load->config->frame, body, length, slot->id);
    atomic_store_explicit(&result->answer_length, length, memory_order_relaxed);
    if (status != STATUS_OK && result->failed++ == 0) {
        result->first_failure = status;
    }
    if (status == STATUS_OK && slot->counted) {
        samples_add(&result->latency, now_ns - slot->start_ns);
    }
    slot->next_free = load->free_slots;
    load->free_slots = slot;
    load->running--;
}

/* The bytes that the first answer takes; 0 when it is not there as a whole. */
static size_t take_answer(struct load *load, const uint8_t *at, size_t there, int64_t now_ns)
{
    if (there < HEAD_SIZE) {
        return 0;
    }
    uint64_t length;
    uint32_t request_id;
    memcpy(&length, at, sizeof(length));
    memcpy(&request_id, at + sizeof(length), sizeof(request_id));
    length = be64toh(length);
    uint32_t number = be32toh(request_id) & ~LAST_BIT;
    errno = EPROTO;
    check(length >= sizeof(request_id) && length <= ANSWERS_MAX - HEAD_SIZE &&
              number < load->config->in_flight,
          "answer");
    size_t whole = sizeof(length) + (size_t)length;
    if (there < whole) {
        return 0;
    }
    end_call(load, &load->slots[number], at + HEAD_SIZE, whole - HEAD_SIZE, now_ns);
    return whole;
}

static void read_answers(struct load *load, struct connection *connection)
{
    ssize_t n = recv(connection->fd, connection->in + connection->in_length,
                     sizeof(connection->in) - connection->in_length, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    check(n > 0, n == 0 ? "the server hung up" : "read");
    connection->in_length += (size_t)n;
    int64_t now_ns = load_now_ns(CLOCK_MONOTONIC);
    size_t taken = 0;
    size_t whole;
    while ((whole = take_answer(load, connection->in + taken, connection->in_length - taken, now_ns)) > 0) {
        taken += whole;
    }
    connection->in_length -= taken;
    memmove(connection->in, connection->in + taken, connection->in_length);
}

/* Until there is an answer, or a call is due. */
static void wait_and_read(struct load *load, int64_t until_ns)
{
    unsigned n = load->config->connections;
    for (unsigned i = 0; i < n; i++) {
        struct connection *connection = &load->connections[i];
        write_out(connection);
        short events = connection->out_length > 0 ? POLLIN | POLLOUT : POLLIN;
        load->polled[i] = (struct pollfd){.fd = connection->fd, .events = events};
    }
    int64_t left_ns = until_ns - load_now_ns(CLOCK_MONOTONIC);
    left_ns = left_ns > 0 ? left_ns : 0;
    const struct timespec left = {.tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S};
    int ready = ppoll(load->polled, n, &left, NULL);
    check(ready >= 0 || errno == EINTR, "poll");
    for (unsigned i = 0; i < n && ready > 0; i++) {
        if ((load->polled[i].revents & ~POLLOUT) != 0) {
            read_answers(load, &load->connections[i]);
        }
    }
}

/* ---- setting up ---- */

static struct sockaddr_in address_of(const char *url)
{
    static const char scheme[] = "tcp://";
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = {0};
    const char *colon = strrchr(url, ':');
    size_t length = colon != NULL ? (size_t)(colon - url) : 0;
    if (strncmp(url, scheme, strlen(scheme)) == 0 && length > strlen(scheme) &&
        length - strlen(scheme) < sizeof(host)) {
        snprintf(host, sizeof(host), "%.*s", (int)(length - strlen(scheme)), url + strlen(scheme));
    }
    unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
    errno = EINVAL;
    check(inet_pton(AF_INET, host, &address.sin_addr) == 1 && port > 0 && port <= UINT16_MAX,
          "--rate needs --url tcp://IPV4:PORT");
    address.sin_port = htons((uint16_t)port);
    return address;
}

static void open_connection(struct connection *connection, const struct sockaddr_in *address, size_t out_size)
{
    static const uint8_t mine[GREETING_SIZE] = {0, 'S', 'P', 0, 0, 0x30};
    static const uint8_t wanted[GREETING_SIZE] = {0, 'S', 'P', 0, 0, 0x31};
    uint8_t theirs[GREETING_SIZE];
    const int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connection->fd >= 0, "socket");
    check(connect(connection->fd, (const struct sockaddr *)address, sizeof(*address)) == 0, "connect");
    check(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0, "no delay");
    check(send(connection->fd, mine, sizeof(mine), MSG_NOSIGNAL) == sizeof(mine), "greeting");
    check(recv(connection->fd, theirs, sizeof(theirs), MSG_WAITALL) == sizeof(theirs), "greeting");
    errno = EPROTO;
    check(memcmp(theirs, wanted, sizeof(wanted)) == 0, "greeting");
    check(fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0, "non-blocking");
    connection->out = malloc(out_size);
    check(connection->out != NULL, "memory");
}

static struct load *open_load(const struct load_config *config, struct load_result *result)
{
    static struct load load;
    load.config = config;
    load.result = result;
    load_ids_init(&load.ids, config);
    struct sockaddr_in address = address_of(config->url);
    for (unsigned i = 0; i < config->connections; i++) {
        open_connection(&load.connections[i], &address,
                        config->in_flight * (HEAD_SIZE + config->frame.length));
    }
    load.slots = calloc(config->in_flight, sizeof(*load.slots));
    check(load.slots != NULL, "memory");
    for (unsigned i = config->in_flight; i-- > 0;) {
        load.slots[i].next_free = load.free_slots;
        load.free_slots = &load.slots[i];
    }
    /* The kernel would otherwise gather wake-ups of 50 µs. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    return &load;
}

void load_run_open(const struct load_config *config, struct load_result *ret_result)
{
    struct load *load = open_load(config, ret_result);
    int64_t origin_ns = load_now_ns(CLOCK_MONOTONIC);
    int64_t begin_ns = origin_ns + (int64_t)(config->warm_up_s * (double)NS_PER_S);
    int64_t end_ns = begin_ns + (int64_t)(config->seconds * (double)NS_PER_S);
    int64_t due_ns = origin_ns;
    struct load_cpu before = {0};
    bool counted = false;
    for (uint64_t i = 0; due_ns < end_ns;) {
        while (due_ns <= load_now_ns(CLOCK_MONOTONIC) && due_ns < end_ns && load->free_slots != NULL) {
            if (!counted && due_ns >= begin_ns) {
                counted = true;
                before = load_cpu_read(config);
            }
            start_call(load, due_ns, counted);
            due_ns = origin_ns + (int64_t)((double)++i / config->rate * (double)NS_PER_S);
        }
        wait_and_read(load, load->free_slots != NULL ? due_ns : end_ns);
    }
    load_cpu_take(config, &before, ret_result);
    int64_t last_ns = load_now_ns(CLOCK_MONOTONIC) + LAST_ANSWERS_S * NS_PER_S;
    while (load->running > 0) {
        errno = ETIMEDOUT;
        check(load_now_ns(CLOCK_MONOTONIC) < last_ns, "last answers");
        wait_and_read(load, last_ns);
    }
    ret_result->window_s = config->seconds;
    ret_result->started = atomic_load(&load->ids.next);
}
