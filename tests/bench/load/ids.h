/*
 * Ids of the benchmarks: version 7 UUIDs as text, made without libuuid so that a request costs the load
 * program next to nothing, on either side of a comparison.
 */
#ifndef BENCH_IDS_H
#define BENCH_IDS_H

#include <stdint.h>

/* Without the NUL. */
#define BENCH_ID_LENGTH 36

/* The id of panic `i` of a filled store: one for each millisecond from 2025 on, so they are in order. */
void bench_id_stored(uint64_t i, char *text);

/* A new one: the time as id_new_v7 has it, then `run` (one program's choice) and a number of its own. */
void bench_id_new(int64_t wall_ns, uint32_t run, uint32_t number, char *text);

#endif
