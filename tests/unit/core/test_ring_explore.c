/*
 * The real ring under every schedule with few preemptions. The threads are contexts of one thread, which
 * change only before an atomic step of the ring; every schedule with at most so many switches away from a
 * thread that could go on is played, and its history is judged (M. Musuvathi, S. Qadeer, "Iterative Context
 * Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007).
 *
 * Any thread may be the first; when one ends, the first of the list that has not ended goes on. With
 * PANIC_TEST_LONG set, one preemption more.
 */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define ATOMIC_STEP(label) before_step()
static void before_step(void);

#include "core/ring.c" /* NOLINT(bugprone-suspicious-include): its steps are where threads change */
#include "history.h"

#define THREADS_MAX 4
#define OPERATIONS_MAX 32
#define STEPS_MAX 1000
#define PREEMPTIONS_MAX 6
#define STACK_SIZE 65536

struct player {
    /* One sign an operation: + pushes, - pops. */
    const char *script;
    bool ended;
    ucontext_t context;
    char stack[STACK_SIZE];
};

/* Before this step of the whole play, `to` takes over. */
struct preemption {
    unsigned at;
    unsigned to;
};

/* Who ran a step, and who could have: one bit a thread. */
struct moment {
    uint8_t running;
    uint8_t able;
};

static struct {
    size_t capacity;
    struct ring *ring;
    struct player players[THREADS_MAX];
    unsigned n_players;
    ucontext_t director;
    unsigned first;
    struct preemption plan[PREEMPTIONS_MAX];
    unsigned n_planned;
    unsigned n_done;
    unsigned running;
    unsigned steps;
    uint64_t clock;
    struct moment moments[STEPS_MAX];
    struct operation history[OPERATIONS_MAX];
    size_t n_history;
    uint64_t schedules;
} play;

static void before_step(void)
{
    play.clock++;
    unsigned step = play.steps++;
    if (play.n_done < play.n_planned && play.plan[play.n_done].at == step) {
        unsigned from = play.running;
        play.running = play.plan[play.n_done++].to;
        swapcontext(&play.players[from].context, &play.players[play.running].context);
    }
    assert(step < STEPS_MAX);
    play.moments[step].running = (uint8_t)play.running;
    play.moments[step].able = 0;
    for (unsigned i = 0; i < play.n_players; i++) {
        play.moments[step].able |= (uint8_t)(!play.players[i].ended << i);
    }
}

static void record(bool pushes, uint64_t value)
{
    uint64_t start = ++play.clock;
    void *item = (void *)(uintptr_t)value;
    bool done = pushes ? ring_push(play.ring, item) : ring_pop(play.ring, &item);
    enum operation_kind kind = pushes ? (done ? PUSHED : FOUND_FULL) : (done ? POPPED : FOUND_EMPTY);
    assert(play.n_history < OPERATIONS_MAX);
    play.history[play.n_history++] = (struct operation){kind, (uintptr_t)item, start, ++play.clock};
}

static void follow_script(void)
{
    unsigned self = play.running;
    uint64_t value = 100 * (uint64_t)self;
    for (const char *sign = play.players[self].script; *sign != '\0'; sign++) {
        record(*sign == '+', ++value);
    }
    play.players[self].ended = true;
}

static void prepare_player(struct player *player)
{
    player->ended = false;
    getcontext(&player->context);
    player->context.uc_stack.ss_sp = player->stack;
    player->context.uc_stack.ss_size = STACK_SIZE;
    player->context.uc_link = &play.director;
    makecontext(&player->context, follow_script, 0);
}

