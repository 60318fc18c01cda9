/*
 * A stopped thread is a debugger's tracee; a debugger may be a process's parent, which the test is, without
 * any privilege. It stops at once, also within a system call, which is taken up again when it goes on. Its
 * process cannot be waited for before the tracer has seen the end of the thread.
 */
#include "harness/hold.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "harness/test.h"

static bool has_name(const char *folder, const char *thread, const char *name)
{
    char path[400];
    char line[64] = "";
    snprintf(path, sizeof(path), "%s/%s/comm", folder, thread);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    bool read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return read && strcmp(line, name) == 0;
}

static pid_t find_thread(pid_t pid, const char *name)
{
    char folder[64];
    snprintf(folder, sizeof(folder), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(folder);
    assert_non_null(threads);
    pid_t found = 0;
    for (const struct dirent *entry = readdir(threads); entry != NULL && found == 0;
         entry = readdir(threads)) {
        found = has_name(folder, entry->d_name, name) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
    }
    closedir(threads);
    return found;
}

pid_t hold_thread(const struct panicd *panicd, const char *name)
{
    pid_t thread = find_thread(panicd_pid(panicd), name);
    if (thread == 0) {
        fail_msg("panicd has no thread \"%s\"", name);
    }
    int status = 0;
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) != 0 ||
        waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status)) {
        fail_msg("thread \"%s\" cannot be stopped: %s", name, strerror(errno));
    }
    return thread;
}

void hold_let_go(pid_t thread)
{
    assert_int_equal(ptrace(PTRACE_DETACH, thread, NULL, NULL), 0);
}

void hold_wait_end(pid_t thread)
{
    int status = 0;
    assert_int_equal(waitpid(thread, &status, __WALL), thread);
    assert_false(WIFSTOPPED(status));
}
