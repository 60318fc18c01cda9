/*
 * A thread drains the process's standard error into a buffer, so that the process never blocks on it, and
 * tells those who wait for a line. The process dies with the test (PR_SET_PDEATHSIG), however that ends.
 */
#include "harness/panicd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define ARGS_MAX 32

const char *const harness_panicd_path = PANICD_PATH;
const char *const harness_panicctl_path = PANICCTL_PATH;
const char *const harness_shim_path = PANIC_SHIM_PATH;

struct panicd {
    char folder[256];
    bool own_folder;
    char ipc[300];
    char tcp[64];
    char http[64];
    char store[300];
    const char *args[ARGS_MAX];
    size_t n_args;
    pid_t pid;
    pthread_t drainer;
    int log_fd;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. The log since the last start, NUL-terminated. */
    char *log;
    size_t log_length;
    bool log_ended;
};

static void __attribute__((format(printf, 1, 2), noreturn)) give_up(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static void append_log(struct panicd *panicd, const char *text, size_t length)
{
    pthread_mutex_lock(&panicd->lock);
    char *bigger = realloc(panicd->log, panicd->log_length + length + 1);
    if (bigger == NULL) {
        give_up("harness: out of memory");
    }
    panicd->log = bigger;
    memcpy(panicd->log + panicd->log_length, text, length);
    panicd->log_length += length;
    panicd->log[panicd->log_length] = 0;
    pthread_cond_broadcast(&panicd->changed);
    pthread_mutex_unlock(&panicd->lock);
}

static void *drain(void *arg)
{
    struct panicd *panicd = arg;
    char piece[4096];
    ssize_t n;
    while ((n = read(panicd->log_fd, piece, sizeof(piece))) > 0) {
        append_log(panicd, piece, (size_t)n);
    }
    pthread_mutex_lock(&panicd->lock);
    panicd->log_ended = true;
    pthread_cond_broadcast(&panicd->changed);
    pthread_mutex_unlock(&panicd->lock);
    return NULL;
}

static void spawn(struct panicd *panicd)
{
    int fds[2];
    if (pipe(fds) != 0) {
        give_up("harness: pipe: %s", strerror(errno));
    }
    pid_t parent = getpid();
    panicd->pid = fork();
    if (panicd->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        if (chdir(panicd->folder) != 0) {
            _exit(1);
        }
        /* Unless the test says otherwise: tests run side by side. */
        setenv("PANICD_HTTP", "127.0.0.1:0", 0);
        execv(panicd->args[0], (char *const *)panicd->args);
        _exit(127);
    }
    close(fds[1]);
    panicd->log_fd = fds[0];
    panicd->log_length = 0;
    panicd->log_ended = false;
    if (pthread_create(&panicd->drainer, NULL, drain, panicd) != 0) {
        give_up("harness: pthread_create failed");
    }
}

/* Under lock. */
static bool has_text(const struct panicd *panicd, const char *text)
{
    return panicd->log_length > 0 && strstr(panicd->log, text) != NULL;
}

void panicd_wait_log(struct panicd *panicd, const char *text)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HARNESS_PATIENCE_US / US_PER_S;
    pthread_mutex_lock(&panicd->lock);
    int waited = 0;
    while (!has_text(panicd, text) && !panicd->log_ended && waited == 0) {
        waited = pthread_cond_timedwait(&panicd->changed, &panicd->lock, &until);
    }
    if (!has_text(panicd, text)) {
        give_up("harness: panicd did not log '%s'; its log:\n%s", text,
                panicd->log_length > 0 ? panicd->log : "");
    }
    pthread_mutex_unlock(&panicd->lock);
}

bool panicd_logged(struct panicd *panicd, const char *text)
{
    pthread_mutex_lock(&panicd->lock);
    bool logged = has_text(panicd, text);
    pthread_mutex_unlock(&panicd->lock);
    return logged;
}

/* The port that was really bound stands in the log; the first, if there are several. Under lock. */
static void read_url(const struct panicd *panicd, const char *start, char ret_url[64])
{
    const char *url = strstr(panicd->log, start);
    const char *end = url != NULL ? strchr(url + 7, '"') : NULL;
    ret_url[0] = 0;
    if (end != NULL) {
        snprintf(ret_url, 64, "%.*s", (int)(end - url - 7), url + 7);
    }
}

static void read_urls(struct panicd *panicd)
{
    pthread_mutex_lock(&panicd->lock);
    read_url(panicd, "\"url\":\"tcp://", panicd->tcp);
    read_url(panicd, "\"url\":\"http", panicd->http);
    pthread_mutex_unlock(&panicd->lock);
}

static void add_arg(struct panicd *panicd, const char *arg)
{
    if (panicd->n_args == ARGS_MAX - 1) {
        give_up("harness: too many options");
    }
    panicd->args[panicd->n_args++] = arg;
}

static void add_args(struct panicd *panicd, const char *const *args)
{
    for (; args != NULL && *args != NULL; args++) {
        add_arg(panicd, *args);
    }
}

static struct panicd *new_panicd(const char *program, const char *folder, bool own_folder)
{
    struct panicd *panicd = calloc(1, sizeof(*panicd));
    if (panicd == NULL) {
        give_up("harness: out of memory");
    }
    pthread_mutex_init(&panicd->lock, NULL);
    pthread_cond_init(&panicd->changed, NULL);
    panicd->own_folder = own_folder;
    snprintf(panicd->folder, sizeof(panicd->folder), "%s", folder);
    add_arg(panicd, program);
    return panicd;
}

static void make_folder(char *template)
{
    if (mkdtemp(template) == NULL) {
        give_up("harness: mkdtemp: %s", strerror(errno));
    }
}

