/*
 * panicd: reads the options, puts the parts together, and fixes the order in which they start and stop. No
 * logic.
 *
 * Start: store, cache, service (dispatch goes on with what is open), router, listeners. Stop, in the other
 * direction: refuse new requests, finish those accepted, then the service, then the store.
 */
#include <malloc.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/log.h"
#include "cache/cache.h"
#include "panic/service.h"
#include "panicd/options.h"
#include "panicd/process.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "shim/backend_metrics.h"
#include "shim/shim.h"
#include "store/store.h"

/* Creates that may be under way at once; further ones wait in their connections. */
#define CREATES_MAX 1024
#define CALLS_MAX (CREATES_MAX + SERVICE_QUERIES_MAX + SERVICE_EVENTS_MAX)
/* Each takes about 360 bytes of memory. */
#define RESPONDERS_MAX 1000000

/* The same for HTTP; each loop has its share, a quarter of which may be calls for events. */
#define HTTP_LOOPS 2
#define HTTP_CALLS_MAX (512 + SERVICE_QUERIES_MAX + HTTP_LOOPS * SERVICE_EVENTS_MAX)

#define CACHE_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define CACHE_TTL_US (60 * US_PER_S)
#define CACHE_SHARDS 16

/* The only tenant until there are credentials. */
#define TENANT "default"

struct parts {
    struct store *store;
    struct cache *cache;
    struct service *service;
    struct rpc_health health;
    struct rpc_router *router;
    struct rpc_server *server;
    struct backend_metrics metrics;
    struct shim *shim;
    struct process_connections connections;
};

static enum status start_service(struct parts *parts, struct diag *diag)
{
    const struct cache_config cache = {
        .bytes_max = CACHE_BYTES_MAX, .ttl_us = CACHE_TTL_US, .shards = CACHE_SHARDS};
    enum status status = cache_new(&cache, &parts->cache);
    if (status == STATUS_OK) {
        const struct service_config service = {.store = parts->store,
                                               .cache = parts->cache,
                                               .clock = clock_system(),
                                               .calls_max = CALLS_MAX + HTTP_CALLS_MAX,
                                               .responders_max = RESPONDERS_MAX};
        status = service_start(&service, &parts->service);
    }
    return status == STATUS_OK ? status
                               : diag_fail(diag, status, "the service cannot start: %s", status_name(status));
}

static enum status start_server(struct parts *parts, const struct options *options, struct diag *diag)
{
    struct rpc_service services[SERVICE_COUNT + 1];
    service_describe(parts->service, services);
    services[SERVICE_COUNT] = rpc_health_service(&parts->health);
    enum status status = rpc_router_new(services, SERVICE_COUNT + 1, &parts->router);
    if (status != STATUS_OK) {
        return diag_fail(diag, status, "the method table cannot be made: %s", status_name(status));
    }
    parts->health.router = parts->router;
    const struct rpc_server_config config = {.urls = options->listen,
                                             .n_urls = options->n_listen,
                                             .contexts = CALLS_MAX,
                                             .router = parts->router,
                                             .tls_cert_file = options->edge.tls_cert,
                                             .tls_key_file = options->edge.tls_key,
                                             .allow_plain = options->edge.allow_plaintext,
                                             .tenant = TENANT,
                                             .connections_max = parts->connections.rpc};
    return rpc_server_start(&config, &parts->server, diag);
}

static enum status start_http(struct parts *parts, const struct edge_options *options, struct diag *diag)
{
    if (options->http[0] == 0) {
        return STATUS_OK;
    }
    parts->metrics = (struct backend_metrics){
        .server = parts->server, .service = parts->service, .store = parts->store, .cache = parts->cache};
    const struct shim_config config = {.address = options->http,
                                       .router = parts->router,
                                       .health = &parts->health,
                                       .tenant = TENANT,
                                       .loops = HTTP_LOOPS,
                                       .calls_max = HTTP_CALLS_MAX,
                                       .limits = {.connections_max = parts->connections.http},
                                       .origins = options->origins,
                                       .n_origins = options->n_origins,
                                       .metrics = backend_metrics_source(&parts->metrics),
                                       .tls_cert_file = options->http_tls ? options->tls_cert : NULL,
                                       .tls_key_file = options->http_tls ? options->tls_key : NULL};
    return shim_start(&config, &parts->shim, diag);
}