/* From an empty ring to a drained one. */
static void play_once(void)
{
    enum status status = ring_new(play.capacity, &play.ring);
    assert(status == STATUS_OK);
    play.n_done = 0;
    play.steps = 0;
    play.clock = 0;
    play.n_history = 0;
    for (unsigned i = 0; i < play.n_players; i++) {
        prepare_player(&play.players[i]);
    }
    unsigned next = play.first;
    while (next < play.n_players) {
        play.running = next;
        swapcontext(&play.director, &play.players[next].context);
        next = 0;
        while (next < play.n_players && play.players[next].ended) {
            next++;
        }
    }
    unsigned steps = play.steps;
    play.n_done = play.n_planned;
    do {
        record(false, 0);
    } while (play.history[play.n_history - 1].kind == POPPED);
    play.steps = steps;
    ring_free(play.ring);
    play.schedules++;
}

static void fail_with_schedule(enum verdict verdict)
{
    print_error("thread %u begins", play.first);
    for (unsigned i = 0; i < play.n_planned; i++) {
        print_error(", thread %u takes over before step %u", play.plan[i].to, play.plan[i].at);
    }
    fail_msg(": %s", verdict_name(verdict));
}

/* Plays the plan, and every plan that has up to `more` preemptions behind those of this one. */
static void explore(unsigned more)
{
    play_once();
    enum verdict verdict = history_judge(play.history, play.n_history, play.capacity);
    if (verdict != LINEARIZABLE) {
        fail_with_schedule(verdict);
    }
    if (more == 0) {
        return;
    }
    unsigned steps = play.steps;
    struct moment moments[STEPS_MAX];
    memcpy(moments, play.moments, steps * sizeof(moments[0]));
    unsigned n = play.n_planned;
    for (unsigned step = n > 0 ? play.plan[n - 1].at + 1 : 1; step < steps; step++) {
        for (unsigned to = 0; to < play.n_players; to++) {
            if (to != moments[step].running && (moments[step].able >> to & 1) != 0) {
                play.plan[n] = (struct preemption){.at = step, .to = to};
                play.n_planned = n + 1;
                explore(more - 1);
            }
        }
    }
    play.n_planned = n;
}

static void explore_scripts(size_t capacity, unsigned preemptions, const char *const *scripts)
{
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer loses track of contexts, and there is only one thread here\n");
    skip();
#endif
#ifdef __SANITIZE_ADDRESS__
    preemptions--;
#endif
    preemptions += getenv("PANIC_TEST_LONG") != NULL;
    memset(&play, 0, sizeof(play));
    play.capacity = capacity;
    for (; scripts[play.n_players] != NULL; play.n_players++) {
        play.players[play.n_players].script = scripts[play.n_players];
    }
    for (play.first = 0; play.first < play.n_players; play.first++) {
        explore(preemptions);
    }
    print_message("%lu schedules\n", play.schedules);
}

static void test_pusher_and_popper_on_the_smallest_ring(void **state)
{
    (void)state;
    explore_scripts(2, 5, (const char *const[]){"+++", "---", NULL});
}

static void test_two_that_push_and_pop_on_the_smallest_ring(void **state)
{
    (void)state;
    explore_scripts(2, 5, (const char *const[]){"+-+", "-+-", NULL});
}

static void test_poppers_of_an_empty_ring_and_a_pusher(void **state)
{
    (void)state;
    explore_scripts(4, 3, (const char *const[]){"--", "++", "--", NULL});
}

static void test_pushers_into_a_full_ring_and_a_popper(void **state)
{
    (void)state;
    explore_scripts(4, 3, (const char *const[]){"++++", "++", "--", NULL});
}

static void test_two_pushers_and_two_poppers(void **state)
{
    (void)state;
    explore_scripts(4, 3, (const char *const[]){"+", "+", "-", "--", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pusher_and_popper_on_the_smallest_ring),
        cmocka_unit_test(test_two_that_push_and_pop_on_the_smallest_ring),
        cmocka_unit_test(test_poppers_of_an_empty_ring_and_a_pusher),
        cmocka_unit_test(test_pushers_into_a_full_ring_and_a_popper),
        cmocka_unit_test(test_two_pushers_and_two_poppers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
