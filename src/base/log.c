#include "base/log.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static _Atomic int threshold = LOG_INFO;

/* Room that is kept free for what closes a cut line. */
#define TAIL_ROOM 32
/* How long a line may wait for a slow reader. */
#define PATIENCE_MS 100

struct line {
    char text[LOG_LINE_MAX];
    size_t length;
    bool cut;
};

static void put(struct line *line, const char *text, size_t length)
{
    if (line->cut || line->length + length > sizeof(line->text) - TAIL_ROOM) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* The field that did not fit is taken back whole, so that the line stays valid JSON. */
static void put_string(struct line *line, const char *text)
{
    put_text(line, "\"");
    const unsigned char *s = (const unsigned char *)text;
    while (*s != 0 && !line->cut) {
        size_t length = utf8_sequence((const char *)s, strnlen((const char *)s, 4));
        char escape[8];
        if (length == 0) {
            put_text(line, "\\ufffd");
            s++;
        } else if (*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7F) {
            snprintf(escape, sizeof(escape), "\\u%04x", *s);
            put_text(line, escape);
            s++;
        } else {
            put(line, (const char *)s, length);
            s += length;
        }
    }
    put_text(line, "\"");
}

static void put_field(struct line *line, const struct log_field *field)
{
    size_t before = line->length;
    put_text(line, ",");
    put_string(line, field->name);
    put_text(line, ":");
    if (field->text != NULL) {
        put_string(line, field->text);
    } else {
        char number[24];
        snprintf(number, sizeof(number), "%lld", (long long)field->number);
        put_text(line, number);
    }
    if (line->cut) {
        line->length = before;
    }
}

static void put_head(struct line *line, enum log_level level, const char *event)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char stamp[64];
    size_t length = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + length, sizeof(stamp) - length, ".%06ldZ", now.tv_nsec / 1000);
    put_text(line, "{\"ts\":");
    put_string(line, stamp);
    put_text(line, ",\"level\":");
    put_string(line, level_names[level]);
    put_text(line, ",\"event\":");
    put_string(line, event);
    if (line->cut) {
        /* The event cannot be taken back whole like a field; it ends where it was cut. */
        line->text[line->length++] = '"';
    }
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum status log_level_parse(const char *text, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID_ARGUMENT;
}

/* Lines that nobody was told of because there was no room. */
static _Atomic int64_t dropped;

/*
 * Is there room for a line? A reader that is slow is waited for a little; one that has stopped is not: its
 * lines are dropped and counted, for a log that blocks would stop the service. A pipe that is writable takes
 * a line whole (it is shorter than PIPE_BUF).
 */
static bool has_room(void)
{
    int patience_ms = atomic_load(&dropped) == 0 ? PATIENCE_MS : 0;
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    return poll(&fd, 1, patience_ms) == 1 && (fd.revents & POLLOUT) != 0;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n_fields)
{
    if ((int)level < atomic_load_explicit(&threshold, memory_order_relaxed)) {
        return;
    }
    if (!has_room()) {
        atomic_fetch_add(&dropped, 1);
        return;
    }
    struct line line = {.length = 0};
    put_head(&line, level, event);
    int64_t missing = atomic_exchange(&dropped, 0);
    if (missing > 0) {
        const struct log_field field = log_int("dropped_before", missing);
        put_field(&line, &field);
    }
    for (size_t i = 1; i < n_fields && !line.cut; i++) {
        put_field(&line, &fields[i]);
    }
    const char *tail = line.cut ? ",\"cut\":true}\n" : "}\n";
    memcpy(line.text + line.length, tail, strlen(tail));
    line.length += strlen(tail);
    /* A closed standard error must not stop the service either. */
    ssize_t written = write(STDERR_FILENO, line.text, line.length);
    (void)written;
}
