#include "support/captured_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void expect(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        abort();
    }
}

void captured_log_begin(struct captured_log *log)
{
    log->stderr_before = dup(STDERR_FILENO);
    expect(log->stderr_before, "dup");
    log->file = memfd_create("log", MFD_CLOEXEC);
    expect(log->file, "memfd_create");
    expect(dup2(log->file, STDERR_FILENO), "dup2");
}

void captured_log_end(struct captured_log *log)
{
    expect(dup2(log->stderr_before, STDERR_FILENO), "dup2");
    close(log->stderr_before);
    ssize_t length = pread(log->file, log->text, sizeof(log->text) - 1, 0);
    expect((int)length, "pread");
    log->text[length] = 0;
    close(log->file);
}

size_t captured_log_count(const struct captured_log *log, const char *word)
{
    size_t n = 0;
    for (const char *at = log->text; (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}
