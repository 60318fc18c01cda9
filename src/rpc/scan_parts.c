/*
 * A part of the right size can still be one too many: when the limits hold for each part and for the rest,
 * but not for all together. Then the largest goes first, so that a place of a few bytes is not given up for
 * the sake of a large object beside it, whichever comes first in the message.
 */
#include "rpc/scan_parts.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool scan_may_be_optional(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED &&
           field->label != PROTOBUF_C_LABEL_REQUIRED && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 &&
           field->id < 64;
}

void scan_describe(enum scan_excess excess, const struct scan_limits *limits, struct diag *ret_text)
{
    switch (excess) {
    case SCAN_TOO_DEEP:
        snprintf(ret_text->text, sizeof(ret_text->text), "messages are nested deeper than %u",
                 limits->depth_max);
        break;
    case SCAN_TOO_MANY:
        snprintf(ret_text->text, sizeof(ret_text->text), "more than %u fields and elements",
                 limits->elements_max);
        break;
    default:
        snprintf(ret_text->text, sizeof(ret_text->text), "makes the message too long");
        break;
    }
}

/* Of the parts that stay the one with most bytes, or with most elements; NULL when none stays. It goes. */
static const struct scan_part *give_up_largest(struct scan_parts *parts, enum scan_excess excess)
{
    struct scan_part *found = NULL;
    size_t most = 0;
    for (size_t i = 0; i < parts->n; i++) {
        struct scan_part *part = &parts->part[i];
        size_t size = excess == SCAN_TOO_LONG ? part->length : part->elements;
        if (part->excess == SCAN_WITHIN && size > most) {
            found = part;
            most = size;
        }
    }
    if (found != NULL) {
        found->excess = excess;
        parts->n_left_out++;
    }
    return found;
}

void scan_settle(struct scan_parts *parts, size_t elements, size_t elements_max)
{
    while (elements > elements_max) {
        const struct scan_part *part = give_up_largest(parts, SCAN_TOO_MANY);
        assert(part != NULL);
        elements -= part->elements;
    }
}

bool scan_shorten(struct scan_parts *parts, size_t length, size_t length_max)
{
    for (size_t i = 0; i < parts->n; i++) {
        length -= parts->part[i].excess != SCAN_WITHIN ? parts->part[i].length : 0;
    }
    while (length > length_max) {
        const struct scan_part *part = give_up_largest(parts, SCAN_TOO_LONG);
        if (part == NULL) {
            return false;
        }
        length -= part->length;
    }
    return true;
}

size_t scan_without(const struct scan_parts *parts, const uint8_t *data, size_t length, uint8_t *out)
{
    size_t read = 0;
    size_t written = 0;
    for (size_t i = 0; i < parts->n; i++) {
        const struct scan_part *part = &parts->part[i];
        if (part->excess != SCAN_WITHIN) {
            memcpy(out + written, data + read, part->start - read);
            written += part->start - read;
            read = part->start + part->length;
        }
    }
    memcpy(out + written, data + read, length - read);
    return written + (length - read);
}
