/*
 * One state for each place in the grammar, one byte at a time, but for the data itself. evhttp takes sizes
 * with a sign, with "0x" or blanks before them and anything behind a blank, lines that end in a line feed
 * alone, chunks without an end, and any rubbish as trailers; each of these a proxy in front may read
 * otherwise, as the end of the body for one, and then what the sender wrote inside a body is a request of its
 * own to one of the two.
 *
 * Stricter than the RFC, which leaves a recipient to pass over extensions and trailers: nobody needs them
 * here, and all of the lenience above sits in them.
 */
#include "shim/chunked.h"

/* More than any body that is taken needs, leading zeros included. */
#define DIGITS_MAX 8

static const struct refusal bad_size = {400, STATUS_INVALID_ARGUMENT,
                                        "a chunk's size is not hexadecimal digits and CRLF"};
static const struct refusal bad_end = {400, STATUS_INVALID_ARGUMENT,
                                       "a chunk is not as long as it says, or does not end with CRLF"};
static const struct refusal bad_trailer = {400, STATUS_INVALID_ARGUMENT,
                                           "something stands between the last chunk and the end of the body"};
static const struct refusal too_long = {413, STATUS_RESOURCE_EXHAUSTED,
                                        "the body is longer than this server takes"};

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static const struct refusal *take_size(struct chunked *chunked, char c, size_t body_max)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        chunked->left = chunked->left * 16 + (size_t)digit;
        chunked->n_digits++;
        return chunked->n_digits > DIGITS_MAX || chunked->left > body_max ? &too_long : NULL;
    }
    if (c != '\r' || chunked->n_digits == 0) {
        return &bad_size;
    }
    chunked->state = CHUNKED_SIZE_CR;
    return NULL;
}

static const struct refusal *take_mark(struct chunked *chunked, char c, char expected,
                                       enum chunked_state next, const struct refusal *otherwise)
{
    chunked->state = next;
    return c == expected ? NULL : otherwise;
}

static const struct refusal *take_one(struct chunked *chunked, char c, size_t body_max)
{
    switch (chunked->state) {
    case CHUNKED_SIZE:
        return take_size(chunked, c, body_max);
    case CHUNKED_SIZE_CR:
        chunked->n_digits = 0;
        return take_mark(chunked, c, '\n', chunked->left > 0 ? CHUNKED_DATA : CHUNKED_END_CR, &bad_size);
    case CHUNKED_DATA_CR:
        return take_mark(chunked, c, '\r', CHUNKED_DATA_LF, &bad_end);
    case CHUNKED_DATA_LF:
        return take_mark(chunked, c, '\n', CHUNKED_SIZE, &bad_end);
    case CHUNKED_END_CR:
        return take_mark(chunked, c, '\r', CHUNKED_END_LF, &bad_trailer);
    case CHUNKED_END_LF:
        return take_mark(chunked, c, '\n', CHUNKED_WHOLE, &bad_trailer);
    default:
        return NULL;
    }
}

const struct refusal *chunked_take(struct chunked *chunked, const char *data, size_t length, size_t body_max)
{
    const struct refusal *why = NULL;
    size_t at = 0;
    while (why == NULL && at < length && !chunked_is_whole(chunked)) {
        if (chunked->state == CHUNKED_DATA) {
            size_t piece = chunked->left < length - at ? chunked->left : length - at;
            chunked->left -= piece;
            at += piece;
            chunked->state = chunked->left > 0 ? CHUNKED_DATA : CHUNKED_DATA_CR;
        } else {
            why = take_one(chunked, data[at++], body_max);
        }
    }
    chunked->taken += at;
    return why == NULL && chunked->taken > body_max ? &too_long : why;
}
