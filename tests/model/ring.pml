/*
 * The ring of src/core/ring.c with two indices (n = 2, R = 4 slots a circle), step by step.
 *
 * Every option of the loop below is one atomic operation of ring.c and bears its label. Memory is
 * sequentially consistent, as every operation of ring.c is. A process that is never scheduled again has
 * stopped for ever, so that any of the processes stop at any step; with HALTS > 0 up to that many stop in a
 * step of their own, too.
 *
 * Checked in every state that can be reached:
 * - an index is where its taker finds it and nowhere else (no duplicate, no phantom; whoever took it is its
 *   only owner, so that the item beside it needs no atomics);
 * - when all have finished, every index lies where a dequeuer will come (no loss);
 * - who takes an item finds no earlier item of the same producer that no pop has drawn yet (FIFO);
 * - "empty" is answered only at a moment when no item is inside whose enqueue has ended and whose ticket
 *   nobody has drawn; "full" is the same of the other circle;
 * - whoever is scheduled finishes, whoever else has stopped: nobody draws more than TICKETS_MAX tickets, no
 *   step waits (init would be left behind), and, in a run for cycles, no step recurs without end.
 *
 * SINGLE: one circle; indices come from a set instead of the circle `free`. Fewer states, more operations.
 * SCRIPT: begins where two consumers stopped long ago, one with an element that it has not taken.
 * WRONG_SAFE: a dequeuer that advances an empty slot also makes it safe. Must be reported as an error.
 * WRONG_MARK: a dequeuer that finds nothing leaves no mark. Must be reported as an error.
 */
#ifndef PUSHES_1
#define PUSHES_1 1
#endif
#ifndef PUSHES_2
#define PUSHES_2 1
#endif
#ifndef POPS_1
#define POPS_1 1
#endif
#ifndef POPS_2
#define POPS_2 1
#endif
#ifndef POPS_3
#define POPS_3 0
#endif
#ifndef TICKETS_MAX
#define TICKETS_MAX 32
#endif
#ifndef HALTS
#define HALTS 0
#endif

#define N 2
#define R 4
#define THRESHOLD_MAX (3 * N - 1)

/* A slot: cycle + 1 | safe (1 bit) | index (2 bits). */
#define NONE 3
#define SAFE 4
#define CYCLE(ticket) (((ticket) / R + 1) * 8)
#define CYCLE_OF(entry) ((entry) & 248)
#define INDEX_OF(entry) ((entry) & 3)
#define TICKET_OF(entry, s) (((entry) / 8 - 1) * R + (s))

typedef circle {
    byte head;
    byte tail;
    short threshold;
    byte slot[R];
    /* What stands in the slot was put in by an enqueue that has ended. */
    bool settled[R]
}

#define FREE 0
#define USED 1
circle circles[2];

/* items[i] is producer * 16 + number, from 1. place[i] is a circle or OWNED. */
byte items[N];
byte place[N];
#define OWNED 2
#define UNUSED 3

mtype = {
    take_unused,
    dequeue_threshold, dequeue_head, dequeue_tail, dequeue_ticket, dequeue_look, dequeue_take, dequeue_mark,
    dequeue_vain_tail, dequeue_catch_up, dequeue_catch_up_head, dequeue_catch_up_tail, dequeue_overtook,
    dequeue_vain,
    enqueue_ticket, enqueue_look, enqueue_head, enqueue_enter, enqueue_threshold, enqueue_reset,
    stopped
};

/* By process: the next step, and the operations done. */
mtype at[6];
byte done[6];
byte n_running;
byte n_halted;

#ifdef SCRIPT
/* Whose turn it is, and when the turn ends. */
#define ANYBODY 255
byte turn;
byte stop_done;
mtype stop_at;
#define MAY_STEP (turn == ANYBODY || (turn == _pid && !(done[_pid] == stop_done && at[_pid] == stop_at)))
#else
#define MAY_STEP true
#endif

#define INSIDE(c, s) \
    (INDEX_OF(circles[c].slot[s]) != NONE && TICKET_OF(circles[c].slot[s], s) >= circles[c].head)
#define CERTAIN(c, s) (circles[c].settled[s] && INSIDE(c, s))
#define STRAY(c, s) (INDEX_OF(circles[c].slot[s]) != NONE && !INSIDE(c, s))
#define ASSERT_EMPTY(c) assert(!CERTAIN(c, 0) && !CERTAIN(c, 1) && !CERTAIN(c, 2) && !CERTAIN(c, 3))
#define ASSERT_NO_STRAY(c) assert(!STRAY(c, 0) && !STRAY(c, 1) && !STRAY(c, 2) && !STRAY(c, 3))
#define INSIDE_COUNT(c) (INSIDE(c, 0) + INSIDE(c, 1) + INSIDE(c, 2) + INSIDE(c, 3))

#define IS_PRODUCER (from == FREE)
#ifdef SINGLE
#define FIRST_STEP (IS_PRODUCER -> take_unused : dequeue_threshold)
#else
#define FIRST_STEP dequeue_threshold
#endif

