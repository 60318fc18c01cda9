/*
 * A recursive walk over the wire format, as deep as limits->depth_max allows and no deeper. Each level knows
 * the field it stands on and the level above, so that a refusal can name its path without anything being
 * stored on the way.
 *
 * Every refusal of protobuf_c_message_unpack() (1.4 and later) is one here, too: unterminated or cut fields,
 * groups, a wire type that does not fit, packed booleans other than 0 and 1, packed fixed-width fields with a
 * remainder, and proto2's required fields. Beyond those:
 *
 * - A singular message field given twice is refused. Protobuf would merge the two, and protobuf-c's merge
 * copies the elements of repeated fields each time (n occurrences cost n² memory in an arena) and up to 1.4.1
 * reads out of bounds when both have an unset oneof. No encoder writes this.
 * - Elements are counted, unknown fields and packed ones included, because each costs unpack far more memory
 * than bytes.
 *
 * Optional parts are counted each by itself and added up at the end, so that the mode behind a large metadata
 * is not refused for it: the order of the fields decides nothing. A part that is over is skipped to its end,
 * which is known before its content is looked at. That a field is there once at most is what makes leaving it
 * out and leaving out the part the same.
 *
 * The bytes are read once, front to back; nothing behind `end` of the enclosing message is ever looked at.
 */
#include "rpc/scan.h"

#include <assert.h>
#include <string.h>

#include "base/utf8.h"
#include "rpc/scan_parts.h"

#define VARINT_MAX 10
#define TAG_MAX 5
#define GROUP_START 3
#define GROUP_END 4
/* Caps of the scan itself: stack used, and fields of a message that are told apart. */
#define DEPTH_LIMIT 64
#define FIELDS_LIMIT 256
/* Keeps what is seldom or never run out of what is run for each field. */
#define COLD __attribute__((cold, noinline))

const struct scan_limits scan_limits_default = {.depth_max = 16, .elements_max = 4096};

struct span {
    const uint8_t *at;
    const uint8_t *end;
};

struct level {
    const struct level *above;
    const ProtobufCMessageDescriptor *message;
    /* Where the scan stands; 0 before the first tag. */
    uint32_t number;
    const ProtobufCFieldDescriptor *field;
    unsigned depth;
    /* As in scan_limits; 0 for all but the outermost. */
    uint64_t optional;
    uint64_t seen[FIELDS_LIMIT / 64];
};

struct scan {
    const struct scan_limits *limits;
    const uint8_t *data;
    /* Outside of the parts; in one, of that one. */
    unsigned elements;
    /* In the parts that are not over by themselves. */
    unsigned in_parts;
    /* The part that is being scanned; NULL = none. */
    struct scan_part *part;
    struct scan_parts *parts;
    struct diag *diag;
};

static enum status scan_fields(struct scan *scan, struct level *level, struct span span);

static void append(char *path, size_t size, const char *text)
{
    size_t used = strlen(path);
    snprintf(path + used, size - used, "%s%s", used > 0 ? "." : "", text);
}

COLD static enum status refuse(const struct scan *scan, const struct level *level, const char *what)
{
    const struct level *levels[DEPTH_LIMIT];
    size_t n = 0;
    for (; level != NULL; level = level->above) {
        levels[n++] = level;
    }
    char path[192] = "";
    while (n > 0) {
        level = levels[--n];
        char number[24];
        snprintf(number, sizeof(number), "field %u", (unsigned)level->number);
        if (level->field != NULL) {
            append(path, sizeof(path), level->field->name);
        } else if (level->number != 0) {
            append(path, sizeof(path), number);
        }
    }
    return diag_fail(scan->diag, STATUS_INVALID_ARGUMENT, "%s: %s", path[0] != 0 ? path : "message", what);
}

/* Over a limit: OUT_OF_RANGE in a part, which is all that this ends; a refusal anywhere else. */
COLD static enum status exceed(const struct scan *scan, const struct level *level, enum scan_excess excess)
{
    if (scan->part != NULL) {
        scan->part->excess = excess;
        return STATUS_OUT_OF_RANGE;
    }
    struct diag what;
    scan_describe(excess, scan->limits, &what);
    return refuse(scan, level, what.text);
}

