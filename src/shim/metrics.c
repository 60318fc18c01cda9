#include "shim/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* Upper bounds of the buckets that are shown, in µs: 100 µs to 60 s. */
static const uint64_t bounds_us[] = {100,   250,    500,    1000,    2500,    5000,    10000,    25000,
                                     50000, 100000, 250000, 1000000, 2500000, 5000000, 15000000, 60000000};

static void head(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP panicd_%s %s\n# TYPE panicd_%s %s\n", name, help, name, type);
}

static void gauge(FILE *page, const char *name, const char *help, uint64_t value)
{
    head(page, name, "gauge", help);
    fprintf(page, "panicd_%s %" PRIu64 "\n", name, value);
}

static void counter(FILE *page, const char *name, const char *help, uint64_t value)
{
    head(page, name, "counter", help);
    fprintf(page, "panicd_%s %" PRIu64 "\n", name, value);
}

/* `label` is "" or name="value" pairs without braces. Buckets first, so that their sum can never exceed the
 * count shown. */
static void histogram_rows(FILE *page, const char *name, const char *label, const struct histogram *histogram)
{
    const char *comma = label[0] != 0 ? "," : "";
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof(bounds_us) / sizeof(bounds_us[0]); i++) {
        seen = histogram_count_up_to(histogram, bounds_us[i]);
        fprintf(page, "panicd_%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma,
                (double)bounds_us[i] / (double)US_PER_S, seen);
    }
    uint64_t count = histogram_count_up_to(histogram, UINT64_MAX);
    fprintf(page, "panicd_%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, count);
    const char *open = label[0] != 0 ? "{" : "";
    const char *close = label[0] != 0 ? "}" : "";
    fprintf(page, "panicd_%s_sum%s%s%s %g\n", name, open, label, close,
            (double)atomic_load(&histogram->sum) / (double)US_PER_S);
    fprintf(page, "panicd_%s_count%s%s%s %" PRIu64 "\n", name, open, label, close, count);
}

