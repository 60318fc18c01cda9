/*
 * The requests that a load sends: one prepared message, copied for each call, in which only the id is written
 * anew; and the check of an answer, which looks at its first bytes and does not unpack it.
 *
 * The three kinds cost the same here: for the raw echo too an id is made, written and compared. So a ratio of
 * two loads compares servers.
 */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define FRAME_REQUEST_MAX 512

enum frame_kind { FRAME_RAW, FRAME_CREATE, FRAME_GET };

struct frame {
    enum frame_kind kind;
    uint8_t request[FRAME_REQUEST_MAX];
    size_t length;
    /* Where in the request the id stands. */
    size_t id_at;
    /* Of a raw echo's answer. */
    size_t answer_length;
};

/* For the methods of panicd. */
void frame_prepare(struct frame *frame, enum frame_kind kind);

/*
 * For the raw echo: as many bytes there and back. The first two tell the echo the length of its answer. False
 * when they do not hold an id, or are more than FRAME_REQUEST_MAX.
 */
MUST_USE bool frame_prepare_raw(struct frame *frame, size_t request_length, size_t answer_length);

/* The request for one id, 36 characters: `length` bytes. */
void frame_write(const struct frame *frame, const char *id, uint8_t *to);

/* Is this the answer to the request for `id`? OK, or the status that it carries; DATA_LOSS when it is none.
 */
enum status frame_check(const struct frame *frame, const uint8_t *answer, size_t length, const char *id);

#endif