/* Reads a varint of at most `bytes_max` bytes and 64 bits. False when it is cut or too long. */
static bool read_varint(struct span *span, unsigned bytes_max, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes_max && span->at < span->end; i++) {
        uint8_t byte = *span->at++;
        if (i == VARINT_MAX - 1 && byte > 1) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct span *span, size_t size)
{
    if ((size_t)(span->end - span->at) < size) {
        return false;
    }
    span->at += size;
    return true;
}

static unsigned wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    default:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    }
}

static enum status count(struct scan *scan, const struct level *level, size_t n)
{
    if (n > scan->limits->elements_max - scan->elements) {
        return exceed(scan, level, SCAN_TOO_MANY);
    }
    scan->elements += (unsigned)n;
    return STATUS_OK;
}

/* A repeated number field in one piece. */
static enum status scan_packed(struct scan *scan, const struct level *level, struct span span)
{
    unsigned wire_type = wire_type_of(level->field->type);
    if (wire_type != PROTOBUF_C_WIRE_TYPE_VARINT) {
        size_t width = wire_type == PROTOBUF_C_WIRE_TYPE_32BIT ? 4 : 8;
        size_t length = (size_t)(span.end - span.at);
        return length % width == 0 ? count(scan, level, length / width)
                                   : refuse(scan, level, "packed numbers do not fill their length");
    }
    while (span.at < span.end) {
        const uint8_t *start = span.at;
        uint64_t value;
        if (!read_varint(&span, VARINT_MAX, &value)) {
            return refuse(scan, level, "a number is cut or too long");
        }
        if (level->field->type == PROTOBUF_C_TYPE_BOOL && *start > 1) {
            return refuse(scan, level, "a packed boolean is neither 0 nor 1");
        }
        enum status status = count(scan, level, 1);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status scan_submessage(struct scan *scan, const struct level *level, struct span span)
{
    if (level->depth >= scan->limits->depth_max) {
        return exceed(scan, level, SCAN_TOO_DEEP);
    }
    struct level inner = {.above = level, .message = level->field->descriptor, .depth = level->depth + 1};
    return scan_fields(scan, &inner, span);
}

/* The content of a length-prefixed field. */
static enum status scan_content(struct scan *scan, const struct level *level, struct span span)
{
    if (level->field == NULL) {
        return STATUS_OK;
    }
    switch (level->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return utf8_is_text((const char *)span.at, (size_t)(span.end - span.at))
                   ? STATUS_OK
                   : refuse(scan, level, "text is not valid UTF-8 or holds NUL");
    case PROTOBUF_C_TYPE_BYTES:
        return STATUS_OK;
    case PROTOBUF_C_TYPE_MESSAGE:
        return scan_submessage(scan, level, span);
    default:
        return scan_packed(scan, level, span);
    }
}

static enum status scan_value(struct scan *scan, const struct level *level, unsigned wire_type,
                              struct span *span)
{
    uint64_t value;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return read_varint(span, VARINT_MAX, &value) ? STATUS_OK
                                                     : refuse(scan, level, "a number is cut or too long");
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return skip(span, 8) ? STATUS_OK : refuse(scan, level, "is cut");
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return skip(span, 4) ? STATUS_OK : refuse(scan, level, "is cut");
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED: {
        if (!read_varint(span, TAG_MAX, &value)) {
            return refuse(scan, level, "its length is cut or too long");
        }
        const uint8_t *start = span->at;
        if (value > INT32_MAX || !skip(span, (size_t)value)) {
            return refuse(scan, level, "is longer than what encloses it");
        }
        return scan_content(scan, level, (struct span){start, span->at});
    }
    case GROUP_START:
    case GROUP_END:
        return refuse(scan, level, "groups are not supported");
    default:
        return refuse(scan, level, "has no valid wire type");
    }
}

static bool fits(const ProtobufCFieldDescriptor *field, unsigned wire_type)
{
    return wire_type == wire_type_of(field->type) ||
           (wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED && field->label == PROTOBUF_C_LABEL_REPEATED);
}

static bool mark_seen(struct level *level)
{
    size_t index = (size_t)(level->field - level->message->fields);
    uint64_t bit = UINT64_C(1) << (index % 64);
    bool before = (level->seen[index / 64] & bit) != 0;
    level->seen[index / 64] |= bit;
    return before;
}

static enum status check_known(const struct scan *scan, struct level *level, unsigned wire_type)
{
    const ProtobufCFieldDescriptor *field = level->field;
    if (!fits(field, wire_type)) {
        return refuse(scan, level, "has the wrong wire type");
    }
    bool again = mark_seen(level);
    bool merges = field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED &&
                  (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0;
    return again && merges ? refuse(scan, level, "is given twice") : STATUS_OK;
}

static enum status check_required(const struct scan *scan, struct level *level)
{
    for (unsigned i = 0; i < level->message->n_fields; i++) {
        level->field = &level->message->fields[i];
        if (level->field->label == PROTOBUF_C_LABEL_REQUIRED && level->field->default_value == NULL &&
            (level->seen[i / 64] >> (i % 64) & 1) == 0) {
            return refuse(scan, level, "is required");
        }
    }
    return STATUS_OK;
}

/* An optional field, whose tag begins at `start`: from here to its end elements are counted anew. */
static void begin_part(struct scan *scan, const struct level *level, const uint8_t *start)
{
    assert(scan->parts != NULL && scan->limits->elements_max > 0);
    scan->part = &scan->parts->part[scan->parts->n];
    *scan->part = (struct scan_part){
        .field = level->field, .start = (size_t)(start - scan->data), .elements = scan->elements};
    scan->elements = 0;
}

/* `status` is that of the field, `end` where it ends. */
static enum status end_part(struct scan *scan, const uint8_t *end, enum status status)
{
    struct scan_part *part = scan->part;
    unsigned others = part->elements;
    part->elements = scan->elements;
    part->length = (size_t)(end - scan->data) - part->start;
    scan->part = NULL;
    scan->elements = others;
    if (part->excess != SCAN_WITHIN) {
        scan->parts->n_left_out++;
    } else if (status != STATUS_OK) {
        return status;
    } else {
        scan->in_parts += part->elements;
    }
    scan->parts->n++;
    return STATUS_OK;
}

static bool is_optional(const struct level *level)
{
    return level->optional != 0 && level->number < 64 && (level->optional >> level->number & 1) != 0;
}

static enum status scan_fields(struct scan *scan, struct level *level, struct span span)
{
    assert(level->message->n_fields <= FIELDS_LIMIT);
    while (span.at < span.end) {
        level->number = 0;
        level->field = NULL;
        const uint8_t *start = span.at;
        uint64_t tag;
        if (!read_varint(&span, TAG_MAX, &tag) || tag > UINT32_MAX || tag >> 3 == 0) {
            return refuse(scan, level, "a field's number is cut, too long or 0");
        }
        level->number = (uint32_t)(tag >> 3);
        level->field = protobuf_c_message_descriptor_get_field(level->message, level->number);
        unsigned wire_type = (unsigned)(tag & 7);
        bool is_part = is_optional(level);
        if (is_part) {
            begin_part(scan, level, start);
        }
        enum status status = count(scan, level, 1);
        if (status == STATUS_OK && level->field != NULL) {
            status = check_known(scan, level, wire_type);
        }
        if (status == STATUS_OK) {
            status = scan_value(scan, level, wire_type, &span);
        }
        if (is_part) {
            status = end_part(scan, span.at, status);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return check_required(scan, level);
}

enum status scan_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t length,
                         const struct scan_limits *limits, struct scan_parts *ret_parts, struct diag *diag)
{
    struct scan scan = {.limits = limits != NULL ? limits : &scan_limits_default,
                        .data = data,
                        .parts = ret_parts,
                        .diag = diag};
    assert(scan.limits->depth_max >= 1 && scan.limits->depth_max <= DEPTH_LIMIT);
    struct level outermost = {.message = descriptor, .depth = 1, .optional = scan.limits->optional};
    struct span span = {.at = data};
    /* NULL + 0 is undefined, and an empty message may well come as NULL. */
    span.end = length > 0 ? data + length : data;
    if (ret_parts != NULL) {
        ret_parts->n = 0;
        ret_parts->n_left_out = 0;
    }
    enum status status = scan_fields(&scan, &outermost, span);
    size_t elements = (size_t)scan.elements + scan.in_parts;
    if (scan.in_parts > 0 && status == STATUS_OK && elements > scan.limits->elements_max) {
        scan_settle(ret_parts, elements, scan.limits->elements_max);
    }
    return status;
}
