/*
 * Thousands of connections that begin a request and do not end it: an ordinary client is served meanwhile,
 * and what they cost is bounded. 2,000 of them; 10,000 with PANIC_TEST_LONG.
 */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "harness/http_client.h"
#include "harness/panicd.h"

#define STALLED 2000
#define STALLED_LONG 10000
#define FILES_OTHER 192
/* Below what one address may have. */
#define PER_ADDRESS 1000
#define CALLS 400
/* Of panicd, for each connection: libevent's objects and ours, and the buffer of a head. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONNECTION_KIB_MAX 64
#else
#define CONNECTION_KIB_MAX 8
#endif
/* Others use the machine too: of so many measurements the best tells what the server can do. */
#define MEASUREMENTS 5
/* What a busy machine may add to the best; whoever waits for a stalled connection waits for seconds. */
#define SLACK_US (500 * US_PER_MS)

#define PRESS                                                                                                \
    "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\n{\"location\":{\"lat\":1,\"lng\":2}}"

/* panicd gives HTTP half of the files that it may open, but for some hundred of its own. */
static unsigned allowed_connections(unsigned wanted)
{
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    bool is_enough = files.rlim_max == RLIM_INFINITY || files.rlim_max / 2 > wanted + FILES_OTHER;
    return is_enough ? wanted : (unsigned)files.rlim_max / 2 - FILES_OTHER;
}

/* The µs below which 99 of 100 creates stay, and the µs of the processor that panicd takes for all. */
struct cost {
    uint64_t p99_us;
    uint64_t cpu_us;
};

static struct cost measure(const struct panicd *panicd)
{
    struct histogram *latency = calloc(1, sizeof(*latency));
    assert_non_null(latency);
    int fd = http_connect(panicd_http(panicd), "127.0.0.200");
    long long cpu_us = panicd_cpu_us(panicd);
    for (int i = 0; i < CALLS; i++) {
        struct http_answer answer;
        int64_t begin_us = monotonic_us();
        http_send(fd, PRESS);
        http_receive(fd, &answer);
        histogram_record(latency, (uint64_t)(monotonic_us() - begin_us));
        assert_int_equal(answer.status, 202);
        http_answer_free(&answer);
    }
    const struct cost cost = {.p99_us = histogram_quantile(latency, 0.99),
                              .cpu_us = (uint64_t)(panicd_cpu_us(panicd) - cpu_us)};
    close(fd);
    free(latency);
    return cost;
}

static struct cost measure_best(const struct panicd *panicd)
{
    struct cost best = measure(panicd);
    for (int i = 1; i < MEASUREMENTS; i++) {
        struct cost cost = measure(panicd);
        best.p99_us = cost.p99_us < best.p99_us ? cost.p99_us : best.p99_us;
        best.cpu_us = cost.cpu_us < best.cpu_us ? cost.cpu_us : best.cpu_us;
    }
    return best;
}

static void stall(const char *url, int *fds, unsigned n)
{
    static const char *const beginnings[] = {
        "", "P", "POST /panic HTTP/1.1\r\nHost: test\r\n",
        "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\n{"};
    for (unsigned i = 0; i < n; i++) {
        char from[32];
        snprintf(from, sizeof(from), "127.0.1.%u", 1 + i / PER_ADDRESS);
        fds[i] = http_connect(url, from);
        http_send(fds[i], beginnings[i % 4]);
    }
}

static void test_stalled_connections_do_not_hold_up_others(void **state)
{
    (void)state;
    unsigned n = allowed_connections(harness_long() ? STALLED_LONG : STALLED);
    int *fds = calloc(n, sizeof(*fds));
    assert_non_null(fds);
    /* The disk's own moods are not what is measured. */
    struct panicd *panicd = panicd_start((const char *const[]){"--store", "memory:", NULL});
    struct cost quiet = measure_best(panicd);
    long before_kib = panicd_resident_kib(panicd);
    stall(panicd_http(panicd), fds, n);
    struct cost stalled = measure_best(panicd);
    long grown_kib = panicd_resident_kib(panicd) - before_kib;
    print_message(
        "%u stalled connections: p99 %lu us, quiet %lu us; of the processor %lu us, quiet %lu us, for "
        "%d creates; %ld KiB more\n",
        n, stalled.p99_us, quiet.p99_us, stalled.cpu_us, quiet.cpu_us, CALLS, grown_kib);
    assert_true(stalled.p99_us <= 2 * quiet.p99_us + SLACK_US);
    assert_true(stalled.cpu_us <= 2 * quiet.cpu_us);
    assert_true(grown_kib <= (long)n * CONNECTION_KIB_MAX);
    for (unsigned i = 0; i < n; i++) {
        close(fds[i]);
    }
    free(fds);
    panicd_end(panicd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stalled_connections_do_not_hold_up_others),
    };
    return cmocka_run_group_tests_name("http_stalled", tests, NULL, NULL);
}
