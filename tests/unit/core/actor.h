/*
 * Actors: threads that stop at a chosen atomic step of the code under test, so that a test can play a
 * schedule. Include this header, then the .c file under test: its steps (core/atomic_ops.h) come here.
 */
#ifndef UNIT_CORE_ACTOR_H
#define UNIT_CORE_ACTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "await.h"

#define ATOMIC_STEP(label) actor_step(label)

struct actor {
    /* What it does, once. */
    void (*act)(struct actor *self);
    void *subject;
    uint64_t value;

    /* It stops before the step of this name (any when NULL), after letting `skip` of them pass. */
    const char *stop_at;
    _Atomic int64_t skip;

    /* Steps performed. */
    _Atomic uint64_t steps;
    pthread_t thread;
    sem_t paused;
    sem_t resume;
    /* What the operation answered, and whether it has come to its end. */
    bool ok;
    bool done;
};

static _Thread_local struct actor *current_actor;

/* When not NULL: stops one thread that is not an actor itself. Set it before the threads start. */
static struct actor *passer_by;

static inline void actor_step(const char *label)
{
    struct actor *self = current_actor != NULL ? current_actor : passer_by;
    if (self == NULL) {
        return;
    }
    atomic_fetch_add(&self->steps, 1);
    if (self->stop_at != NULL && strcmp(self->stop_at, label) != 0) {
        return;
    }
    if (atomic_fetch_sub(&self->skip, 1) == 0) {
        sem_post(&self->paused);
        await(&self->resume, "the resumption of an actor");
    }
}

static inline void actor_init(struct actor *actor)
{
    sem_init(&actor->paused, 0, 0);
    sem_init(&actor->resume, 0, 0);
}

static inline void actor_release(struct actor *actor)
{
    sem_destroy(&actor->paused);
    sem_destroy(&actor->resume);
}

static inline void *actor_body(void *arg)
{
    struct actor *self = arg;
    current_actor = self;
    self->act(self);
    self->done = true;
    sem_post(&self->paused);
    return NULL;
}

/* Runs the actor up to its stop. False when it came to its end without reaching it. */
static inline bool actor_start(struct actor *actor)
{
    actor_init(actor);
    start_thread(&actor->thread, actor_body, actor);
    await(&actor->paused, "the stop of an actor");
    return !actor->done;
}

/* Lets it go on. */
static inline void actor_resume(struct actor *actor)
{
    sem_post(&actor->resume);
}

/* Lets it go on to another step. False when it came to its end without reaching it. */
static inline bool actor_resume_to(struct actor *actor, const char *stop_at)
{
    actor->stop_at = stop_at;
    atomic_store(&actor->skip, 0);
    actor_resume(actor);
    await(&actor->paused, "the next stop of an actor");
    return !actor->done;
}

/* Waits for its end. */
static inline void actor_join(struct actor *actor)
{
    join_thread(actor->thread);
    actor_release(actor);
}

static inline void actor_finish(struct actor *actor)
{
    actor_resume(actor);
    actor_join(actor);
}

#endif
