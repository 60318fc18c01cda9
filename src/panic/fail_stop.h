/*
 * Fail-stop: after an I/O error of the store nobody knows what is on the disk. A page that an fsync failed to
 * write may be marked clean and be gone, or appear after a restart. The process ends at once, acknowledging
 * nothing; the restart reads what is really there.
 */
#ifndef PANIC_FAIL_STOP_H
#define PANIC_FAIL_STOP_H

#include "base/status.h"

/* EX_IOERR of sysexits.h. */
#define FAIL_STOP_EXIT 74

/* Logs and ends the process when `status` is DATA_LOSS; returns otherwise. Any thread. */
void fail_stop_on_data_loss(enum status status, const char *where);

#endif
