#include "shim/trace.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* version "-" trace id "-" parent id "-" flags, all in lower-case hexadecimal. */
enum { TRACE_AT = 3, TRACE_DIGITS = 32, PARENT_AT = 36, PARENT_DIGITS = 16, FLAGS_AT = 53, LENGTH = 55 };

void trace_ids_init(struct trace_ids *ids)
{
    arc4random_buf(&ids->state, sizeof(ids->state));
}

/* Never 0, which stands for "no id". */
static uint64_t next_id(struct trace_ids *ids)
{
    uint64_t value;
    do {
        ids->state += 0x9E3779B97F4A7C15U;
        value = ids->state;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
        value ^= value >> 31;
    } while (value == 0);
    return value;
}

static bool is_id(const char *text, size_t digits)
{
    return strspn(text, "0123456789abcdef") >= digits && strspn(text, "0") < digits;
}

static bool is_valid(const char *text)
{
    size_t length = strlen(text);
    if (length < LENGTH || text[2] != '-' || text[PARENT_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
        return false;
    }
    /* A later version may have more behind; 00 has not, and ff is none. */
    bool is_00 = memcmp(text, "00", 2) == 0;
    bool has_end = length == LENGTH || (!is_00 && text[LENGTH] == '-');
    return has_end && memcmp(text, "ff", 2) != 0 && strspn(text, "0123456789abcdef") == 2 &&
           is_id(text + TRACE_AT, TRACE_DIGITS) && is_id(text + PARENT_AT, PARENT_DIGITS) &&
           strspn(text + FLAGS_AT, "0123456789abcdef") >= 2;
}

void trace_continue(struct trace_ids *ids, const char *traceparent, char ret_text[TRACEPARENT_SIZE])
{
    if (traceparent == NULL) {
        ret_text[0] = 0;
    } else if (is_valid(traceparent)) {
        snprintf(ret_text, TRACEPARENT_SIZE, "00-%.32s-%016" PRIx64 "-%.2s", traceparent + TRACE_AT,
                 next_id(ids), traceparent + FLAGS_AT);
    } else {
        snprintf(ret_text, TRACEPARENT_SIZE, "00-%016" PRIx64 "%016" PRIx64 "-%016" PRIx64 "-00",
                 next_id(ids), next_id(ids), next_id(ids));
    }
}
