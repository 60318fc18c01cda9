/*
 * Waiting for other threads with a time limit, on any thread: cmocka's asserts work on the main thread only,
 * so a wait that takes too long ends the process.
 */
#ifndef UNIT_CORE_AWAIT_H
#define UNIT_CORE_AWAIT_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AWAIT_LIMIT_S 30

static inline void await(sem_t *event, const char *what)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += AWAIT_LIMIT_S;
    int rc;
    do {
        rc = sem_timedwait(event, &limit);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        fprintf(stderr, "%s did not happen within %d s\n", what, AWAIT_LIMIT_S);
        abort();
    }
}

static inline void start_thread(pthread_t *thread, void *(*body)(void *), void *arg)
{
    if (pthread_create(thread, NULL, body, arg) != 0) {
        abort();
    }
}

static inline void join_thread(pthread_t thread)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += AWAIT_LIMIT_S;
    if (pthread_timedjoin_np(thread, NULL, &limit) != 0) {
        fprintf(stderr, "a thread did not end within %d s\n", AWAIT_LIMIT_S);
        abort();
    }
}

#endif
