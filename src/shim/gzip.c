/*
 * zlib's memory comes from the caller's arena and goes with it, so that there is nothing to free and the cap
 * of the arena bounds it too (about 45 KB to inflate, 70 KB to deflate with this window and this level).
 *
 * Inflating stops at the first byte above the bound: a bomb, a megabyte of zeros in a kilobyte, costs no more
 * than the bound. A second member behind the first, which RFC 1952 allows and no HTTP client sends, is
 * refused like all that stands behind the end: whoever reads only the first would read another request than
 * we do.
 */
#include "shim/gzip.h"

/* zlib takes what it reads as const only then. */
#define ZLIB_CONST
#include <limits.h>
#include <zlib.h>

/* zlib: +16 = with gzip's head and checksum, and nothing else. */
#define ANY_WINDOW (15 + 16)
/* 8 KiB back is enough for JSON, which repeats its keys, and a quarter of the memory of the largest. */
#define OUR_WINDOW (13 + 16)
#define OUR_MEMORY 6
#define OUR_LEVEL 3

static voidpf take(voidpf arena, uInt n, uInt size)
{
    return size == 0 || n <= UINT_MAX / size ? arena_alloc(arena, (size_t)n * size) : NULL;
}

static void keep(voidpf arena, voidpf memory)
{
    (void)arena;
    (void)memory;
}

static z_stream stream_in(struct arena *arena, const char *data, size_t length)
{
    return (z_stream){.zalloc = take,
                      .zfree = keep,
                      .opaque = arena,
                      .next_in = (const Bytef *)data,
                      .avail_in = (uInt)length};
}

static enum status fail_memory(struct diag *diag)
{
    return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "gzip: needs more memory than a call may use");
}

static enum status judge(int error, const z_stream *stream, size_t max, struct diag *diag)
{
    if (error == Z_MEM_ERROR) {
        return fail_memory(diag);
    }
    if (error == Z_DATA_ERROR || error == Z_NEED_DICT) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "gzip: %s",
                         stream->msg != NULL ? stream->msg : "not valid");
    }
    if (stream->avail_out == 0) {
        return diag_fail(diag, STATUS_OUT_OF_RANGE, "gzip: longer than %zu bytes when unpacked", max);
    }
    if (error != Z_STREAM_END) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "gzip: ends too early");
    }
    if (stream->avail_in > 0) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "gzip: something stands behind its end");
    }
    return STATUS_OK;
}

enum status gzip_inflate(const char *data, size_t length, size_t max, struct arena *arena,
                         struct arena *scratch, const char **ret_content, size_t *ret_length,
                         struct diag *diag)
{
    z_stream stream = stream_in(scratch, data, length);
    /* One byte more than may be: with that in use, the bound is passed. */
    char *content = arena_alloc(arena, max + 1);
    if (content == NULL || inflateInit2(&stream, ANY_WINDOW) != Z_OK) {
        return fail_memory(diag);
    }
    stream.next_out = (Bytef *)content;
    stream.avail_out = (uInt)max + 1;
    int error = inflate(&stream, Z_FINISH);
    enum status status = judge(error, &stream, max, diag);
    if (status == STATUS_OK) {
        content[stream.total_out] = 0;
        *ret_content = content;
        *ret_length = stream.total_out;
    }
    return status;
}

enum status gzip_deflate(const char *data, size_t length, struct arena *arena, const char **ret_content,
                         size_t *ret_length)
{
    z_stream stream = stream_in(arena, data, length);
    if (deflateInit2(&stream, OUR_LEVEL, Z_DEFLATED, OUR_WINDOW, OUR_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    size_t capacity = deflateBound(&stream, length);
    char *content = arena_alloc(arena, capacity);
    if (content == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    stream.next_out = (Bytef *)content;
    stream.avail_out = (uInt)capacity;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *ret_content = content;
    *ret_length = stream.total_out;
    return STATUS_OK;
}
