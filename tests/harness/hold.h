/*
 * Stops one thread of a panicd, and none of the others, for as long as a test likes (ptrace): what that
 * thread does is under way until it is let go.
 */
#ifndef HARNESS_HOLD_H
#define HARNESS_HOLD_H

#include "harness/panicd.h"

/* Returns when the thread with this name, of which there must be one, has stopped. It must be let go, or its
 * end be waited for, by the thread that called this. */
pid_t hold_thread(const struct panicd *panicd, const char *name);

void hold_let_go(pid_t thread);

/* Waits until it has ended with its process, which panicd_wait sees only after this. */
void hold_wait_end(pid_t thread);

#endif
