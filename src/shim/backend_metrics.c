/*
 * All of it is at hand: counters, the depth of queues, and what the auditor counted last. Counting what the
 * store holds takes time in proportion to the open panics, which is why the page shows when that was done
 * rather than doing it; so the auditor's own silence can be seen as well.
 */
#include "shim/backend_metrics.h"

static void put_server(FILE *page, const struct rpc_server *server)
{
    struct rpc_server_stats stats = rpc_server_stats(server);
    exposition_counter(page, "panicd_rpc_requests_total", "Messages taken in over nng.", stats.requests);
    exposition_counter(page, "panicd_rpc_refused_total",
                       "Messages refused before a handler saw them: bad envelope, method or payload.",
                       stats.refused);
    exposition_gauge(page, "panicd_rpc_in_flight", "Calls over nng that are under way.", stats.in_flight);
    exposition_gauge(page, "panicd_rpc_connections", "Connections over nng.", stats.connections);
    exposition_counter(page, "panicd_rpc_connections_refused_total",
                       "Connections over nng closed because there were too many.", stats.connections_refused);
    exposition_counter(page, "panicd_rpc_peers_dropped_total",
                       "Connections over nng ended because the peer did not take its answers.",
                       stats.peers_dropped);
    exposition_counter(page, "panicd_rpc_listeners_revived_total",
                       "Listeners that had stopped answering and were opened again.",
                       stats.listeners_revived);
}

/* ---- the service ---- */

struct queue {
    const char *labels;
    const struct pool_stats *stats;
};

static void put_queues(FILE *page, const struct service_stats *stats)
{
    const struct queue queues[] = {
        {"queue=\"intake\"", &stats->intake}, {"queue=\"query\"", &stats->queries},
        {"queue=\"list\"", &stats->lists},    {"queue=\"prepare\"", &stats->prepare},
        {"queue=\"events\"", &stats->events}, {"queue=\"dispatch\"", &stats->dispatch.queue},
    };
    const size_t n = sizeof(queues) / sizeof(queues[0]);
    exposition_family(page, "panicd_queue_depth", "gauge", "Items that wait.");
    for (size_t i = 0; i < n; i++) {
        exposition_sample(page, "panicd_queue_depth", queues[i].labels, queues[i].stats->depth);
    }
    exposition_family(page, "panicd_queue_capacity", "gauge", "Items that can wait.");
    for (size_t i = 0; i < n; i++) {
        exposition_sample(page, "panicd_queue_capacity", queues[i].labels, queues[i].stats->capacity);
    }
    exposition_family(page, "panicd_queue_submitted_total", "counter", "Items taken in.");
    for (size_t i = 0; i < n; i++) {
        exposition_sample(page, "panicd_queue_submitted_total", queues[i].labels, queues[i].stats->submitted);
    }
    exposition_family(page, "panicd_queue_batches_total", "counter", "Batches that workers took them in.");
    for (size_t i = 0; i < n; i++) {
        exposition_sample(page, "panicd_queue_batches_total", queues[i].labels, queues[i].stats->batches);
    }
    exposition_family(page, "panicd_queue_wakeups_total", "counter", "Workers woken by a system call.");
    for (size_t i = 0; i < n; i++) {
        exposition_sample(page, "panicd_queue_wakeups_total", queues[i].labels, queues[i].stats->wakeups);
    }
}

static void put_dispatch(FILE *page, const struct dispatch_stats *stats, const struct histogram *latency_us)
{
    exposition_counter(page, "panicd_dispatch_assigned_total", "Panics given to a responder.",
                       stats->assigned);
    exposition_counter(page, "panicd_dispatch_unassigned_total", "Searches that found no responder.",
                       stats->unassigned);
    exposition_counter(page, "panicd_dispatch_overtaken_total", "Changes that another change overtook.",
                       stats->overtaken);
    exposition_counter(page, "panicd_dispatch_hints_dropped_total",
                       "Hints lost to a full queue; the due scan finds the panics.", stats->hints_dropped);
    exposition_family(page, "panicd_dispatch_latency_seconds", "histogram", "From creation to assignment.");
    exposition_histogram(page, "panicd_dispatch_latency_seconds", NULL, latency_us);
}

