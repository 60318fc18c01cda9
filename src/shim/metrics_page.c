/*
 * The page takes some tenths of a millisecond: no lock is waited for that anybody holds for longer than one
 * look-up, and no file is read but those of /proc. It is written into memory of its own first, since it grows
 * with the number of methods, and copied once, to where the answer lives.
 */
#include "shim/metrics_page.h"

#include <stdlib.h>

#include "shim/http_status.h"

#define LABEL_SIZE 192

/* ---- methods ---- */

static void put_methods(FILE *out, const struct rpc_router *router)
{
    size_t n;
    char labels[LABEL_SIZE];
    const struct rpc_method *methods = rpc_router_methods(router, &n);
    exposition_family(out, "panicd_requests_total", "counter",
                      "Calls answered, over HTTP and nng, by method and status.");
    for (size_t i = 0; i < n; i++) {
        for (unsigned code = 0; code < STATUS_COUNT; code++) {
            uint64_t finished = counter_read(&methods[i].finished[code]);
            if (finished > 0 || code == STATUS_OK) {
                snprintf(labels, sizeof(labels), "method=\"%s\",code=\"%s\"", methods[i].path,
                         status_name((enum status)code));
                exposition_sample(out, "panicd_requests_total", labels, finished);
            }
        }
    }
    exposition_family(out, "panicd_request_duration_seconds", "histogram",
                      "From arrival to answer, by method.");
    for (size_t i = 0; i < n; i++) {
        snprintf(labels, sizeof(labels), "method=\"%s\"", methods[i].path);
        exposition_histogram(out, "panicd_request_duration_seconds", labels, &methods[i].latency_us);
    }
}

/* ---- the edge ---- */

static void put_connections(FILE *out, const struct shim_stats *stats)
{
    exposition_gauge(out, "panicd_http_connections", "HTTP connections that are open.", stats->connections);
    exposition_counter(out, "panicd_http_connections_accepted_total",
                       "HTTP connections taken in, also those told to go at once.", stats->connections_total);
    exposition_counter(out, "panicd_http_connections_refused_total",
                       "HTTP connections told to go because there were too many, in all or of their address.",
                       stats->connections_refused);
}

static const char *reason_of(int http_status)
{
    switch (http_status) {
    case 400:
        return "malformed";
    case 408:
        return "too_slow";
    case 413:
        return "body_too_long";
    case 431:
        return "head_too_long";
    case 501:
        return "proxy";
    case 503:
        return "no_memory";
    case 505:
        return "version";
    default:
        return NULL;
    }
}

/* A reason that has never been is shown too: a rate needs the zero before the first. */
static void put_guarded(FILE *out, const struct shim_stats *stats)
{
    char labels[LABEL_SIZE];
    exposition_family(out, "panicd_http_guarded_total", "counter",
                      "Requests refused before they reached a route, with their connections, by reason.");
    for (size_t i = 0; i < HTTP_STATUSES; i++) {
        const char *reason = reason_of(http_status_at(i));
        if (reason != NULL) {
            snprintf(labels, sizeof(labels), "reason=\"%s\"", reason);
            exposition_sample(out, "panicd_http_guarded_total", labels, stats->guarded_by_status[i]);
        }
    }
}

static void put_answers(FILE *out, const struct shim_stats *stats)
{
    char labels[LABEL_SIZE];
    exposition_counter(out, "panicd_http_requests_total", "Requests that reached a route.", stats->requests);
    exposition_family(out, "panicd_http_responses_total", "counter", "Answers to them, by HTTP status.");
    /* Those at 0 too: of a counter that first shows up with a 1, rate() misses the first. */
    for (size_t i = 0; i < HTTP_STATUSES; i++) {
        snprintf(labels, sizeof(labels), "code=\"%d\"", http_status_at(i));
        exposition_sample(out, "panicd_http_responses_total", labels, stats->answers_by_status[i]);
    }
    exposition_sample(out, "panicd_http_responses_total", "code=\"other\"",
                      stats->answers_by_status[HTTP_STATUSES]);
    exposition_gauge(out, "panicd_http_in_flight", "Calls over HTTP that are under way.", stats->in_flight);
    exposition_counter(out, "panicd_http_waited_total",
                       "Requests that waited in their connection for a call to become free.", stats->waited);
    exposition_gauge(out, "panicd_http_buffered_bytes",
                     "Requests and answers that the connections hold together.", stats->buffered);
    exposition_counter(out, "panicd_http_no_room_total",
                       "Requests and answers refused because the connections held as much as they may.",
                       stats->no_room);
    exposition_gauge(out, "panicd_http_streams", "Streams of events.", stats->streams);
    exposition_counter(out, "panicd_http_shed_total",
                       "Reads told to come again because every call was under way.", stats->shed);
}

/* ---- the page ---- */

static void write_page(struct metrics_page *page, FILE *out)
{
    struct shim_stats stats = shim_stats(page->shim);
    exposition_family(out, "panicd_build_info", "gauge", "1, with what was built as labels.");
    exposition_sample(out, "panicd_build_info", "version=\"" PANICD_VERSION "\",compiler=\"" __VERSION__ "\"",
                      1);
    exposition_gauge(out, "panicd_serving", "1 between the start of the last listener and the drain.",
                     atomic_load_explicit(&page->health->serving, memory_order_acquire) ? 1 : 0);
    put_methods(out, page->router);
    put_connections(out, &stats);
    put_guarded(out, &stats);
    put_answers(out, &stats);
    if (page->source.write != NULL) {
        page->source.write(page->source.ctx, out);
    }
    process_metrics_write(&page->process, out);
}

void metrics_page_init(struct metrics_page *page, const struct shim *shim, const struct shim_config *config)
{
    *page = (struct metrics_page){
        .shim = shim, .router = config->router, .health = config->health, .source = config->metrics};
    process_metrics_init(&page->process);
}

void metrics_page_release(struct metrics_page *page)
{
    process_metrics_release(&page->process);
}

void metrics_page_answer(struct metrics_page *page, struct arena *arena, struct answer *answer)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out != NULL) {
        write_page(page, out);
    }
    bool is_whole = out != NULL && ferror(out) == 0;
    if (out != NULL && fclose(out) != 0) {
        is_whole = false;
    }
    const char *body = is_whole ? arena_copy(arena, text, length) : NULL;
    free(text);
    if (body == NULL) {
        answer_error(answer, ERROR_PLAIN, 503, STATUS_RESOURCE_EXHAUSTED, "no memory for the page", arena);
        return;
    }
    answer_body(answer, 200, EXPOSITION_TYPE, body, length);
}
