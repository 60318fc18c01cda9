/*
 * The head of a request (RFC 9112), looked at before evhttp reads it. Not a parser: it finds the end, and
 * refuses whatever evhttp and a proxy in front of it could read in two ways, or evhttp would take and should
 * not. What it passes, evhttp parses.
 */
#ifndef SHIM_HEAD_H
#define SHIM_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Why a request is not taken, as it is told to the client; then the connection is closed. Static storage. */
struct refusal {
    int http_status;
    enum status status;
    const char *text;
};

struct head {
    bool is_chunked;
    /* Of a body that is not chunked. */
    uint64_t body_length;
};

/*
 * Bytes up to and with the empty line; 0 when it is not there yet. *scanned, 0 at first, saves looking at the
 * same bytes again when there are more of them.
 */
size_t head_length(const char *data, size_t length, size_t *scanned);

/* NULL when the head may pass: *ret_head is set. `length` is what head_length() returned. */
const struct refusal *head_check(const char *data, size_t length, size_t body_max, struct head *ret_head);

#endif