static enum status start(struct parts *parts, const struct options *options, struct diag *diag)
{
    bool with_http = options->edge.http[0] != 0;
    enum status status = process_share_files(with_http, options->n_listen > 0, &parts->connections, diag);
    if (status == STATUS_OK) {
        status = store_open(options->store, &parts->store, diag);
    }
    if (status == STATUS_OK) {
        status = start_service(parts, diag);
    }
    if (status == STATUS_OK) {
        status = start_server(parts, options, diag);
    }
    if (status == STATUS_OK) {
        status = start_http(parts, &options->edge, diag);
    }
    return status;
}

static void say_ready(struct parts *parts, const struct options *options)
{
    for (size_t i = 0; i < options->n_listen; i++) {
        log_info("listening", log_str("url", rpc_server_url(parts->server, i)));
    }
    if (parts->shim != NULL) {
        log_info("listening", log_str("url", shim_address(parts->shim)));
    }
    if (strcmp(options->store, "memory:") == 0) {
        log_warn("the store is in memory: nothing survives the end of this process");
    }
    atomic_store(&parts->health.serving, true);
    log_info("ready", log_str("version", PANICD_VERSION), log_str("store", options->store));
}

/* HTTP ends first: from then on nothing but nng uses descriptors, which its stop looks through. */
static void stop(struct parts *parts)
{
    atomic_store(&parts->health.serving, false);
    if (parts->server != NULL) {
        rpc_server_close(parts->server);
    }
    if (parts->service != NULL) {
        service_close(parts->service);
    }
    if (parts->shim != NULL) {
        shim_close(parts->shim);
        shim_stop(parts->shim);
        shim_free(parts->shim);
    }
    if (parts->server != NULL) {
        rpc_server_stop(parts->server);
    }
    if (parts->service != NULL) {
        service_stop(parts->service);
    }
    rpc_server_free(parts->server);
    service_free(parts->service);
    rpc_router_free(parts->router);
    cache_free(parts->cache);
    store_close(parts->store);
}

/*
 * Until a signal comes (true), or until connections are no longer freed (false): then the process is to be
 * started anew before it runs out of descriptors.
 */
static bool serve(const struct parts *parts)
{
    int number;
    bool healthy;
    do {
        number = process_wait(1000);
        healthy = !rpc_server_stats(parts->server).reaper_hangs;
    } while (number == 0 && healthy);
    if (number == 0) {
        log_error("stopping", log_str("why", "nng no longer frees connections; start panicd again"));
    }
    process_drain(number);
    return number > 0;
}

/*
 * The threads allocate and free at a steady rate; without this the C library gives memory back to the kernel
 * and fetches it again with every batch.
 */
static void keep_freed_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

int main(int argc, char **argv)
{
    struct options options;
    options_parse(argc, argv, &options);
    log_set_level(options.edge.log_level);
    keep_freed_memory();
    process_begin();

    struct parts parts = {0};
    struct diag diag = {0};
    enum status status = start(&parts, &options, &diag);
    if (status != STATUS_OK) {
        log_error("cannot start", log_str("why", diag.text));
        stop(&parts);
        return status == STATUS_INVALID_ARGUMENT ? EX_USAGE : EX_IOERR;
    }
    say_ready(&parts, &options);
    bool by_signal = serve(&parts);
    stop(&parts);
    log_info("stopped");
    return by_signal ? EX_OK : EX_IOERR;
}
