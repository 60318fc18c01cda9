/*
 * panic-shim: the HTTP edge as a process of its own, in front of a panicd somewhere else. The same shim that
 * panicd has within, over a router whose handlers send each call on (shim/upstream.h). No logic.
 *
 * Start: upstream (which need not be there), then HTTP. Stop, in the other direction: refuse new requests,
 * finish those accepted, then the upstream's channel. The main thread also keeps asking for the upstream's
 * health, which /readyz shows.
 */
#include <sysexits.h>

#include "base/log.h"
#include "panicd/process.h"
#include "panicd/shim_options.h"
#include "shim/shim.h"
#include "shim/upstream.h"

#define LOOPS 2
#define CHECK_PERIOD_MS 250

/* The only tenant until there are credentials; as panicd's. */
#define TENANT "default"

struct parts {
    struct upstream *upstream;
    struct shim *shim;
};

static enum status start_http(struct parts *parts, const struct edge_options *options, struct diag *diag)
{
    struct process_connections connections;
    enum status status = process_share_files(true, false, &connections, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct shim_config config = {
        .address = options->http,
        .router = upstream_router(parts->upstream),
        .health = upstream_health(parts->upstream),
        .tenant = TENANT,
        .loops = LOOPS,
        .calls_max = UPSTREAM_CALLS_MAX,
        .limits = {.connections_max = connections.http, .streams_max = UPSTREAM_STREAMS_MAX},
        .origins = options->origins,
        .n_origins = options->n_origins,
        .tls_cert_file = options->http_tls ? options->tls_cert : NULL,
        .tls_key_file = options->http_tls ? options->tls_key : NULL};
    return shim_start(&config, &parts->shim, diag);
}

static enum status start(struct parts *parts, const struct shim_options *options, struct diag *diag)
{
    const struct upstream_config upstream = {.url = options->upstream,
                                             .tls_ca_file = options->upstream_ca,
                                             .allow_plain = options->edge.allow_plaintext};
    struct diag why;
    enum status status = upstream_open(&upstream, &parts->upstream, &why);
    if (status != STATUS_OK) {
        return diag_fail(diag, status, "--upstream: %s", why.text);
    }
    return start_http(parts, &options->edge, diag);
}

static void stop(struct parts *parts)
{
    if (parts->upstream != NULL) {
        upstream_close(parts->upstream);
    }
    shim_close(parts->shim);
    shim_stop(parts->shim);
    shim_free(parts->shim);
    upstream_free(parts->upstream);
}

int main(int argc, char **argv)
{
    struct shim_options options;
    shim_options_parse(argc, argv, &options);
    log_set_level(options.edge.log_level);
    process_begin();

    struct parts parts = {0};
    struct diag diag = {0};
    enum status status = start(&parts, &options, &diag);
    if (status != STATUS_OK) {
        log_error("cannot start", log_str("why", diag.text));
        stop(&parts);
        return status == STATUS_INVALID_ARGUMENT ? EX_USAGE : EX_IOERR;
    }
    log_info("listening", log_str("url", shim_address(parts.shim)));
    log_info("ready", log_str("version", PANICD_VERSION), log_str("upstream", options.upstream));
    int number;
    do {
        upstream_check(parts.upstream);
        number = process_wait(CHECK_PERIOD_MS);
    } while (number == 0);
    process_drain(number);
    stop(&parts);
    log_info("stopped");
    return EX_OK;
}