/* An earlier item of the same producer, in slot s of `used`, that no pop has drawn. */
#define OVERTAKEN(s) \
    (INSIDE(USED, s) && items[INDEX_OF(circles[USED].slot[s])] / 16 == items[index] / 16 && \
     items[INDEX_OF(circles[USED].slot[s])] < items[index])

/* The operation has ended; dead variables must not tell states apart. */
inline end_operation()
{
    index = NONE;
    ticket = 0;
    entry = 0;
    other = 0;
    done[_pid]++;
    at[_pid] = FIRST_STEP;
    if
    :: done[_pid] == operations -> n_running--
    :: else
    fi
}

inline own(i)
{
    index = i;
    assert(i < N);
    assert(place[i] == from || place[i] == UNUSED);
    place[i] = OWNED;
    if
    :: IS_PRODUCER -> items[i] = _pid * 16 + done[_pid]
    :: else -> assert(!OVERTAKEN(0) && !OVERTAKEN(1) && !OVERTAKEN(2) && !OVERTAKEN(3))
    fi
}

inline draw(line)
{
    ticket = line;
    line++;
    assert(line <= TICKETS_MAX)
}

/* What a dequeuer does about the entry that it found. */
inline judge_dequeue()
{
    if
    :: CYCLE_OF(entry) == CYCLE(ticket) -> at[_pid] = dequeue_take
    :: CYCLE_OF(entry) > CYCLE(ticket) -> at[_pid] = dequeue_vain_tail
    :: else ->
        if
        :: INDEX_OF(entry) != NONE -> other = entry & 251
#ifdef WRONG_SAFE
        :: else -> other = CYCLE(ticket) | SAFE | NONE
#else
        :: else -> other = CYCLE(ticket) | (entry & SAFE) | NONE
#endif
        fi;
#ifdef WRONG_MARK
        other = entry;
#endif
        at[_pid] = (other == entry -> dequeue_vain_tail : dequeue_mark)
    fi
}

inline judge_enqueue()
{
    if
    :: INDEX_OF(entry) != NONE || CYCLE_OF(entry) >= CYCLE(ticket) -> at[_pid] = enqueue_ticket
    :: else -> at[_pid] = ((entry & SAFE) != 0 -> enqueue_enter : enqueue_head)
    fi
}

inline end_enqueue()
{
    if
    :: CYCLE_OF(circles[to].slot[ticket % R]) == CYCLE(ticket) &&
       INDEX_OF(circles[to].slot[ticket % R]) != NONE ->
        circles[to].settled[ticket % R] = true
    :: else
    fi;
    end_operation()
}

