/*
 * Printing protobuf's own types in the forms that ProtoJSON gives them. Struct, ListValue and the wrappers
 * are what their single field is; a Value is whichever of its members is set, and null when none is.
 *
 * What has no form is INVALID_ARGUMENT: a Timestamp or Duration out of range, a Value that is not a finite
 * number, a FieldMask path that would come back as another one.
 */
#include <math.h>

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "json/print.h"
#include "json/time_text.h"

static void print_time_text(struct printer *printer, enum status status, const char *text)
{
    if (status != STATUS_OK) {
        writer_fail(&printer->writer, STATUS_INVALID_ARGUMENT);
        return;
    }
    writer_string(&printer->writer, text, strlen(text));
}

static void print_timestamp(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Timestamp *timestamp = (const Google__Protobuf__Timestamp *)message;
    char text[TIME_TEXT_SIZE];
    enum status status = timestamp_print(timestamp->seconds, timestamp->nanos, text);
    print_time_text(printer, status, text);
}

static void print_duration(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__Duration *duration = (const Google__Protobuf__Duration *)message;
    char text[TIME_TEXT_SIZE];
    enum status status = duration_print(duration->seconds, duration->nanos, text);
    print_time_text(printer, status, text);
}

/*
 * foo_bar.baz as fooBar.baz; returns the length, or 0 when a reader would not get the path back: when it has
 * capitals already, or an underscore that no small letter follows.
 */
static size_t camel_path(const char *path, char *text)
{
    size_t n = 0;
    for (; *path != 0; path++) {
        bool joined = *path == '_';
        path += joined;
        if (joined ? *path < 'a' || *path > 'z' : *path >= 'A' && *path <= 'Z') {
            return 0;
        }
        text[n++] = (char)(joined ? *path - 'a' + 'A' : *path);
    }
    return n;
}

static void print_field_mask(struct printer *printer, const ProtobufCMessage *message)
{
    const Google__Protobuf__FieldMask *mask = (const Google__Protobuf__FieldMask *)message;
    size_t size = 1;
    for (size_t i = 0; i < mask->n_paths; i++) {
        size += strlen(mask->paths[i]) + 1;
    }
    char *text = arena_alloc(printer->writer.arena, size);
    if (text == NULL) {
        writer_fail(&printer->writer, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    size_t length = 0;
    for (size_t i = 0; i < mask->n_paths; i++) {
        if (i > 0) {
            text[length++] = ',';
        }
        size_t n = camel_path(mask->paths[i], text + length);
        if (n == 0) {
            writer_fail(&printer->writer, STATUS_INVALID_ARGUMENT);
            return;
        }
        length += n;
    }
    writer_string(&printer->writer, text, length);
}

/* Fields of Value are numbered 1 to 6, so their index is the number less one. */
// NOLINTNEXTLINE(misc-no-recursion)
static void print_any_value(struct printer *printer, const struct descriptor_message *type,
                            const ProtobufCMessage *message)
{
    const Google__Protobuf__Value *value = (const Google__Protobuf__Value *)message;
    if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET) {
        writer_raw(&printer->writer, "null", 4);
        return;
    }
    if (value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE && !isfinite(value->number_value)) {
        writer_fail(&printer->writer, STATUS_INVALID_ARGUMENT);
        return;
    }
    json_print_field(printer, type, (unsigned)value->kind_case - 1, message);
}

// NOLINTNEXTLINE(misc-no-recursion)
void json_print_well_known(struct printer *printer, const struct descriptor_message *type,
                           const ProtobufCMessage *message)
{
    switch (type->well_known) {
    case WELL_KNOWN_ANY:
        json_print_any(printer, message);
        break;
    case WELL_KNOWN_DURATION:
        print_duration(printer, message);
        break;
    case WELL_KNOWN_FIELD_MASK:
        print_field_mask(printer, message);
        break;
    case WELL_KNOWN_LIST_VALUE:
    case WELL_KNOWN_STRUCT:
    case WELL_KNOWN_WRAPPER:
        json_print_field(printer, type, 0, message);
        break;
    case WELL_KNOWN_TIMESTAMP:
        print_timestamp(printer, message);
        break;
    case WELL_KNOWN_VALUE:
        print_any_value(printer, type, message);
        break;
    case WELL_KNOWN_NONE:
        break;
    }
}
