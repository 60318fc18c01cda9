/*
 * Arena: memory that is given out piece by piece and taken back all at once. Everything that lives as long as
 * an RPC call lives in the call's arena.
 *
 * The first piece of memory is the caller's (usually part of a preallocated call), so that an ordinary call
 * needs no malloc; what does not fit comes from blocks that the arena allocates, up to a cap. Not
 * thread-safe: one owner at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    char *first;
    size_t first_size;
    /* Free memory of the block in use. */
    char *next;
    char *end;
    /* Blocks beyond the first, newest first. Owned. */
    struct arena_block *blocks;
    /* Bytes in use and the most that may be. */
    size_t used;
    size_t used_max;
};

/* `first` may be NULL with size 0. It must outlive the arena and be aligned for any type. */
void arena_init(struct arena *arena, void *first, size_t first_size, size_t used_max);

/* Takes everything back; the arena is as after arena_init. */
void arena_reset(struct arena *arena);

/* `size` bytes aligned for any type, not cleared; NULL when the cap is reached or memory is short. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, cleared. */
void *arena_alloc_zero(struct arena *arena, size_t size);

/* A copy of `size` bytes, with a NUL behind; NULL as above. */
void *arena_copy(struct arena *arena, const void *data, size_t size);

/* A formatted string; NULL as above. */
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
