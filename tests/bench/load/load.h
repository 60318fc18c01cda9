/*
 * The loops that drive a server, the same for every kind of request.
 *
 * Closed (closed.c): a number of calls is kept in flight; each answer starts the next call. Over nng's REQ
 * contexts, as clients have it.
 *
 * Open (open.c): calls start at fixed times whatever the server does, and latency counts from the time at
 * which a call should have started, so that a stall of the server shows in every call that it delayed (G.
 * Tene, "coordinated omission"). Over plain sockets: with fewer calls than the server can take, nng's client
 * wakes a thread or more for every message, and would cost more than the servers whose latency is measured.
 *
 * Counted is what falls into the window behind the warm-up: in the closed loop the calls that end there, in
 * the open loop those that should start there.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

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

/*
 * These end the program with a message when the transport fails: then there is nothing to measure. One of
 * them, once a process.
 */
void load_run_closed(const struct load_config *config, struct load_result *ret_result);
/* tcp:// only. */
void load_run_open(const struct load_config *config, struct load_result *ret_result);

/* ---- what the loops share ---- */

#define NS_PER_S 1000000000LL

/* The ids of a run: of new panics, or of stored ones. */
struct load_ids {
    const struct load_config *config;
    /* Tells the ids of this run from those of others. */
    uint32_t run;
    int64_t wall_offset_ns;
    _Atomic uint64_t next;
};

void load_ids_init(struct load_ids *ids, const struct load_config *config);
/* For a call that starts at this monotonic time. Any thread. */
void load_ids_take(struct load_ids *ids, int64_t at_ns, char *text);

struct load_cpu {
    int64_t client_ns;
    int64_t server_ns;
};

struct load_cpu load_cpu_read(const struct load_config *config);
/* From then until now. */
void load_cpu_take(const struct load_config *config, const struct load_cpu *before,
                   struct load_result *result);

int64_t load_now_ns(clockid_t clock);

#endif
