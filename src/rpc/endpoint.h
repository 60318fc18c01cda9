/*
 * The URLs that panicd listens on and dials, and the TLS that belongs to them.
 */
#ifndef RPC_ENDPOINT_H
#define RPC_ENDPOINT_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdbool.h>

#include "base/status.h"

/* Longest URL taken. */
#define ENDPOINT_URL_MAX 256

enum endpoint_kind { ENDPOINT_TCP, ENDPOINT_TLS, ENDPOINT_IPC, ENDPOINT_INPROC };

struct endpoint {
    enum endpoint_kind kind;
    char url[ENDPOINT_URL_MAX];
    /* TCP and TLS: as written, without brackets; "" = every interface. */
    char host[ENDPOINT_URL_MAX];
    unsigned port;
};

/*
 * tcp://HOST:PORT, tls+tcp://HOST:PORT, ipc://PATH or inproc://NAME; INVALID_ARGUMENT for all else (ws:// and
 * wss:// among it: below 1.6 nng's HTTP server reads out of bounds).
 */
MUST_USE enum status endpoint_parse(const char *url, struct endpoint *ret, struct diag *diag);

/* Does the traffic stay on this machine, or is it encrypted? */
bool endpoint_is_private(const struct endpoint *endpoint);

/* IPC: the path. */
const char *endpoint_path(const struct endpoint *endpoint);

/* The same endpoint with another port. */
void endpoint_set_port(struct endpoint *endpoint, unsigned port);

/*
 * TLS 1.2 or newer. Both files are PEM; a certificate file may hold a chain. The caller owns *ret_tls
 * (nng_tls_config_free). INVALID_ARGUMENT, naming the file, when it cannot be read or used.
 */
MUST_USE enum status endpoint_server_tls(const char *cert_file, const char *key_file,
                                         nng_tls_config **ret_tls, struct diag *diag);

/* For a client that trusts the authorities in ca_file, and takes only a certificate for `host`. */
MUST_USE enum status endpoint_client_tls(const char *ca_file, const char *host, nng_tls_config **ret_tls,
                                         struct diag *diag);

#endif
