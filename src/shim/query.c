#include "shim/query.h"

#include <string.h>

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static enum status decode(const char *text, size_t length, struct arena *arena, struct json_text *ret_value)
{
    char *decoded = arena_alloc(arena, length + 1);
    if (decoded == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0) {
                return STATUS_INVALID_ARGUMENT;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        decoded[n++] = c;
    }
    decoded[n] = 0;
    *ret_value = (struct json_text){decoded, n};
    return STATUS_OK;
}

enum status query_find(const char *query, const char *name, struct arena *arena, struct json_text *ret_value)
{
    size_t name_length = strlen(name);
    while (query != NULL && *query != 0) {
        size_t length = strcspn(query, "&");
        if (length > name_length && query[name_length] == '=' && memcmp(query, name, name_length) == 0) {
            return decode(query + name_length + 1, length - name_length - 1, arena, ret_value);
        }
        query += length;
        query += *query == '&' ? 1 : 0;
    }
    return STATUS_NOT_FOUND;
}
