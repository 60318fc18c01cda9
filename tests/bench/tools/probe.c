/*
 * bench_probe: what the machine itself costs.
 *
 *     bench_probe fdatasync FOLDER N     N times 4 KiB appended to a file there and synced; µs as JSON
 *     bench_probe cpu PID                CPU time of a process so far, µs
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define NS_PER_S 1000000000LL
#define SYNCS_MAX 100000

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench_probe: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
    }
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    check(clock_gettime(clock, &now) == 0, "clock");
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t append_and_sync(int file, const char *block)
{
    int64_t begin_ns = now_ns(CLOCK_MONOTONIC);
    check(write(file, block, BLOCK) == BLOCK, "write");
    check(fdatasync(file) == 0, "fdatasync");
    return now_ns(CLOCK_MONOTONIC) - begin_ns;
}

static double quantile_us(const int64_t *sorted_ns, long n, long percent)
{
    long i = n * percent / 100;
    return (double)sorted_ns[i < n ? i : n - 1] / 1000;
}

static int measure_syncs(const char *folder, long n)
{
    static int64_t took_ns[SYNCS_MAX];
    static const char block[BLOCK];
    check(n > 0 && n <= SYNCS_MAX, "N");
    check(chdir(folder) == 0, folder);
    int file = open("fdatasync.probe", O_CREAT | O_WRONLY | O_APPEND | O_EXCL, 0600);
    check(file >= 0, folder);
    for (long i = 0; i < n; i++) {
        took_ns[i] = append_and_sync(file, block);
    }
    close(file);
    check(unlink("fdatasync.probe") == 0, "unlink");
    qsort(took_ns, (size_t)n, sizeof(took_ns[0]), compare);
    printf("{\"n\":%ld,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", n, quantile_us(took_ns, n, 50),
           quantile_us(took_ns, n, 99), quantile_us(took_ns, n, 100));
    return EXIT_SUCCESS;
}

static int print_cpu(long pid)
{
    clockid_t clock;
    errno = clock_getcpuclockid((pid_t)pid, &clock);
    check(errno == 0, "process");
    printf("%lld\n", (long long)(now_ns(clock) / 1000));
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "fdatasync") == 0) {
        return measure_syncs(argv[2], strtol(argv[3], NULL, 10));
    }
    if (argc == 3 && strcmp(argv[1], "cpu") == 0) {
        return print_cpu(strtol(argv[2], NULL, 10));
    }
    fprintf(stderr, "Usage: bench_probe fdatasync FOLDER N\n       bench_probe cpu PID\n");
    return 64;
}
