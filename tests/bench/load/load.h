/*
 * The loop that drives a server over nng's REQ contexts, the same for every kind of request.
 *
 * Closed: a number of calls is kept in flight; each answer starts the next call. Open: calls start at fixed
 * times whatever the server does, and latency counts from the time at which a call should have started, so
 * that a stall of the server shows in every call that it delayed (G. Tene, "coordinated omission").
 *
 * Counted is what falls into the window behind the warm-up: in the closed loop the calls that end there, in
 * the open loop those that should start there.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "bench/load/frame.h"
#include "bench/load/samples.h"

#define LOAD_CONNECTIONS_MAX 64
#define LOAD_IN_FLIGHT_MAX 4096

struct load_config {
    const char *url;
    struct frame frame;
    unsigned in_flight;
    unsigned connections;
    /* Calls a second; 0 = closed loop. */
    double rate;
    double warm_up_s;
    double seconds;
    /* Of gets: the panics from number `first` on, `span` of them, each asked for once before any is again. */
    uint64_t first;
    uint64_t span;
    /* The server, whose CPU time is wanted; 0 = is not. */
    pid_t server;
};

struct load_result {
    struct samples latency;
    /* Answers that were no success, and the first of them. */
    uint64_t failed;
    enum status first_failure;
    /* Calls begun, the warm-up's included. */
    uint64_t started;
    double window_s;
    /* CPU time within the window, in µs. */
    double client_cpu_us;
    double server_cpu_us;
    /* Of the last answer. */
    _Atomic size_t answer_length;
};

/* Ends the program with a message when the transport fails: then there is nothing to measure. Once a process.
 */
void load_run(const struct load_config *config, struct load_result *ret_result);

#endif
