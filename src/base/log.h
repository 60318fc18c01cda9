/*
 * The log: JSON lines on standard error, one write(2) a line, so that lines of several threads never mix.
 *
 *     log_info("listening", log_str("url", url), log_int("contexts", n));
 *  →  {"ts":"2026-01-31T12:00:00.000000Z","level":"info","event":"listening","url":"tcp://…","contexts":64}
 *
 * Values are escaped (control bytes, quotes, what is not UTF-8). A line longer than LOG_LINE_MAX ends early,
 * still valid JSON, with "cut":true. Locations, keys, PINs and tokens are never logged. Any thread; never
 * blocks on a lock.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define LOG_LINE_MAX 2048

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *name;
    /* NULL: `number` is the value. */
    const char *text;
    int64_t number;
};

static inline struct log_field log_str(const char *name, const char *text)
{
    return (struct log_field){.name = name, .text = text != NULL ? text : ""};
}

static inline struct log_field log_int(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .number = number};
}

#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) LOG_AT(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, ##__VA_ARGS__)

#define LOG_AT(level, event, ...)                                                                            \
    log_write((level), (event), (const struct log_field[]){{0}, ##__VA_ARGS__},                              \
              sizeof((const struct log_field[]){{0}, ##__VA_ARGS__}) / sizeof(struct log_field))

/* Lines below this level are not written. LOG_INFO until set. */
void log_set_level(enum log_level level);

/* "debug", "info", "warn" or "error". */
MUST_USE enum status log_level_parse(const char *text, enum log_level *ret_level);

/* Behind the macros: fields[0] is not used. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields);

#endif
