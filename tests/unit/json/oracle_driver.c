/*
 * For oracle.py: reads a document a line, writes a line for each:
 *     ok TAB the message's bytes in hexadecimal TAB the message as JSON
 *     no TAB the error
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "everything.h"

#define ARENA_MAX (16 << 20)

static void print_packed(const ProtobufCMessage *message, struct arena *arena)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size);
    if (data == NULL) {
        fputs("out of memory", stdout);
        return;
    }
    protobuf_c_message_pack(message, data);
    for (size_t i = 0; i < size; i++) {
        printf("%02x", data[i]);
    }
}

static void answer(const char *document, size_t length, struct arena *arena)
{
    ProtobufCMessage *message;
    struct diag diag = {""};
    enum status status =
        json_parse(&json__test__v1__everything__descriptor, document, length, NULL, arena, &message, &diag);
    if (status != STATUS_OK) {
        printf("no\t%s\n", diag.text);
        return;
    }
    fputs("ok\t", stdout);
    print_packed(message, arena);
    struct json_text text;
    status = json_print(message, NULL, arena, &text);
    printf("\t%s\n", status == STATUS_OK ? text.data : status_name(status));
}

int main(void)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    setup_everything(NULL);
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    while ((length = getline(&line, &size, stdin)) > 0) {
        answer(line, (size_t)length - (line[length - 1] == '\n'), &arena);
        arena_reset(&arena);
    }
    free(line);
    return EXIT_SUCCESS;
}
