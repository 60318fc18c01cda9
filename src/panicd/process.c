#include "panicd/process.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"

/* Files that are no connections: the store, nng's and libevent's own, the log. */
#define FILES_RESERVED 256
/* Below this many connections starting makes no sense; below the second number somebody should know. */
#define CONNECTIONS_MIN 64
#define CONNECTIONS_FEW 2048
#define HTTP_CONNECTIONS_MAX 12288
#define CONNECTIONS_CAP (1U << 20)

static sigset_t signals;

void process_begin(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* What it creates (store, sockets) holds people's positions: nobody else's business. */
    umask(0077);
    /* Every connection is one; the soft limit is often 1024, for the sake of select(). */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int process_wait(unsigned ms)
{
    const struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    int number = sigtimedwait(&signals, NULL, &timeout);
    return number > 0 ? number : 0;
}

void process_drain(int number)
{
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    if (number > 0) {
        log_info("stopping", log_str("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    }
}

static unsigned file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur > CONNECTIONS_CAP) {
        return CONNECTIONS_CAP;
    }
    return (unsigned)files.rlim_cur;
}

enum status process_share_files(bool with_http, bool with_rpc, struct process_connections *ret_connections,
                                struct diag *diag)
{
    unsigned limit = file_limit();
    if (limit < FILES_RESERVED + CONNECTIONS_MIN) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED,
                         "this process may open %u files and needs at least %d; raise the limit (ulimit -n, "
                         "LimitNOFILE= in a systemd unit)",
                         limit, FILES_RESERVED + CONNECTIONS_MIN);
    }
    unsigned room = limit - FILES_RESERVED;
    struct process_connections shares = {0};
    if (with_http) {
        shares.http = with_rpc ? room / 2 : room;
        shares.http = shares.http < HTTP_CONNECTIONS_MAX ? shares.http : HTTP_CONNECTIONS_MAX;
    }
    shares.rpc = with_rpc ? room - shares.http : 0;
    if (room < CONNECTIONS_FEW) {
        log_warn("few connections: the limit of open files is low; raise it (ulimit -n, LimitNOFILE=)",
                 log_int("limit", limit), log_int("http", shares.http), log_int("rpc", shares.rpc));
    }
    *ret_connections = shares;
    return STATUS_OK;
}
