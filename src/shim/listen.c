/*
 * SO_REUSEPORT lets any other process of the same user bind the same port and take half of the connections
 * without a word: a second panicd, started by mistake. So a first socket without it is bound and closed
 * again, which fails while anybody has the port.
 */
#include "shim/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024

static enum status fail_address(const char *text, struct diag *diag)
{
    return diag_fail(diag, STATUS_INVALID_ARGUMENT,
                     "%s: not an address to listen on; expected ADDRESS:PORT, as in 127.0.0.1:8080 or "
                     "[::1]:8080",
                     text);
}

enum status listen_parse(const char *text, struct listen_address *ret_address, struct diag *diag)
{
    char host[LISTEN_TEXT_SIZE];
    const char *colon = strrchr(text, ':');
    bool is_bracketed = text[0] == '[' && colon != NULL && colon[-1] == ']';
    size_t skip = is_bracketed ? 1 : 0;
    if (colon == NULL || (size_t)(colon - text) - 2 * skip >= sizeof(host)) {
        return fail_address(text, diag);
    }
    size_t length = (size_t)(colon - text) - 2 * skip;
    memcpy(host, text + skip, length);
    host[length] = 0;
    const char *port = colon + 1;
    if (length == 0 || *port == 0 || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5 ||
        strtoul(port, NULL, 10) > UINT16_MAX || (!is_bracketed && strchr(host, ':') != NULL)) {
        return fail_address(text, diag);
    }
    const struct addrinfo hints = {.ai_family = is_bracketed ? AF_INET6 : AF_INET,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    if (getaddrinfo(name, port, &hints, &found) != 0) {
        return fail_address(text, diag);
    }
    memcpy(&ret_address->address, found->ai_addr, found->ai_addrlen);
    ret_address->length = found->ai_addrlen;
    freeaddrinfo(found);
    return STATUS_OK;
}

void listen_format(const struct listen_address *address, char ret_text[LISTEN_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->address;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(ret_text, LISTEN_TEXT_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(ret_text, LISTEN_TEXT_SIZE, "%s:%u", host, ntohs(in->sin_port));
    }
}

static int open_one(const struct listen_address *address, bool share)
{
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        (address->address.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)&address->address, address->length) != 0 ||
        (share && listen(fd, BACKLOG) != 0)) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static enum status fail_open(const struct listen_address *address, struct diag *diag)
{
    char text[LISTEN_TEXT_SIZE];
    int error = errno;
    listen_format(address, text);
    return diag_fail(diag, STATUS_UNAVAILABLE, "cannot listen on %s: %s", text,
                     strerror(error)); /* NOLINT(concurrency-mt-unsafe) */
}

enum status listen_open(struct listen_address *address, unsigned n, int *ret_sockets, struct diag *diag)
{
    int probe = open_one(address, false);
    if (probe < 0) {
        return fail_open(address, diag);
    }
    close(probe);
    for (unsigned i = 0; i < n; i++) {
        ret_sockets[i] = open_one(address, true);
        if (ret_sockets[i] >= 0 && i == 0) {
            getsockname(ret_sockets[0], (struct sockaddr *)&address->address, &address->length);
        }
        if (ret_sockets[i] < 0) {
            enum status status = fail_open(address, diag);
            while (i > 0) {
                close(ret_sockets[--i]);
            }
            return status;
        }
    }
    return STATUS_OK;
}
