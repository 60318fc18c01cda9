/*
 * What is logged meanwhile: standard error goes into a file in memory, between a begin and an end.
 */
#ifndef SUPPORT_CAPTURED_LOG_H
#define SUPPORT_CAPTURED_LOG_H

#include <stddef.h>

#define CAPTURED_LOG_MAX (256 * 1024)

struct captured_log {
    int stderr_before;
    int file;
    char text[CAPTURED_LOG_MAX];
};

/* Ends the test program on failure. */
void captured_log_begin(struct captured_log *log);
/* Standard error is as before; `text` has what was logged. */
void captured_log_end(struct captured_log *log);

/* How many times the word occurs in it. */
size_t captured_log_count(const struct captured_log *log, const char *word);

#endif
