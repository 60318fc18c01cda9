#include "shim/shim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "shim/listen.h"
#include "shim/loop.h"
#include "shim/metrics_page.h"
#include "shim/tls.h"

/* Open files that are not for connections: the store, nng, the log. */
#define FILES_RESERVED 512

struct shim {
    struct edge edge;
    struct metrics_page metrics;
    struct gate_shared shared;
    struct loop_counters counters;
    struct loop *loops[SHIM_LOOPS_MAX];
    unsigned n_loops;
    bool is_closed;
    bool is_stopped;
    char url[LISTEN_TEXT_SIZE + 8];
};

static void log_libevent(int severity, const char *text)
{
    if (severity >= EVENT_LOG_WARN) {
        log_warn("libevent", log_str("text", text));
    } else {
        log_debug("libevent", log_str("text", text));
    }
}

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

/* Without a file to be had, accept() fails again and again at the full speed of the loop. */
static unsigned connections_within_files(unsigned wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) {
        return wanted;
    }
    rlim_t room = files.rlim_cur > 2 * FILES_RESERVED ? files.rlim_cur - FILES_RESERVED : files.rlim_cur / 2;
    return wanted < room ? wanted : (unsigned)room;
}

static struct shim_limits fill_limits(const struct shim_limits *limits)
{
    return (struct shim_limits){
        .connections_max = connections_within_files(or_default(limits->connections_max, 12288)),
        .connections_per_address_max = or_default(limits->connections_per_address_max, 2048),
        .head_max = limits->head_max != 0 ? limits->head_max : (size_t)8 * 1024,
        .body_max = limits->body_max != 0 ? limits->body_max : (size_t)64 * 1024,
        .buffered_max = limits->buffered_max != 0 ? limits->buffered_max : (size_t)256 * 1024 * 1024,
        .head_ms = or_default(limits->head_ms, 10000),
        .body_ms = or_default(limits->body_ms, 20000),
        .send_ms = or_default(limits->send_ms, 20000),
        .idle_ms = or_default(limits->idle_ms, 60000),
        .streams_max = or_default(limits->streams_max, 1000),
    };
}

static enum status check_config(const struct shim_config *config, struct diag *diag)
{
    if (config->loops == 0 || config->loops > SHIM_LOOPS_MAX || config->calls_max < config->loops) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "http: expected 1 to %d loops, and a call for each",
                         SHIM_LOOPS_MAX);
    }
    if ((config->tls_cert_file == NULL) != (config->tls_key_file == NULL)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "http: TLS needs a certificate and its key");
    }
    return STATUS_OK;
}

static enum status open_parts(struct shim *shim, const struct shim_config *config, struct diag *diag)
{
    enum status status = STATUS_OK;
    if (config->tls_cert_file != NULL) {
        status = tls_context_new(config->tls_cert_file, config->tls_key_file, &shim->shared.tls, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = addresses_new(shim->shared.limits.connections_max, &shim->shared.addresses);
    for (unsigned i = 0; status == STATUS_OK && i < config->loops; i++) {
        size_t share = config->calls_max / config->loops + (i < config->calls_max % config->loops ? 1 : 0);
        const struct loop_config loop = {.edge = &shim->edge,
                                         .shared = &shim->shared,
                                         .counters = &shim->counters,
                                         .calls_max = share,
                                         .index = i};
        status = loop_new(&loop, &shim->loops[i]);
        shim->n_loops += status == STATUS_OK ? 1 : 0;
    }
    return status == STATUS_OK ? status : diag_fail(diag, status, "http: no memory for its loops");
}

static enum status run_loops(struct shim *shim, const char *text, struct diag *diag)
{
    struct listen_address address;
    int sockets[SHIM_LOOPS_MAX];
    enum status status = listen_parse(text, &address, diag);
    if (status == STATUS_OK) {
        status = listen_open(&address, shim->n_loops, sockets, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    char bound[LISTEN_TEXT_SIZE];
    listen_format(&address, bound);
    snprintf(shim->url, sizeof(shim->url), "%s://%s", shim->shared.tls != NULL ? "https" : "http", bound);
    for (unsigned i = 0; i < shim->n_loops; i++) {
        if (status == STATUS_OK) {
            status = loop_run(shim->loops[i], sockets[i]);
        } else {
            close(sockets[i]);
        }
    }
    return status == STATUS_OK ? status : diag_fail(diag, status, "http: a thread could not be started");
}

enum status shim_start(const struct shim_config *config, struct shim **ret_shim, struct diag *diag)
{
    enum status status = check_config(config, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct shim *shim = calloc(1, sizeof(*shim));
    if (shim == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "http: out of memory");
    }
    event_set_log_callback(log_libevent);
    edge_init(&shim->edge, config->router);
    shim->edge.health = config->health;
    shim->edge.tenant = config->tenant;
    shim->edge.origins = (struct cors_origins){config->origins, config->n_origins};
    metrics_page_init(&shim->metrics, shim, config);
    shim->edge.metrics = &shim->metrics;
    shim->shared.limits = fill_limits(&config->limits);
    shim->shared.budget.bytes_max = shim->shared.limits.buffered_max;
    status = open_parts(shim, config, diag);
    if (status == STATUS_OK) {
        status = run_loops(shim, config->address, diag);
    }
    if (status != STATUS_OK) {
        shim_free(shim);
        return status;
    }
    *ret_shim = shim;
    return STATUS_OK;
}

const char *shim_address(const struct shim *shim)
{
    return shim->url;
}

void shim_close(struct shim *shim)
{
    if (shim != NULL && !shim->is_closed) {
        shim->is_closed = true;
        for (unsigned i = 0; i < shim->n_loops; i++) {
            loop_close(shim->loops[i]);
        }
    }
}

void shim_stop(struct shim *shim)
{
    if (shim != NULL && !shim->is_stopped) {
        shim->is_stopped = true;
        for (unsigned i = 0; i < shim->n_loops; i++) {
            loop_stop(shim->loops[i]);
        }
    }
}

void shim_free(struct shim *shim)
{
    if (shim == NULL) {
        return;
    }
    shim_close(shim);
    shim_stop(shim);
    for (unsigned i = 0; i < shim->n_loops; i++) {
        loop_free(shim->loops[i]);
    }
    assert(atomic_load(&shim->shared.budget.used) == 0);
    metrics_page_release(&shim->metrics);
    addresses_free(shim->shared.addresses);
    SSL_CTX_free(shim->shared.tls);
    free(shim);
}

struct shim_stats shim_stats(const struct shim *shim)
{
    const struct gate_shared *shared = &shim->shared;
    struct shim_stats stats = {
        .connections = atomic_load_explicit(&shared->connections, memory_order_relaxed),
        .connections_total = counter_read(&shared->connections_total),
        .connections_refused = counter_read(&shared->connections_refused),
        .requests = counter_read(&shim->counters.requests),
        .shed = counter_read(&shim->counters.shed),
        .waited = counter_read(&shim->counters.waited),
        .no_room = counter_read(&shared->budget.refused),
        .buffered = atomic_load_explicit(&shared->budget.used, memory_order_relaxed),
        .streams = atomic_load_explicit(&shim->counters.streams, memory_order_relaxed),
        .in_flight = atomic_load_explicit(&shim->counters.in_flight, memory_order_relaxed),
    };
    for (size_t i = 0; i <= HTTP_STATUSES; i++) {
        stats.guarded_by_status[i] = counter_read(&shared->guarded[i]);
        stats.guarded += stats.guarded_by_status[i];
        stats.answers_by_status[i] = counter_read(&shim->counters.answers[i]);
    }
    return stats;
}
