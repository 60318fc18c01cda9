/* Where the shim listens: the address as people write it, and several sockets on one port. */
#ifndef SHIM_LISTEN_H
#define SHIM_LISTEN_H

#include <sys/socket.h>

#include "base/status.h"

/* "[" + address + "]:" + port + NUL. */
#define LISTEN_TEXT_SIZE 64

struct listen_address {
    struct sockaddr_storage address;
    socklen_t length;
};

/* ADDRESS:PORT with a numeric address or localhost, IPv6 in brackets. INVALID_ARGUMENT otherwise. */
MUST_USE enum status listen_parse(const char *text, struct listen_address *ret_address, struct diag *diag);

/*
 * `n` listening sockets on the address, each with SO_REUSEPORT, non-blocking; port 0 becomes the one that was
 * chosen. UNAVAILABLE when it cannot be bound, also when any other socket has it. The caller owns them; on
 * failure none is open.
 */
MUST_USE enum status listen_open(struct listen_address *address, unsigned n, int *ret_sockets,
                                 struct diag *diag);

/* As parsed, with the port in use. */
void listen_format(const struct listen_address *address, char ret_text[LISTEN_TEXT_SIZE]);

#endif
