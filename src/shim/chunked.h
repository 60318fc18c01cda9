/*
 * A body in chunks (RFC 9112, section 7.1), looked at before evhttp reads it: where it ends, and whether
 * everybody who read it on the way must have read it in the same way.
 */
#ifndef SHIM_CHUNKED_H
#define SHIM_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>

#include "shim/head.h"

enum chunked_state {
    CHUNKED_SIZE,
    CHUNKED_SIZE_CR,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_END_CR,
    CHUNKED_END_LF,
    CHUNKED_WHOLE,
};

/* All zeros at the beginning. */
struct chunked {
    enum chunked_state state;
    unsigned n_digits;
    /* Of the chunk's data: still to come. */
    size_t left;
    /* In all, with what is around the data. */
    size_t taken;
};

/*
 * Takes the bytes that follow those taken before, up to the end of the body; what stands behind it is not
 * looked at. Returns why the body is refused; NULL otherwise, and then chunked_is_whole() says whether the
 * end was among them. Not to be called again after either.
 */
const struct refusal *chunked_take(struct chunked *chunked, const char *data, size_t length, size_t body_max);

static inline bool chunked_is_whole(const struct chunked *chunked)
{
    return chunked->state == CHUNKED_WHOLE;
}

#endif
