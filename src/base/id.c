/*
 * Random bits come from the kernel many ids at a time, into a buffer of each thread: libuuid's own generator
 * stirs its seed with a dozen system calls for every id. Nothing here forks, so no buffer is ever used twice.
 */
#include "base/id.h"

#include <sys/random.h>
#include <uuid/uuid.h>

#include "base/clock.h"

/* Up to this size getrandom() is all or nothing, and no signal interrupts it (getrandom(2)). */
#define RANDOM_SIZE 256

static struct id random_id(void)
{
    static _Thread_local struct id ids[RANDOM_SIZE / sizeof(struct id)];
    static _Thread_local size_t left;
    struct id id;
    if (left == 0 && getrandom(ids, sizeof(ids), 0) == (ssize_t)sizeof(ids)) {
        left = sizeof(ids) / sizeof(ids[0]);
    }
    if (left > 0) {
        return ids[--left];
    }
    uuid_generate_random(id.bytes);
    return id;
}

struct id id_new_v7(int64_t wall_us)
{
    struct id id = random_id();
    if (wall_us < 0) {
        /* A clock before 1970 must not spill into the bits of the version. */
        wall_us = 0;
    }
    uint64_t ms = (uint64_t)(wall_us / US_PER_MS);
    unsigned fraction = (unsigned)(wall_us % US_PER_MS) * 4096 / 1000;
    for (int i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    id.bytes[6] = (uint8_t)(0x70 | fraction >> 8);
    id.bytes[7] = (uint8_t)fraction;
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3F));
    return id;
}

enum status id_parse(const char *text, struct id *ret_id)
{
    struct id id;
    if (strlen(text) != ID_TEXT_SIZE - 1 || uuid_parse(text, id.bytes) != 0 || id_is_nil(&id)) {
        return STATUS_INVALID_ARGUMENT;
    }
    *ret_id = id;
    return STATUS_OK;
}

const char *id_format(const struct id *id, char text[ID_TEXT_SIZE])
{
    uuid_unparse_lower(id->bytes, text);
    return text;
}
