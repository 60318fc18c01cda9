#include "rpc/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define OWNER_ONLY 0600

/*
 * nng takes a path where connect() is refused for the socket of a dead process and unlinks it, but connect()
 * is refused by a regular file as well.
 */
static enum status check_path(const struct endpoint *endpoint, struct diag *diag)
{
    struct stat info;
    if (lstat(endpoint_path(endpoint), &info) == 0 && !S_ISSOCK(info.st_mode)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: exists and is not a socket; choose another path",
                         endpoint->url);
    }
    return STATUS_OK;
}

static enum status bind_failed(int error, const struct endpoint *endpoint, struct diag *diag)
{
    const char *url = endpoint->url;
    switch (error) {
    case NNG_EADDRINUSE:
        return diag_fail(diag, STATUS_UNAVAILABLE,
                         "%s: address in use; choose another %s with --listen or stop the other process", url,
                         endpoint->kind == ENDPOINT_IPC      ? "path"
                         : endpoint->kind == ENDPOINT_INPROC ? "name"
                                                             : "port");
    case NNG_EPERM:
        return diag_fail(diag, STATUS_UNAVAILABLE, "%s: permission denied", url);
    case NNG_ENOTSUP:
    case NNG_EINVAL:
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: cannot be listened on: %s", url,
                         nng_strerror(error));
    default:
        return diag_fail(diag, STATUS_UNAVAILABLE, "%s: cannot be bound: %s", url, nng_strerror(error));
    }
}

static int configure(const struct listener *listener)
{
    switch (listener->endpoint.kind) {
    case ENDPOINT_IPC:
        return nng_listener_set_int(listener->handle, NNG_OPT_IPC_PERMISSIONS, OWNER_ONLY);
    case ENDPOINT_TLS: {
        int error = nng_listener_set_ptr(listener->handle, NNG_OPT_TLS_CONFIG, listener->tls);
        return error != 0 ? error : nng_listener_set_bool(listener->handle, NNG_OPT_TCP_KEEPALIVE, true);
    }
    case ENDPOINT_TCP:
        return nng_listener_set_bool(listener->handle, NNG_OPT_TCP_KEEPALIVE, true);
    default:
        return 0;
    }
}

enum status listener_open(struct listener *listener, struct diag *diag)
{
    struct endpoint *endpoint = &listener->endpoint;
    enum status status = endpoint->kind == ENDPOINT_IPC ? check_path(endpoint, diag) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    int error = nng_listener_create(&listener->handle, listener->socket, endpoint->url);
    if (error != 0) {
        return bind_failed(error, endpoint, diag);
    }
    listener->created = true;
    error = configure(listener);
    if (error == 0) {
        error = nng_listener_start(listener->handle, 0);
    }
    int port = 0;
    bool any_port = (endpoint->kind == ENDPOINT_TCP || endpoint->kind == ENDPOINT_TLS) && endpoint->port == 0;
    if (error == 0 && any_port) {
        error = nng_listener_get_int(listener->handle, NNG_OPT_TCP_BOUND_PORT, &port);
    }
    if (error != 0) {
        return bind_failed(error, endpoint, diag);
    }
    if (any_port) {
        endpoint_set_port(endpoint, (unsigned)port);
    }
    listener->bound = true;
    return STATUS_OK;
}

void listener_close(struct listener *listener)
{
    if (listener->created) {
        nng_listener_close(listener->handle);
        listener->created = false;
        listener->bound = false;
    }
}