static void put_requests(FILE *page, const struct rpc_router *router)
{
    size_t n;
    const struct rpc_method *methods = rpc_router_methods(router, &n);
    head(page, "requests_total", "counter", "Requests answered, by method and status.");
    for (size_t i = 0; i < n; i++) {
        for (int code = 0; code < STATUS_COUNT; code++) {
            uint64_t finished = counter_read(&methods[i].finished[code]);
            if (finished > 0 || code == STATUS_OK) {
                fprintf(page, "panicd_requests_total{method=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                        methods[i].path, status_name((enum status)code), finished);
            }
        }
    }
    head(page, "request_duration_seconds", "histogram", "From arrival to answer, by method.");
    for (size_t i = 0; i < n; i++) {
        char label[160];
        snprintf(label, sizeof(label), "method=\"%s\"", methods[i].path);
        histogram_rows(page, "request_duration_seconds", label, &methods[i].latency_us);
    }
}

static void put_server(FILE *page, const struct rpc_server *server)
{
    struct rpc_server_stats stats = rpc_server_stats(server);
    counter(page, "rpc_requests_total", "Messages taken in over nng.", stats.requests);
    counter(page, "rpc_refused_total", "Messages refused before a handler saw them.", stats.refused);
    counter(page, "rpc_listeners_revived_total", "Listeners that stopped answering and were opened again.",
            stats.listeners_revived);
    gauge(page, "rpc_in_flight", "Calls over nng that are under way.", stats.in_flight);
    gauge(page, "rpc_connections", "Connections over nng.", stats.connections);
}

static void put_queues(FILE *page, const struct service_stats *stats)
{
    const struct {
        const char *name;
        const struct pool_stats *pool;
    } queues[] = {{"intake", &stats->intake}, {"query", &stats->queries}};
    const size_t n = sizeof(queues) / sizeof(queues[0]);
    head(page, "queue_depth", "gauge", "Items that wait.");
    for (size_t i = 0; i < n; i++) {
        fprintf(page, "panicd_queue_depth{queue=\"%s\"} %zu\n", queues[i].name, queues[i].pool->depth);
    }
    head(page, "queue_capacity", "gauge", "Items that can wait.");
    for (size_t i = 0; i < n; i++) {
        fprintf(page, "panicd_queue_capacity{queue=\"%s\"} %zu\n", queues[i].name, queues[i].pool->capacity);
    }
    head(page, "queue_wakeups_total", "counter", "Workers woken by a system call.");
    for (size_t i = 0; i < n; i++) {
        fprintf(page, "panicd_queue_wakeups_total{queue=\"%s\"} %" PRIu64 "\n", queues[i].name,
                queues[i].pool->wakeups);
    }
}

static void put_service(FILE *page, struct service *service)
{
    struct service_stats stats = service_stats(service);
    put_queues(page, &stats);
    const struct dispatch_stats *dispatch = &stats.dispatch;
    counter(page, "dispatch_assigned_total", "Panics given to a responder.", dispatch->assigned);
    counter(page, "dispatch_unassigned_total", "Searches that found no responder.", dispatch->unassigned);
    counter(page, "dispatch_overtaken_total", "Changes that another change overtook.", dispatch->overtaken);
    counter(page, "dispatch_hints_dropped_total",
            "Hints lost to a full queue; the due scan finds the panics.", dispatch->hints_dropped);
    head(page, "dispatch_latency_seconds", "histogram", "From creation to assignment.");
    histogram_rows(page, "dispatch_latency_seconds", "", service_dispatch_latency_us(service));
    gauge(page, "panics_stored", "Panics in the store, as last counted.", dispatch->counts.panics);
    gauge(page, "panics_open", "Open panics, as last counted.", dispatch->counts.open);
    gauge(page, "panics_unassigned", "Open panics that wait for a responder, as last counted.",
          dispatch->counts.waiting);
    gauge(page, "panics_overdue", "Open panics that somebody should have looked at; must be 0.",
          dispatch->counts.overdue);
}

static void put_store(FILE *page, struct store *store)
{
    counter(page, "store_batches_total", "Transactions committed.", counter_read(&store->stats.batches));
    counter(page, "store_operations_total", "Operations in them.", counter_read(&store->stats.ops));
    head(page, "store_commit_seconds", "histogram",
         "One transaction, from its begin until it is on stable storage.");
    histogram_rows(page, "store_commit_seconds", "", &store->stats.commit_us);
    gauge(page, "store_wal_pages", "Length of SQLite's write-ahead log, in pages.",
          atomic_load(&store->stats.wal_pages));
}

static void put_cache(FILE *page, const struct cache *cache)
{
    struct cache_stats stats = cache_stats(cache);
    counter(page, "cache_hits_total", "Reads that the cache answered.", stats.hits);
    counter(page, "cache_misses_total", "Reads that it could not answer.", stats.misses);
    counter(page, "cache_evictions_total", "Entries that went to make room.", stats.evictions);
    counter(page, "cache_stale_puts_total", "Puts that were not newer.", stats.stale_puts);
    gauge(page, "cache_entries", "Entries.", stats.entries);
    gauge(page, "cache_bytes", "Their bytes.", stats.bytes);
    gauge(page, "cache_pinned", "Entries that creations and readers hold.", stats.pinned);
}

char *metrics_page(const struct metrics_sources *sources, size_t *ret_length)
{
    char *text = NULL;
    size_t length = 0;
    FILE *page = open_memstream(&text, &length);
    if (page == NULL) {
        return NULL;
    }
    put_requests(page, sources->router);
    if (sources->server != NULL) {
        put_server(page, sources->server);
    }
    if (sources->service != NULL) {
        put_service(page, sources->service);
    }
    if (sources->store != NULL) {
        put_store(page, sources->store);
    }
    if (sources->cache != NULL) {
        put_cache(page, sources->cache);
    }
    if (fclose(page) != 0) {
        free(text);
        return NULL;
    }
    *ret_length = length;
    return text;
}
