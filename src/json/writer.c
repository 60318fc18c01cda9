/*
 * The text grows in the arena by doubling. What it grew out of stays behind in the arena until the call ends:
 * at most as much again as the text.
 */
#include "json/writer.h"

#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

#define SIZE_FIRST 512
#define REPLACEMENT "\xEF\xBF\xBD"

void writer_init(struct writer *writer, struct arena *arena, bool pretty)
{
    *writer = (struct writer){.arena = arena, .pretty = pretty, .is_first = true};
}

void writer_fail(struct writer *writer, enum status status)
{
    if (writer->status == STATUS_OK) {
        writer->status = status;
    }
}

static bool grow(struct writer *writer, size_t needed)
{
    size_t size = writer->size > 0 ? writer->size : SIZE_FIRST;
    while (size < needed && size <= SIZE_MAX / 2) {
        size *= 2;
    }
    char *text = size >= needed ? arena_alloc(writer->arena, size) : NULL;
    if (text == NULL) {
        writer_fail(writer, STATUS_RESOURCE_EXHAUSTED);
        return false;
    }
    if (writer->length > 0) {
        memcpy(text, writer->text, writer->length);
    }
    writer->text = text;
    writer->size = size;
    return true;
}

char *writer_reserve(struct writer *writer, size_t size)
{
    if (writer->status != STATUS_OK) {
        return NULL;
    }
    if (size > writer->size - writer->length && !grow(writer, writer->length + size)) {
        return NULL;
    }
    return writer->text + writer->length;
}

void writer_raw(struct writer *writer, const char *text, size_t length)
{
    char *room = writer_reserve(writer, length);
    if (room != NULL && length > 0) {
        memcpy(room, text, length);
        writer->length += length;
    }
}

static void write_char(struct writer *writer, char c)
{
    writer_raw(writer, &c, 1);
}

static void break_line(struct writer *writer)
{
    if (!writer->pretty) {
        return;
    }
    write_char(writer, '\n');
    for (unsigned i = 0; i < writer->depth; i++) {
        writer_raw(writer, "  ", 2);
    }
}

void writer_open(struct writer *writer, char bracket)
{
    if (writer->depth == WRITER_DEPTH_MAX) {
        writer_fail(writer, STATUS_INVALID_ARGUMENT);
    }
    writer->depth++;
    write_char(writer, bracket);
    writer->is_first = true;
}

void writer_close(struct writer *writer, char bracket)
{
    writer->depth--;
    if (!writer->is_first) {
        break_line(writer);
    }
    write_char(writer, bracket);
    writer->is_first = false;
}

void writer_element(struct writer *writer)
{
    if (!writer->is_first) {
        write_char(writer, ',');
    }
    writer->is_first = false;
    break_line(writer);
}

void writer_key(struct writer *writer, const char *key, size_t length)
{
    writer_element(writer);
    writer_string(writer, key, length);
    writer_raw(writer, ": ", writer->pretty ? 2 : 1);
}

static void write_escape(struct writer *writer, unsigned char c)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if ((unsigned char)short_forms[i] == c) {
            writer_raw(writer, (const char[]){'\\', short_forms[i + 1]}, 2);
            return;
        }
    }
    static const char hex[] = "0123456789abcdef";
    writer_raw(writer, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

void writer_string(struct writer *writer, const char *text, size_t length)
{
    write_char(writer, '"');
    size_t plain = 0; /* where the bytes begin that are still to be written as they are */
    size_t i = 0;
    while (i < length) {
        unsigned char c = (unsigned char)text[i];
        size_t n = c < 0x80 ? 1 : utf8_sequence(text + i, length - i);
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\') {
            i += n;
            continue;
        }
        writer_raw(writer, text + plain, i - plain);
        if (n == 0) {
            writer_raw(writer, REPLACEMENT, sizeof(REPLACEMENT) - 1);
        } else {
            write_escape(writer, c);
        }
        plain = ++i;
    }
    writer_raw(writer, text + plain, length - plain);
    write_char(writer, '"');
}
