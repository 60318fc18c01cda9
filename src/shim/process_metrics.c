/*
 * Read from /proc (proc(5)). Counting the open files is the one thing here whose time grows with the number
 * of connections, some milliseconds for ten thousand, on kernels before 6.2, which do not tell it as the size
 * of /proc/self/fd; and a page can be asked for at any rate. So a sample is at most a second old when it is
 * made anew, by one thread; the others show the last one and do not wait.
 */
#include "shim/process_metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "shim/exposition.h"

#define SAMPLE_FOR_US US_PER_S

/* Fields of /proc/self/stat, counted from the one behind the program's name, which is the third. */
enum { FIELD_UTIME = 11, FIELD_STIME = 12, FIELD_THREADS = 17, FIELD_START = 19, FIELD_VSIZE, FIELD_RSS };
#define FIELDS (FIELD_RSS + 1)

static bool read_fields(uint64_t ret_fields[FIELDS])
{
    char text[1024];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (length <= 0) {
        return false;
    }
    text[length] = 0;
    /* The name may hold anything, but the last parenthesis is behind it. */
    const char *at = strrchr(text, ')');
    if (at == NULL || strlen(at) < 4) {
        return false;
    }
    at += 3;
    for (int i = 1; i < FIELDS; i++) {
        at += strcspn(at, " ");
        char *end;
        ret_fields[i] = strtoull(at, &end, 10);
        if (end == at) {
            return false;
        }
        at = end;
    }
    return true;
}

static uint64_t ticks_us(uint64_t ticks)
{
    return ticks * US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

static int64_t clock_us(clockid_t id)
{
    struct timespec now = {0};
    clock_gettime(id, &now);
    return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static uint64_t count_open_fds(void)
{
    struct stat info;
    if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0) {
        return (uint64_t)info.st_size;
    }
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return 0;
    }
    uint64_t n = 0;
    const struct dirent *entry;
    /* Of a stream of its own. */
    while ((entry = readdir(folder)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(folder);
    /* Without the one that this took. */
    return n - 1;
}

static struct process_sample take_sample(void)
{
    struct process_sample sample = {.open_fds = count_open_fds()};
    uint64_t fields[FIELDS];
    if (read_fields(fields)) {
        sample.cpu_us = ticks_us(fields[FIELD_UTIME] + fields[FIELD_STIME]);
        sample.threads = fields[FIELD_THREADS];
        sample.virtual_bytes = fields[FIELD_VSIZE];
        sample.resident_bytes = fields[FIELD_RSS] * (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return sample;
}

void process_metrics_init(struct process_metrics *process)
{
    uint64_t fields[FIELDS];
    pthread_mutex_init(&process->lock, NULL);
    process->start_us = clock_us(CLOCK_REALTIME);
    if (read_fields(fields)) {
        process->start_us -= clock_us(CLOCK_BOOTTIME) - (int64_t)ticks_us(fields[FIELD_START]);
    }
    process->sample = take_sample();
    process->sampled_at_us = monotonic_us();
}

void process_metrics_release(struct process_metrics *process)
{
    pthread_mutex_destroy(&process->lock);
}

static struct process_sample current_sample(struct process_metrics *process)
{
    pthread_mutex_lock(&process->lock);
    bool is_old = monotonic_us() - process->sampled_at_us >= SAMPLE_FOR_US;
    struct process_sample sample = process->sample;
    if (is_old) {
        process->sampled_at_us = monotonic_us();
    }
    pthread_mutex_unlock(&process->lock);
    if (!is_old) {
        return sample;
    }
    sample = take_sample();
    pthread_mutex_lock(&process->lock);
    process->sample = sample;
    pthread_mutex_unlock(&process->lock);
    return sample;
}

void process_metrics_write(struct process_metrics *process, FILE *page)
{
    struct process_sample sample = current_sample(process);
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    exposition_seconds(page, "process_cpu_seconds_total", "counter", "User and system time spent.",
                       sample.cpu_us);
    exposition_gauge(page, "process_threads", "Threads.", sample.threads);
    exposition_gauge(page, "process_open_fds", "Open file descriptors.", sample.open_fds);
    exposition_gauge(page, "process_max_fds", "File descriptors that may be open.", files.rlim_cur);
    exposition_gauge(page, "process_virtual_memory_bytes", "Virtual memory.", sample.virtual_bytes);
    exposition_gauge(page, "process_resident_memory_bytes", "Resident memory.", sample.resident_bytes);
    exposition_seconds(page, "process_start_time_seconds", "gauge",
                       "When the process was started, since 1970-01-01 UTC.", (uint64_t)process->start_us);
}
