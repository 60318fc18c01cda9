#include "bench/load/ids.h"

#define NS_PER_MS 1000000

static char *put_hex(char *at, uint64_t value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        *at++ = "0123456789abcdef"[value >> 4 * i & 0xF];
    }
    return at;
}

/* `fraction` are 12 bits, `tail` are 62. */
static void put_id(char *text, uint64_t ms, unsigned fraction, uint64_t tail)
{
    tail = (tail & 0x3FFFFFFFFFFFFFFF) | 0x8000000000000000;
    char *at = put_hex(text, ms >> 16, 8);
    *at++ = '-';
    at = put_hex(at, ms & 0xFFFF, 4);
    *at++ = '-';
    at = put_hex(at, 0x7000 | fraction, 4);
    *at++ = '-';
    at = put_hex(at, tail >> 48, 4);
    *at++ = '-';
    put_hex(at, tail & 0xFFFFFFFFFFFF, 12);
}

void bench_id_stored(uint64_t i, char *text)
{
    const uint64_t begin_ms = 1735689600000;
    put_id(text, begin_ms + i, 0, i);
}

void bench_id_new(int64_t wall_ns, uint32_t run, uint32_t number, char *text)
{
    uint64_t ns = (uint64_t)wall_ns;
    put_id(text, ns / NS_PER_MS, (unsigned)(ns % NS_PER_MS * 4096 / NS_PER_MS), (uint64_t)run << 32 | number);
}
