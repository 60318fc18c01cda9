/* What every server process does with signals and descriptors. */
#ifndef PANICD_PROCESS_H
#define PANICD_PROCESS_H

#include "base/status.h"

/* Before any thread starts: SIGTERM and SIGINT are only taken by process_wait(), a peer that hangs up does
 * not end the process, files that it makes are nobody else's, and it may open as many as it ever may. */
void process_begin(void);

/* Waits up to `ms`; the number of the signal that came, 0 when none did. */
int process_wait(unsigned ms);

/* The drain begins: says so, and from here on a second signal ends the process by itself. `number` 0 = not
 * because of a signal; then the caller says why. */
void process_drain(int number);

/* How many connections may be open. */
struct process_connections {
    unsigned http;
    unsigned rpc;
};

/*
 * Shares out what descriptors there are, so that HTTP and RPC together never run out of them. A user who is
 * not served leaves all to the other. RESOURCE_EXHAUSTED when there are too few to serve at all; a warning
 * when there are few.
 */
MUST_USE enum status process_share_files(bool with_http, bool with_rpc,
                                         struct process_connections *ret_connections, struct diag *diag);

#endif
