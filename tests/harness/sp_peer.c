#include "harness/sp_peer.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/panicd.h"
#include "harness/test.h"

#define TOP_BIT 0x80000000U
#define GREETING_SIZE 8

static int connect_tcp(const char *address)
{
    const char *colon = strrchr(address, ':');
    assert_non_null(colon);
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&peer, sizeof(peer)), 0);
    return fd;
}

static int connect_ipc(const char *path)
{
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(peer.sun_path));
    memcpy(peer.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&peer, sizeof(peer)), 0);
    return fd;
}

int sp_connect(const char *url)
{
    int fd = strncmp(url, "ipc://", 6) == 0 ? connect_ipc(url + 6) : connect_tcp(url + 6);
    struct timeval patience = {.tv_sec = HARNESS_PATIENCE_US / 1000000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

void sp_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

void sp_send(int fd, const void *data, size_t length)
{
    const char *at = data;
    while (length > 0) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        at += n;
        length -= (size_t)n;
    }
}

/* True when all was read, false when the other side has hung up. */
static bool receive(int fd, void *data, size_t length)
{
    char *at = data;
    while (length > 0) {
        ssize_t n = recv(fd, at, length, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            fail_msg("the other side is silent");
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        length -= (size_t)n;
    }
    return true;
}

bool sp_greet(int fd, uint16_t protocol)
{
    uint8_t greeting[GREETING_SIZE] = {0, 'S', 'P', 0, (uint8_t)(protocol >> 8), (uint8_t)protocol, 0, 0};
    sp_send(fd, greeting, sizeof(greeting));
    return receive(fd, greeting, sizeof(greeting));
}

int sp_connect_req(const char *url)
{
    int fd = sp_connect(url);
    assert_true(sp_greet(fd, SP_REQ));
    return fd;
}

void sp_send_head(int fd, uint64_t length)
{
    uint64_t head = htobe64(length);
    sp_send(fd, &head, sizeof(head));
}

void sp_send_request(int fd, uint32_t request_id, const void *body, size_t length)
{
    uint32_t id = htonl(request_id | TOP_BIT);
    sp_send_head(fd, sizeof(id) + length);
    sp_send(fd, &id, sizeof(id));
    sp_send(fd, body, length);
}

ssize_t sp_receive_answer(int fd, uint32_t request_id, void *body, size_t size)
{
    uint64_t head;
    uint32_t id;
    if (!receive(fd, &head, sizeof(head)) || !receive(fd, &id, sizeof(id))) {
        return -1;
    }
    size_t length = be64toh(head) - sizeof(id);
    assert_int_equal(ntohl(id), request_id | TOP_BIT);
    assert_true(length <= size);
    return receive(fd, body, length) ? (ssize_t)length : -1;
}

void sp_expect_hang_up(int fd)
{
    char byte;
    while (receive(fd, &byte, 1)) {
    }
}
