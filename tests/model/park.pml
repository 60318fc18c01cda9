/*
 * Parking as src/core/park.c does it, used as src/core/pool.c uses it, step by step: workers that take one
 * item at a time, submitters of one item each, perhaps one thread that closes. The ring is a counter here.
 *
 * Every step is one atomic operation and bears the label that it has in park.c or pool.c. With HALTS > 0 up
 * to that many submitters stop for ever, at any step; with STUCK > 0 up to that many workers never come back
 * from the item that they run.
 *
 * Checked whenever nothing can go on any more:
 * - no wake-up was lost: unless all workers are stuck, no more items are left than submitters stopped on
 *   their way;
 * - after a close (CLOSES), when nobody has stopped, every worker has ended.
 * A worker that stops for ever between its wake-up and its next look keeps the work waiting: that is what
 * waking one at a time means, and it is not checked otherwise.
 *
 * WRONG_REGISTER: a worker registers after its last look. Must be reported as an error.
 * WRONG_CHAIN: a worker that leaves items behind does not wake the next (with STUCK). Must be reported as an
 * error.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef SUBMITTERS
#define SUBMITTERS 2
#endif
#ifndef CLOSES
#define CLOSES 0
#endif
#ifndef HALTS
#define HALTS 0
#endif
#ifndef STUCK
#define STUCK 0
#endif

mtype = { AWAKE, REGISTERED, ASLEEP, NOTIFIED };
#define NOBODY 7
#define BIT(w) (1 << (w))

byte items;

byte parked;
mtype state[WORKERS] = AWAKE;
/* Waits in the kernel, on the futex of its state. */
bool queued[WORKERS];

/* The gate of pool.c: submitters inside, and the closed bit. */
byte inside;
bool closed;

/* Who is told to stop, how many have on their way, workers that are stuck or have ended. */
bool stop[SUBMITTERS];
byte n_told;
byte n_stopped;
byte n_stuck;
byte n_ended;

inline notify(w, ret_state)
{
    d_step { /* notify */
        ret_state = state[w];
        if
        :: state[w] == REGISTERED -> state[w] = NOTIFIED
        :: else
        fi
    }
    if
    :: ret_state == ASLEEP ->
        d_step { /* wake sleeper: FUTEX_WAKE_OP */
            state[w] = NOTIFIED;
            queued[w] = false
        }
    :: else
    fi
}

/* The bit lowest in `seen` leaves it. */
inline lowest(w)
{
    d_step {
        w = 0;
        do
        :: (seen & BIT(w)) == 0 -> w++
        :: else -> break
        od;
        seen = seen & ~BIT(w)
    }
}

/*
 * park_wake_one; choose() is its inner loop. Which of the workers that are not on their way it takes is left
 * open here: the most recent first is a matter of speed.
 */
inline wake_one()
{
    do
    :: atomic {
           seen = parked; /* wake look */
           if
           :: seen == 0 -> break
           :: else
           fi;
           choice = NOBODY
       }
       do
       :: atomic { seen != 0 ->
              lowest(w);
              if
              :: state[w] == NOTIFIED -> choice = w; seen = 0 /* choose state */
              :: else ->
                  if
                  :: choice = w
                  :: choice != NOBODY
                  fi
              fi }
       :: else -> break
       od;
       notify(choice, found);
       if
       :: found != AWAKE -> break
       :: else
       fi
    od;
    atomic { seen = 0; choice = 0; w = 0; found = 0 }
}

inline wake_all()
{
    seen = parked; /* wake all */
    do
    :: seen != 0 -> lowest(w); notify(w, found)
    :: else -> break
    od;
    atomic { seen = 0; w = 0; found = 0 }
}

inline take(ret_taken)
{
    d_step {
        ret_taken = items > 0;
        items = items - ret_taken
    }
}

inline prepare()
{
    state[self] = REGISTERED;   /* prepare state */
    parked = parked | BIT(self) /* prepare register */
}

inline leave()
{
    parked = parked & ~BIT(self);                        /* leave */
    d_step { found = state[self]; state[self] = AWAKE } /* leave state */
}

inline cancel()
{
    leave();
    if
    :: found == NOTIFIED -> wake_one()
    :: else
    fi;
    found = 0
}

inline wait()
{
    d_step { /* wait */
        found = state[self];
        if
        :: found == REGISTERED -> state[self] = ASLEEP
        :: else
        fi
    }
    if
    :: found == REGISTERED ->
        do
        :: d_step { state[self] == ASLEEP -> queued[self] = true } /* wait look, FUTEX_WAIT */
end_asleep:
            !queued[self]
        :: state[self] != ASLEEP -> break /* wait look */
        od
    :: else
    fi;
    leave();
    found = 0
}

proctype worker(byte self)
{
    byte seen, choice, w;
    mtype found;
    bool taken, last_look;

    do
    :: take(taken);
        do
        :: taken -> break
        :: else ->
#ifdef WRONG_REGISTER
            last_look = closed && inside == 0;
            take(taken);
            prepare();
#else
            prepare();
            last_look = closed && inside == 0; /* pool gate */
            take(taken);
#endif
            if
            :: taken || last_look -> cancel(); break
            :: else -> wait(); take(taken)
            fi
        od;
        if
        :: !taken -> break
        :: else
        fi;
        if
#ifndef WRONG_CHAIN
        :: items > 0 -> wake_one()
#endif
        :: else
        fi;
        taken = false;
        if
        :: true
        :: n_stuck < STUCK -> n_stuck++; goto end_stuck
        fi
    od;
    n_ended++;
    goto end_worker;
end_stuck:
    false;
end_worker:
    skip
}

inline leave_gate()
{
    d_step { inside--; last = closed && inside == 0 } /* pool leave */
    if
    :: last -> wake_all()
    :: else
    fi
}

proctype submitter(byte self)
{
    byte seen, choice, w;
    mtype found;
    bool refused, last;

    {
#if CLOSES
        if
        :: closed -> goto end_submitter /* pool look */
        :: else
        fi;
        d_step { inside++; refused = closed } /* pool enter */
        if
        :: refused
        :: else -> items++; wake_one()
        fi;
        leave_gate();
#else
        items++;
        wake_one();
#endif
        goto end_submitter
    } unless {
        stop[self]
    }
    n_stopped++;
end_submitter:
    skip
}

proctype closer()
{
    byte seen, w;
    mtype found;

    closed = true; /* pool close */
    wake_all()
}

init {
    byte i;
    atomic {
        for (i : 0 .. WORKERS - 1) {
            run worker(i)
        }
        for (i : 0 .. SUBMITTERS - 1) {
            run submitter(i)
        }
        i = 0;
#if CLOSES
        run closer()
#endif
    }
#if HALTS
    do
    :: n_told < HALTS -> atomic { n_told++; select(i : 0 .. SUBMITTERS - 1); stop[i] = true; i = 0 }
    :: break
    od;
#endif
    timeout;
    assert(n_stuck == WORKERS || items <= n_stopped);
#if CLOSES
    assert(n_stopped > 0 || n_stuck > 0 || n_ended == WORKERS)
#endif
}
