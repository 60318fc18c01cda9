#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN alignof(max_align_t)
#define BLOCK_MIN 8192

struct arena_block {
    struct arena_block *older;
    alignas(max_align_t) char data[];
};

void arena_init(struct arena *arena, void *first, size_t first_size, size_t used_max)
{
    assert((uintptr_t)first % ALIGN == 0);
    *arena = (struct arena){.first = first,
                            .first_size = first_size,
                            .next = first,
                            .end = first != NULL ? (char *)first + first_size : NULL,
                            .used_max = used_max};
}

void arena_reset(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->older;
        free(block);
    }
    arena_init(arena, arena->first, arena->first_size, arena->used_max);
}

static void *alloc_block(struct arena *arena, size_t size)
{
    size_t block_size = size > BLOCK_MIN ? size : BLOCK_MIN;
    struct arena_block *block = malloc(sizeof(*block) + block_size);
    if (block == NULL) {
        return NULL;
    }
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->data + size;
    arena->end = block->data + block_size;
    return block->data;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > arena->used_max - arena->used || size > SIZE_MAX / 2) {
        return NULL;
    }
    /* A piece of no bytes takes room too, so that its address is not NULL and its own. */
    size_t rounded = size > 0 ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    void *memory;
    if (rounded <= (size_t)(arena->end - arena->next)) {
        memory = arena->next;
        arena->next += rounded;
    } else {
        memory = alloc_block(arena, rounded);
    }
    if (memory != NULL) {
        arena->used = arena->used + rounded < arena->used_max ? arena->used + rounded : arena->used_max;
    }
    return memory;
}

void *arena_alloc_zero(struct arena *arena, size_t size)
{
    void *memory = arena_alloc(arena, size);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    char *copy = arena_alloc(arena, size + 1);
    if (copy == NULL) {
        return NULL;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    copy[size] = 0;
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length >= 0 ? arena_alloc(arena, (size_t)length + 1) : NULL;
    if (text != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    return text;
}