/* A push takes an index from `free` to `used`, a pop takes it back. */
proctype operate(byte from; byte to; byte operations) provided (MAY_STEP)
{
    byte index = NONE;
    byte ticket;
    byte entry;
    byte other;

    at[_pid] = FIRST_STEP;
end:
    do
#if HALTS
    :: d_step { done[_pid] < operations && n_halted < HALTS && at[_pid] != stopped ->
        n_halted++;
        n_running--;
        at[_pid] = stopped }
#endif
#ifdef SINGLE
    :: d_step { done[_pid] < operations && at[_pid] == take_unused ->
        if
        :: place[0] == UNUSED -> own(0); at[_pid] = enqueue_ticket
        :: place[0] != UNUSED && place[1] == UNUSED -> own(1); at[_pid] = enqueue_ticket
        :: else -> end_operation()
        fi }
#endif
    :: d_step { done[_pid] < operations && at[_pid] == dequeue_threshold ->
        if
        :: circles[from].threshold < 0 -> ASSERT_EMPTY(from); end_operation()
        :: circles[from].threshold == THRESHOLD_MAX -> at[_pid] = dequeue_ticket
        :: else -> at[_pid] = dequeue_head
        fi }
    :: d_step { at[_pid] == dequeue_head -> other = circles[from].head; at[_pid] = dequeue_tail }
    :: d_step { at[_pid] == dequeue_tail ->
        if
        :: circles[from].tail <= other -> ASSERT_EMPTY(from); end_operation()
        :: else -> other = 0; at[_pid] = dequeue_ticket
        fi }
    :: d_step { at[_pid] == dequeue_ticket ->
        draw(circles[from].head);
        at[_pid] = dequeue_look }
    :: d_step { at[_pid] == dequeue_look -> entry = circles[from].slot[ticket % R]; judge_dequeue() }
    :: d_step { at[_pid] == dequeue_take ->
        own(INDEX_OF(entry));
        circles[from].slot[ticket % R] = circles[from].slot[ticket % R] | NONE;
        circles[from].settled[ticket % R] = false;
        ticket = 0;
        entry = 0;
        at[_pid] = enqueue_ticket;
#ifdef SINGLE
        place[index] = UNUSED;
        end_operation()
#endif
        }
    :: d_step { at[_pid] == dequeue_mark ->
        if
        :: circles[from].slot[ticket % R] == entry ->
            circles[from].slot[ticket % R] = other;
            at[_pid] = dequeue_vain_tail
        :: else ->
            entry = circles[from].slot[ticket % R];
            other = 0;
            judge_dequeue()
        fi }
    :: d_step { at[_pid] == dequeue_vain_tail ->
        other = circles[from].tail;
        entry = 0;
        if
        :: other <= ticket + 1 -> ASSERT_EMPTY(from); ticket++; at[_pid] = dequeue_catch_up
        :: else -> ticket = 0; other = 0; at[_pid] = dequeue_vain
        fi }
    :: d_step { at[_pid] == dequeue_catch_up ->
        if
        :: circles[from].tail == other -> circles[from].tail = ticket; at[_pid] = dequeue_overtook
        :: else -> at[_pid] = dequeue_catch_up_head
        fi }
    :: d_step { at[_pid] == dequeue_catch_up_head -> ticket = circles[from].head; at[_pid] = dequeue_catch_up_tail }
    :: d_step { at[_pid] == dequeue_catch_up_tail ->
        other = circles[from].tail;
        if
        :: other >= ticket -> at[_pid] = dequeue_overtook
        :: else -> at[_pid] = dequeue_catch_up
        fi }
    :: d_step { at[_pid] == dequeue_overtook -> circles[from].threshold--; end_operation() }
    :: d_step { at[_pid] == dequeue_vain ->
        circles[from].threshold--;
        if
        :: circles[from].threshold < 0 -> ASSERT_EMPTY(from); end_operation()
        :: else -> at[_pid] = dequeue_ticket
        fi }
    :: d_step { at[_pid] == enqueue_ticket ->
        draw(circles[to].tail);
        at[_pid] = enqueue_look }
    :: d_step { at[_pid] == enqueue_look -> entry = circles[to].slot[ticket % R]; judge_enqueue() }
    :: d_step { at[_pid] == enqueue_head ->
        if
        :: circles[to].head <= ticket -> at[_pid] = enqueue_enter
        :: else -> at[_pid] = enqueue_ticket
        fi }
    :: d_step { at[_pid] == enqueue_enter ->
        if
        :: circles[to].slot[ticket % R] == entry ->
            circles[to].slot[ticket % R] = CYCLE(ticket) | SAFE | index;
            circles[to].settled[ticket % R] = false;
            place[index] = to;
            index = NONE;
            entry = 0;
            at[_pid] = enqueue_threshold
        :: else ->
            entry = circles[to].slot[ticket % R];
            judge_enqueue()
        fi }
    :: d_step { at[_pid] == enqueue_threshold ->
        if
        :: circles[to].threshold != THRESHOLD_MAX -> at[_pid] = enqueue_reset
        :: else -> end_enqueue()
        fi }
    :: d_step { at[_pid] == enqueue_reset -> circles[to].threshold = THRESHOLD_MAX; end_enqueue() }
    od
}

#ifdef SCRIPT
/* Process p goes on alone until it has done `operations` of them and is before the step. */
inline let(p, operations, step)
{
    stop_done = operations;
    stop_at = step;
    turn = p;
    (done[p] == stop_done && at[p] == stop_at);
    turn = 0
}

/* The producer's next item goes through, to consumer 3. */
inline pass()
{
    let(1, done[1] + 1, take_unused);
    let(3, done[3] + 1, dequeue_threshold)
}
#endif

init {
    byte s;
    atomic {
        circles[USED].threshold = -1;
        for (s : 0 .. R - 1) {
            circles[USED].slot[s] = SAFE | NONE;
            circles[FREE].slot[s] = (s < N -> CYCLE(s) | SAFE | s : SAFE | NONE);
            circles[FREE].settled[s] = s < N
        }
        circles[FREE].tail = N;
        circles[FREE].threshold = THRESHOLD_MAX;
        s = 0;
#ifdef SINGLE
        place[0] = UNUSED;
        place[1] = UNUSED;
#endif
        n_running = (PUSHES_1 > 0) + (PUSHES_2 > 0) + (POPS_1 > 0) + (POPS_2 > 0) + (POPS_3 > 0);
        run operate(FREE, USED, PUSHES_1);
        run operate(FREE, USED, PUSHES_2);
        run operate(USED, FREE, POPS_1);
        run operate(USED, FREE, POPS_2);
        run operate(USED, FREE, POPS_3)
    }
#ifdef SCRIPT
    /* Consumer 4 stops with the element of ticket 0, consumer 5 with ticket 4 before it looks. */
    let(1, 1, take_unused);
    let(4, 0, dequeue_take);
    pass();
    pass();
    pass();
    let(1, 5, take_unused);
    let(5, 0, dequeue_look);
    let(3, 4, dequeue_threshold);
    pass();
    pass();
    stop_done = 0;
    turn = ANYBODY;
#endif
    atomic {
        (n_running == 0);
        if
        :: n_halted == 0 ->
            ASSERT_NO_STRAY(USED);
            ASSERT_NO_STRAY(FREE);
#ifdef SINGLE
            assert(INSIDE_COUNT(USED) + (place[0] == UNUSED) + (place[1] == UNUSED) == N)
#else
            assert(INSIDE_COUNT(USED) + INSIDE_COUNT(FREE) == N)
#endif
        :: else
        fi
    }
}