static struct panicd *start(const char *folder, bool own_folder, const char *const *extra)
{
    struct panicd *panicd = new_panicd(harness_panicd_path, folder, own_folder);
    snprintf(panicd->ipc, sizeof(panicd->ipc), "ipc://%s/panicd.sock", folder);
    snprintf(panicd->store, sizeof(panicd->store), "sqlite:%s/panicd.db", folder);
    const char *const own[] = {"--listen", panicd->ipc,   "--listen", "tcp://127.0.0.1:0",
                               "--store",  panicd->store, NULL};
    add_args(panicd, own);
    add_args(panicd, extra);
    panicd_restart(panicd);
    return panicd;
}

struct panicd *panicd_start(const char *const *extra)
{
    char folder[] = "/tmp/panicd-test-XXXXXX";
    make_folder(folder);
    return start(folder, true, extra);
}

static struct panicd *start_program(const char *program, const char *const *options)
{
    char folder[] = "/tmp/panicd-test-XXXXXX";
    make_folder(folder);
    struct panicd *panicd = new_panicd(program, folder, true);
    add_args(panicd, options);
    panicd_restart(panicd);
    return panicd;
}

struct panicd *panicd_start_with(const char *const *options)
{
    return start_program(harness_panicd_path, options);
}

struct panicd *panicd_start_shim(const char *const *options)
{
    return start_program(harness_shim_path, options);
}

struct panicd *panicd_start_in(const char *folder, const char *const *extra)
{
    return start(folder, false, extra);
}

long long panicd_restart(struct panicd *panicd)
{
    int64_t begin_us = monotonic_us();
    spawn(panicd);
    panicd_wait_log(panicd, "\"event\":\"ready\"");
    int64_t ready_us = monotonic_us();
    read_urls(panicd);
    return ready_us - begin_us;
}

void panicd_signal(struct panicd *panicd, int number)
{
    kill(panicd->pid, number);
}

void panicd_pause(struct panicd *panicd)
{
    siginfo_t stopped;
    kill(panicd->pid, SIGSTOP);
    while (waitid(P_PID, (id_t)panicd->pid, &stopped, WSTOPPED | WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
}

int panicd_wait(struct panicd *panicd)
{
    int status = 0;
    while (waitpid(panicd->pid, &status, 0) < 0 && errno == EINTR) {
    }
    pthread_join(panicd->drainer, NULL);
    close(panicd->log_fd);
    panicd->pid = 0;
    /* Also of one that was killed, whose exit status would not tell. */
    if (has_text(panicd, "Sanitizer:") || has_text(panicd, "runtime error:")) {
        give_up("harness: a sanitizer found fault with panicd; its log:\n%s", panicd->log);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void panicd_kill(struct panicd *panicd)
{
    panicd_signal(panicd, SIGKILL);
    panicd_wait(panicd);
}

void panicd_forget(struct panicd *panicd)
{
    if (panicd->own_folder) {
        const char *const remove[] = {"/bin/rm", "-rf", panicd->folder, NULL};
        char output[256];
        harness_run(remove, output, sizeof(output));
    }
    pthread_mutex_destroy(&panicd->lock);
    pthread_cond_destroy(&panicd->changed);
    free(panicd->log);
    free(panicd);
}

void panicd_end(struct panicd *panicd)
{
    if (panicd == NULL) {
        return;
    }
    panicd_signal(panicd, SIGTERM);
    int status = panicd_wait(panicd);
    if (status != 0) {
        give_up("harness: panicd ended with %d; its log:\n%s", status, panicd->log);
    }
    panicd_forget(panicd);
}

const char *panicd_ipc(const struct panicd *panicd)
{
    return panicd->ipc;
}

const char *panicd_tcp(const struct panicd *panicd)
{
    return panicd->tcp;
}

const char *panicd_http(const struct panicd *panicd)
{
    return panicd->http;
}

const char *panicd_folder(const struct panicd *panicd)
{
    return panicd->folder;
}

pid_t panicd_pid(const struct panicd *panicd)
{
    return panicd->pid;
}

long panicd_resident_kib(const struct panicd *panicd)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)panicd->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        give_up("harness: %s: %s", path, strerror(errno));
    }
    char line[256];
    long kib = -1;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(file);
    return kib;
}

long long panicd_cpu_us(const struct panicd *panicd)
{
    clockid_t clock;
    struct timespec used;
    if (clock_getcpuclockid(panicd->pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        give_up("harness: the processor time of %d cannot be read", (int)panicd->pid);
    }
    return (long long)used.tv_sec * US_PER_S + used.tv_nsec / 1000;
}

int harness_run(const char *const *argv, char *output, size_t output_size)
{
    int fds[2];
    if (pipe(fds) != 0) {
        give_up("harness: pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(fds[1]);
    size_t length = 0;
    char rest[1024];
    for (;;) {
        bool full = length + 1 >= output_size;
        ssize_t n =
            full ? read(fds[0], rest, sizeof(rest)) : read(fds[0], output + length, output_size - 1 - length);
        if (n <= 0) {
            break;
        }
        length += full ? 0 : (size_t)n;
    }
    output[length] = 0;
    close(fds[0]);
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Below 32768, where Linux begins to choose from. */
unsigned harness_port(void)
{
    for (unsigned i = 0; i < 1000; i++) {
        unsigned port = 20000 + arc4random_uniform(10000);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        if (is_free) {
            return port;
        }
    }
    give_up("harness: no free port");
}

bool harness_long(void)
{
    const char *set = getenv("PANIC_TEST_LONG");
    return set != NULL && set[0] != 0;
}