static void put_responders(FILE *page, const struct service_stats *stats)
{
    exposition_family(page, "panicd_responders_available", "gauge",
                      "Responders who are free; simulated ones are for test panics only.");
    exposition_sample(page, "panicd_responders_available", "simulated=\"false\"",
                      stats->responders_available);
    exposition_sample(page, "panicd_responders_available", "simulated=\"true\"", stats->simulated_available);
}

/* Nothing before the first count: a 0 would say that nobody is overdue. */
static void put_counts(FILE *page, const struct dispatch_stats *stats)
{
    if (stats->counted_at_us == 0) {
        return;
    }
    exposition_seconds(page, "panicd_panics_counted_timestamp_seconds", "gauge",
                       "When the panics and the store were last counted, since 1970-01-01 UTC.",
                       (uint64_t)stats->counted_at_us);
    exposition_gauge(page, "panicd_panics_stored", "Panics in the store.", stats->counts.panics);
    exposition_gauge(page, "panicd_panics_open", "Open panics.", stats->counts.open);
    exposition_gauge(page, "panicd_panics_unassigned", "Open panics that wait for a responder.",
                     stats->counts.waiting);
    exposition_gauge(page, "panicd_panics_overdue",
                     "Open panics that dispatch should have looked at and has not; must be 0.",
                     stats->counts.overdue);
    exposition_gauge(page, "panicd_store_file_bytes", "Database file; 0 for a store in memory.",
                     stats->counts.file_bytes);
    exposition_gauge(page, "panicd_store_wal_bytes",
                     "Write-ahead log on disk, which is used again from its start.", stats->counts.wal_bytes);
}

static void put_service(FILE *page, const struct service *service)
{
    struct service_stats stats = service_stats(service);
    put_queues(page, &stats);
    exposition_gauge(page, "panicd_events_parked", "Calls that wait for the next event.", stats.parked);
    put_dispatch(page, &stats.dispatch, service_dispatch_latency_us(service));
    put_responders(page, &stats);
    put_counts(page, &stats.dispatch);
}

/* ---- store and cache ---- */

static void put_times(FILE *page, const char *name, const char *help, const struct histogram *histogram)
{
    exposition_family(page, name, "histogram", help);
    exposition_histogram(page, name, NULL, histogram);
}

static void put_store(FILE *page, const struct store_stats *stats)
{
    exposition_sizes(page, "panicd_store_batch_operations", "Operations that share one transaction.",
                     &stats->batch_ops);
    put_times(page, "panicd_store_commit_duration_seconds",
              "One transaction, from its begin until it is on stable storage.", &stats->batch_us);
    put_times(page, "panicd_store_sync_duration_seconds",
              "Of it, writing the log and syncing it to stable storage.", &stats->sync_us);
    put_times(page, "panicd_store_checkpoint_duration_seconds",
              "Checkpoints of the log, for which the next transaction waits.", &stats->checkpoint_us);
    exposition_gauge(page, "panicd_store_wal_pages",
                     "Length of the write-ahead log in pages, after the last batch.",
                     atomic_load_explicit(&stats->wal_pages, memory_order_relaxed));
}

static void put_cache(FILE *page, const struct cache *cache)
{
    struct cache_stats stats = cache_stats(cache);
    exposition_counter(page, "panicd_cache_hits_total", "Reads that the cache answered.", stats.hits);
    exposition_counter(page, "panicd_cache_misses_total", "Reads that it could not answer.", stats.misses);
    exposition_counter(page, "panicd_cache_evictions_total", "Entries that went to make room.",
                       stats.evictions);
    exposition_counter(page, "panicd_cache_stale_puts_total", "Puts that were not newer.", stats.stale_puts);
    exposition_gauge(page, "panicd_cache_entries", "Entries.", stats.entries);
    exposition_gauge(page, "panicd_cache_bytes", "Their bytes.", stats.bytes);
    exposition_gauge(page, "panicd_cache_pinned_entries",
                     "Entries that creations and readers hold at this moment.", stats.pinned);
}

static void write_backend(void *ctx, FILE *page)
{
    const struct backend_metrics *backend = ctx;
    if (backend->server != NULL) {
        put_server(page, backend->server);
    }
    if (backend->service != NULL) {
        put_service(page, backend->service);
    }
    if (backend->store != NULL) {
        put_store(page, &backend->store->stats);
    }
    if (backend->cache != NULL) {
        put_cache(page, backend->cache);
    }
}

struct metrics_source backend_metrics_source(struct backend_metrics *backend)
{
    return (struct metrics_source){.write = write_backend, .ctx = backend};
}
