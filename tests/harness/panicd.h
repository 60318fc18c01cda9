/*
 * A real panicd for tests: its own process, temporary folder, and addresses (an ipc socket in that folder and
 * a free TCP port on loopback). Failures of the harness itself end the test with a message.
 */
#ifndef HARNESS_PANICD_H
#define HARNESS_PANICD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Any wait in a test ends with a failure after this. */
#define HARNESS_PATIENCE_US (30 * 1000000LL)

struct panicd;

/*
 * Starts a panicd with an SQLite store in a new folder and waits until it is ready. `extra` are further
 * options, ended by NULL; NULL for none.
 */
struct panicd *panicd_start(const char *const *extra);

/* The same in a folder that exists and stays when the panicd is freed (a mount point, say). */
struct panicd *panicd_start_in(const char *folder, const char *const *extra);

/*
 * Starts a panicd with exactly these options, ended by NULL, and the environment of the test, in a new folder
 * that is its working directory. panicd_ipc() means nothing for it.
 */
struct panicd *panicd_start_with(const char *const *options);

/* The same with a panic-shim: a process with a log that says "ready", for which all below also holds. */
struct panicd *panicd_start_shim(const char *const *options);

/* Kills the process (SIGKILL) and waits for its end. */
void panicd_kill(struct panicd *panicd);

/* Stops the process until it is sent SIGCONT; on return none of its threads runs any more. */
void panicd_pause(struct panicd *panicd);

/* Sends a signal, does not wait. */
void panicd_signal(struct panicd *panicd, int number);

/* Waits for the end of the process; its exit status, or -1 when a signal ended it. */
int panicd_wait(struct panicd *panicd);

/* Starts it again with the same folder and options. Returns the µs from exec to "ready". */
long long panicd_restart(struct panicd *panicd);

/* SIGTERM, expects exit status 0, removes the folder. NULL is fine. */
void panicd_end(struct panicd *panicd);

/* After panicd_kill or panicd_wait: frees without starting or ending anything; removes the folder. */
void panicd_forget(struct panicd *panicd);

const char *panicd_ipc(const struct panicd *panicd);
const char *panicd_tcp(const struct panicd *panicd);
/* "http://127.0.0.1:PORT" */
const char *panicd_http(const struct panicd *panicd);
const char *panicd_folder(const struct panicd *panicd);
pid_t panicd_pid(const struct panicd *panicd);

/* Resident memory in KiB, VmRSS of /proc. */
long panicd_resident_kib(const struct panicd *panicd);

/* The µs of processor time that it has used since its last start. Other than the time that passes, it hardly
 * depends on what else the machine does. */
long long panicd_cpu_us(const struct panicd *panicd);

/* Waits until a log line that contains `text` was written, from the last start on. */
void panicd_wait_log(struct panicd *panicd, const char *text);
/* Was such a line written since the last start? */
bool panicd_logged(struct panicd *panicd, const char *text);

/*
 * Runs a program to its end; what it writes to standard output and error is put into `output`, cut to fit.
 * Returns the exit status, -1 when a signal ended it.
 */
int harness_run(const char *const *argv, char *output, size_t output_size);

/* Paths of what was built. */
extern const char *const harness_panicd_path;
extern const char *const harness_panicctl_path;
extern const char *const harness_shim_path;

/* A TCP port of loopback that is free now and that the kernel gives to nobody who asks for any port. */
unsigned harness_port(void);

/* True when built with the address or thread sanitizer. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HARNESS_SANITIZED true
#else
#define HARNESS_SANITIZED false
#endif

/* True for the long version of a test (PANIC_TEST_LONG is set). */
bool harness_long(void);

#endif
