/*
 * bench_load: load on a raw echo or on a panicd, and what came back, as one line of JSON.
 *
 *     bench_load raw    --url URL --request-bytes N --answer-bytes N
 *     bench_load create --url URL
 *     bench_load get    --url URL --first N --span N      panics that bench_fill has stored
 *
 * panicctl bench is the user's tool and calls as a client does; this one compares servers, so it does as
 * little as can be, and the same for each of them.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/load.h"

#define ANSWER_BYTES_MAX 65535

enum {
    KEY_URL = 0x100,
    KEY_IN_FLIGHT,
    KEY_CONNECTIONS,
    KEY_RATE,
    KEY_WARM_UP,
    KEY_SECONDS,
    KEY_REQUEST_BYTES,
    KEY_ANSWER_BYTES,
    KEY_FIRST,
    KEY_SPAN,
    KEY_SERVER
};

static const struct argp_option descriptions[] = {
    {"url", KEY_URL, "URL", 0, "Where the server listens", 0},
    {"in-flight", KEY_IN_FLIGHT, "N", 0, "Calls at once (default 64)", 0},
    {"connections", KEY_CONNECTIONS, "N", 0, "Connections they run on (default 4)", 0},
    {"rate", KEY_RATE, "N", 0, "Open loop: start N calls a second (default: closed loop)", 0},
    {"warm-up", KEY_WARM_UP, "SECONDS", 0, "Before anything is counted (default 0.2)", 0},
    {"seconds", KEY_SECONDS, "SECONDS", 0, "How long to count (default 1)", 0},
    {"request-bytes", KEY_REQUEST_BYTES, "N", 0, "raw: length of a request (default 128)", 0},
    {"answer-bytes", KEY_ANSWER_BYTES, "N", 0, "raw: length of an answer (default 128)", 0},
    {"first", KEY_FIRST, "N", 0, "get: number of the first stored panic to ask for (default 0)", 0},
    {"span", KEY_SPAN, "N", 0, "get: how many different ones (default 1000)", 0},
    {"server", KEY_SERVER, "PID", 0, "Process whose CPU time is taken", 0},
    {0},
};

struct options {
    struct load_config load;
    const char *method;
    size_t request_bytes;
    size_t answer_bytes;
};

static double number(struct argp_state *state, const char *option, const char *text, double min, double max)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || errno != 0 || !isfinite(value) || value < min || value > max) {
        argp_error(state, "%s: \"%s\" is not a number between %g and %g", option, text, min, max);
    }
    return value;
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    struct load_config *load = &options->load;
    switch (key) {
    case KEY_URL:
        load->url = arg;
        return 0;
    case KEY_IN_FLIGHT:
        load->in_flight = (unsigned)number(state, "--in-flight", arg, 1, LOAD_IN_FLIGHT_MAX);
        return 0;
    case KEY_CONNECTIONS:
        load->connections = (unsigned)number(state, "--connections", arg, 1, LOAD_CONNECTIONS_MAX);
        return 0;
    case KEY_RATE:
        load->rate = number(state, "--rate", arg, 0.1, 1e7);
        return 0;
    case KEY_WARM_UP:
        load->warm_up_s = number(state, "--warm-up", arg, 0, 60);
        return 0;
    case KEY_SECONDS:
        load->seconds = number(state, "--seconds", arg, 0.01, 3600);
        return 0;
    case KEY_REQUEST_BYTES:
        options->request_bytes = (size_t)number(state, "--request-bytes", arg, 1, FRAME_REQUEST_MAX);
        return 0;
    case KEY_ANSWER_BYTES:
        options->answer_bytes = (size_t)number(state, "--answer-bytes", arg, 1, ANSWER_BYTES_MAX);
        return 0;
    case KEY_FIRST:
        load->first = (uint64_t)number(state, "--first", arg, 0, 1e9);
        return 0;
    case KEY_SPAN:
        load->span = (uint64_t)number(state, "--span", arg, 1, 1e9);
        return 0;
    case KEY_SERVER:
        load->server = (pid_t)number(state, "--server", arg, 1, 1e9);
        return 0;
    case ARGP_KEY_ARG:
        options->method = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num != 1 || load->url == NULL) {
            argp_usage(state);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool prepare(struct options *options)
{
    struct frame *frame = &options->load.frame;
    if (strcmp(options->method, "create") == 0) {
        frame_prepare(frame, FRAME_CREATE);
        return true;
    }
    if (strcmp(options->method, "get") == 0) {
        frame_prepare(frame, FRAME_GET);
        return true;
    }
    return strcmp(options->method, "raw") == 0 &&
           frame_prepare_raw(frame, options->request_bytes, options->answer_bytes);
}

static void print_result(const struct options *options, const struct load_result *result)
{
    const struct load_config *load = &options->load;
    const struct samples *latency = &result->latency;
    double completed = (double)atomic_load(&latency->count);
    double each = completed > 0 ? 1 / completed : 0;
    printf("{\"method\":\"%s\",\"loop\":\"%s\",\"in_flight\":%u,\"connections\":%u,\"rate\":%.1f,",
           options->method, load->rate > 0 ? "open" : "closed", load->in_flight, load->connections,
           load->rate);
    printf("\"seconds\":%.3f,\"started\":%llu,\"completed\":%.0f,\"failed\":%llu,", result->window_s,
           (unsigned long long)result->started, completed, (unsigned long long)result->failed);
    printf("\"first_failure\":\"%s\",", result->failed > 0 ? status_name(result->first_failure) : "");
    printf("\"per_second\":%.1f,\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f,", completed / result->window_s,
           result->client_cpu_us * each, result->server_cpu_us * each);
    printf("\"request_bytes\":%zu,\"answer_bytes\":%zu,", load->frame.length,
           atomic_load(&result->answer_length));
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"distribution\":",
           samples_quantile_us(latency, 0.5), samples_quantile_us(latency, 0.99),
           samples_quantile_us(latency, 0.999), samples_quantile_us(latency, 1));
    samples_print(latency, stdout);
    printf("}\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct options options = {
        .load = {.in_flight = 64, .connections = 4, .warm_up_s = 0.2, .seconds = 1, .span = 1000},
        .request_bytes = 128,
        .answer_bytes = 128};
    const struct argp argp = {.options = descriptions, .parser = parse_one, .args_doc = "raw|create|get"};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.load.connections > options.load.in_flight) {
        options.load.connections = options.load.in_flight;
    }
    if (!prepare(&options)) {
        fprintf(stderr, "bench_load: \"%s\" is none of raw, create, get, or the lengths are too small\n",
                options.method);
        return 64;
    }
    static struct load_result result;
    if (!samples_init(&result.latency)) {
        fprintf(stderr, "bench_load: no memory\n");
        return EXIT_FAILURE;
    }
    if (options.load.rate > 0) {
        load_run_open(&options.load, &result);
    } else {
        load_run_closed(&options.load, &result);
    }
    samples_sort(&result.latency);
    print_result(&options, &result);
    /* nng's threads go on: closing would only be timed by nobody. */
    _exit(EXIT_SUCCESS);
}
