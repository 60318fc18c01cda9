/*
 * What libbench_malloc.so leaves in its file: calls of malloc and its kin by the object that they came from.
 */
#ifndef BENCH_MALLOC_COUNTS_H
#define BENCH_MALLOC_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#define MALLOC_OBJECTS_MAX 64
#define MALLOC_NAME_MAX 56

struct malloc_counts {
    /* Objects known; behind them stands one more, for calls from anywhere else. */
    uint64_t n;
    struct {
        /* The file's name without its folder; "program" for the program itself. */
        char name[MALLOC_NAME_MAX];
        _Atomic uint64_t calls;
    } objects[MALLOC_OBJECTS_MAX];
};

#endif
