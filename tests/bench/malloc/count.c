/*
 * Counts who calls malloc: preloaded into a process, it stands before malloc, calloc, realloc, aligned_alloc
 * and posix_memalign, and counts each call for the object (program or library) that the call came from.
 * Called from a library on somebody's behalf (strdup, say) it counts for the library.
 *
 *     LD_PRELOAD=libbench_malloc.so BENCH_MALLOC_FILE=FILE program
 *
 * The counts stand in FILE, shared memory that is read while the program runs (struct malloc_counts), so that
 * what one phase of it calls is the difference of two readings.
 *
 * Not counted: what is called before the constructor below has run. Objects loaded later count as "other".
 *
 * The real functions are glibc's under their other names (__libc_malloc and so on), which need no look-up and
 * so can be called from the very first moment.
 */
#include "bench/malloc/counts.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

struct range {
    uintptr_t begin;
    uintptr_t end;
};

/* Written by the constructor, before there are threads; then only read. */
static struct range ranges[MALLOC_OBJECTS_MAX];
static struct malloc_counts *counts;

static void count(const void *caller)
{
    if (counts == NULL) {
        return;
    }
    uintptr_t at = (uintptr_t)caller;
    size_t i = 0;
    while (i < counts->n && (at < ranges[i].begin || at >= ranges[i].end)) {
        i++;
    }
    /* The entry behind the last object is "other". */
    atomic_fetch_add_explicit(&counts->objects[i].calls, 1, memory_order_relaxed);
}

static int add_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct malloc_counts *made = arg;
    /* One entry is left for "other". */
    if (made->n + 1 == MALLOC_OBJECTS_MAX) {
        return 1;
    }
    struct range *range = &ranges[made->n];
    *range = (struct range){.begin = UINTPTR_MAX};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            uintptr_t begin = info->dlpi_addr + part->p_vaddr;
            range->begin = begin < range->begin ? begin : range->begin;
            range->end = begin + part->p_memsz > range->end ? begin + part->p_memsz : range->end;
        }
    }
    const char *path = made->n == 0 ? "program" : info->dlpi_name;
    const char *slash = strrchr(path, '/');
    snprintf(made->objects[made->n].name, MALLOC_NAME_MAX, "%s", slash != NULL ? slash + 1 : path);
    made->n++;
    return 0;
}

__attribute__((constructor)) static void begin_counting(void)
{
    const char *path = getenv("BENCH_MALLOC_FILE");
    int file = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || ftruncate(file, sizeof(*counts)) != 0) {
        return;
    }
    struct malloc_counts *made = mmap(NULL, sizeof(*made), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (made == MAP_FAILED) {
        return;
    }
    dl_iterate_phdr(add_object, made);
    snprintf(made->objects[made->n].name, MALLOC_NAME_MAX, "other");
    counts = made;
}

void *malloc(size_t size)
{
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    count(__builtin_return_address(0));
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) {
        return ENOMEM;
    }
    *ret_memory = memory;
    return 0;
}
