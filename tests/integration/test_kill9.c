/*
 * kill -9 under load. 32 creators log every id before they send it and every acknowledgement after it came;
 * panicd is killed after a random number of acknowledgements and a random moment more, and started again on
 * the same folder and addresses, while the creators go on and repeat what had no answer. Everything random
 * comes from one seed, which is printed; PANIC_TEST_SEED sets it.
 *
 * SIGKILL leaves the page cache alone, so this shows what the process does, not what the disk does.
 */
#include "harness/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/burst.h"
#include "harness/calls.h"
#include "harness/creators.h"
#include "harness/panicd.h"

#define CREATORS 32
#define ROUNDS 20
#define ROUNDS_LONG 200
#define ROUNDS_SANITIZED 8
#define ACKNOWLEDGED_MAX 600
#define MOMENT_MAX_US 3000
/* How far the creators may get ahead of the round while what is stored is checked. */
#define AHEAD 1200
#define RESPONDERS_FIRST 300
/* Checking everything costs as much as there is; in long runs not after every round. */
#define CHECK_EACH_UNTIL 20
#define CHECK_EVERY 10

/* SplitMix64 (G. Steele and others, Fast Splittable Pseudorandom Number Generators, 2014). */
static uint64_t random_below(uint64_t *state, uint64_t bound)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
    return (z ^ z >> 31) % bound;
}

static uint64_t seed(void)
{
    const char *text = getenv("PANIC_TEST_SEED"); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    return text != NULL ? strtoull(text, NULL, 10) : (uint64_t)monotonic_us();
}

static unsigned rounds(void)
{
    if (harness_long()) {
        return ROUNDS_LONG;
    }
    return HARNESS_SANITIZED ? ROUNDS_SANITIZED : ROUNDS;
}

/* Spins: a sleep would put the kill where the scheduler is, not where panicd is. */
static void pass(uint64_t us)
{
    int64_t until_us = monotonic_us() + (int64_t)us;
    while (monotonic_us() < until_us) {
    }
}

/* One round in five ends right after the start, when panicd works off what the last one left. */
static void kill_at_a_random_moment(struct panicd *panicd, struct creators *creators, uint64_t *state)
{
    size_t now = creators_totals(creators).acknowledged;
    creators_allow(creators, now + AHEAD);
    if (random_below(state, 5) != 0) {
        creators_wait(creators, now + random_below(state, ACKNOWLEDGED_MAX));
    }
    pass(random_below(state, MOMENT_MAX_US));
    panicd_kill(panicd);
}

static void test_every_acknowledged_panic_survives_and_is_dispatched_once(void **state)
{
    (void)state;
    uint64_t chance = seed();
    unsigned n_rounds = rounds();
    print_message("seed %llu, %u rounds\n", (unsigned long long)chance, n_rounds);

    char tcp[64];
    snprintf(tcp, sizeof(tcp), "tcp://127.0.0.1:%u", harness_port());
    const char *const extra[] = {"--listen", tcp, NULL};
    struct panicd *panicd = panicd_start(extra);
    const char *ipc = panicd_ipc(panicd);
    burst_put_responders(ipc, 0, RESPONDERS_FIRST);

    const char *const urls[] = {ipc, tcp, ipc, tcp, ipc, tcp, ipc, tcp};
    const struct creators_config config = {
        .urls = urls, .n_urls = 8, .threads = CREATORS, .each_max = 100000};
    struct creators *creators = creators_start(&config);
    struct panic_client *client = calls_connect(ipc);
    long long slowest_us = 0;
    for (unsigned round = 0; round < n_rounds; round++) {
        kill_at_a_random_moment(panicd, creators, &chance);
        long long ready_us = panicd_restart(panicd);
        slowest_us = ready_us > slowest_us ? ready_us : slowest_us;
        if (round < CHECK_EACH_UNTIL || round % CHECK_EVERY == 0) {
            creators_check(creators, client);
        }
    }
    creators_stop(creators, true);

    size_t stored = creators_check(creators, client);
    struct creators_totals totals = creators_totals(creators);
    assert_int_equal(totals.acknowledged, totals.sent);
    assert_int_equal(stored, totals.acknowledged);
    burst_put_responders(ipc, RESPONDERS_FIRST, stored);
    calls_wait_all_dispatched(client);
    assert_int_equal(calls_expect_all_active(client), stored);
    print_message(
        "%zu acknowledged, %zu attempts without an answer, %zu acknowledged as repeats, slowest start "
        "%lld ms\n",
        totals.acknowledged, totals.unanswered, totals.replayed, slowest_us / 1000);

    creators_free(creators);
    panic_client_close(client);
    panicd_end(panicd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_acknowledged_panic_survives_and_is_dispatched_once),
    };
    return cmocka_run_group_tests_name("kill9", tests, NULL, NULL);
}
