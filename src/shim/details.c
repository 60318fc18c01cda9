/*
 * Every text about a wrong field begins with the field's path and ": " (struct diag, rpc_call_fail), wherever
 * it comes from: JSON, the scan, a handler, another process behind a channel. So the path is taken from the
 * text, and who writes texts needs to know nothing of details. What is no path (a header's name, which has a
 * '-'; a sentence, which has blanks) makes none.
 *
 * The message is small and its shape will not change (google/rpc/error_details.proto), so it is written by
 * hand:
 *
 *     BadRequest { repeated FieldViolation field_violations = 1; }
 *     FieldViolation { string field = 1; string description = 2; }
 */
#include "shim/details.h"

#include <string.h>

#include "json/base64.h"
#include "rpc/encode.h"

#define TYPE "google.rpc.BadRequest"
/* More than any text of a call has. */
#define TEXT_MAX 512
#define PACKED_MAX (TEXT_MAX + 3 * (1 + 10))

enum { FIELD_VIOLATIONS = 1, FIELD = 1, DESCRIPTION = 2 };

static bool is_path_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_.[]", c) != NULL) || (unsigned char)c >= 0x80;
}

/* 0 when it does not begin with one. */
static size_t path_length(const char *text)
{
    size_t length = 0;
    while (is_path_char(text[length])) {
        length++;
    }
    return strncmp(text + length, ": ", 2) == 0 ? length : 0;
}

static uint8_t *put_text(uint8_t *at, unsigned field, const char *text, size_t length)
{
    at = encode_head(at, field, length);
    memcpy(at, text, length);
    return at + length;
}

static size_t pack(const char *field, size_t field_length, const char *description, uint8_t *packed)
{
    size_t length = strlen(description);
    size_t inner = encode_head_size(field_length) + field_length + encode_head_size(length) + length;
    uint8_t *at = encode_head(packed, FIELD_VIOLATIONS, inner);
    at = put_text(at, FIELD, field, field_length);
    at = put_text(at, DESCRIPTION, description, length);
    return (size_t)(at - packed);
}

static void put_member(struct writer *writer, const char *key, const char *text, size_t length)
{
    writer_key(writer, key, strlen(key));
    writer_string(writer, text, length);
}

void details_write(struct writer *writer, enum status status, const char *text)
{
    size_t length = path_length(text);
    bool is_wrong = status == STATUS_INVALID_ARGUMENT || status == STATUS_OUT_OF_RANGE;
    if (!is_wrong || length == 0 || strlen(text) > TEXT_MAX) {
        return;
    }
    uint8_t packed[PACKED_MAX];
    char value[BASE64_ENCODED_SIZE(PACKED_MAX)];
    size_t packed_length = pack(text, length, text + length + 2, packed);
    size_t value_length = base64_encode(packed, packed_length, false, value);
    writer_key(writer, "details", strlen("details"));
    writer_open(writer, '[');
    writer_element(writer);
    writer_open(writer, '{');
    put_member(writer, "type", TYPE, strlen(TYPE));
    put_member(writer, "value", value, value_length);
    writer_close(writer, '}');
    writer_close(writer, ']');
}
