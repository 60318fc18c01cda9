#include "panic/content.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "panic/geo.h"

/* 2000-01-01 and 2100-01-01, in seconds since 1970: a time outside comes from a clock that was never set. */
#define TIME_MIN_S 946684800LL
#define TIME_MAX_S 4102444800LL

const char *const content_optional[] = {"location", "metadata", "pressed_at", NULL};

struct work {
    struct content *content;
    struct arena *arena;
    struct diag *diag;
    bool strict;
};

char *content_warning(struct arena *arena, const char *why)
{
    return arena_printf(arena, "%s; left out", why);
}

/* A part is left out: notes why, or refuses it all when the request is strict. */
static enum status PRINTF_LIKE(2, 3) leave_out(struct work *work, const char *format, ...)
{
    struct diag text;
    va_list args;
    va_start(args, format);
    vsnprintf(text.text, sizeof(text.text), format, args);
    va_end(args);
    if (work->strict) {
        return diag_fail(work->diag, STATUS_INVALID_ARGUMENT, "%s", text.text);
    }
    char *warning = content_warning(work->arena, text.text);
    if (warning == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    if (work->content->n_warnings < CONTENT_WARNINGS_MAX) {
        work->content->warnings[work->content->n_warnings++] = warning;
    }
    return STATUS_OK;
}

static void forget_unknown(ProtobufCMessage *message)
{
    message->n_unknown_fields = 0;
    message->unknown_fields = NULL;
}

static enum status check_name(struct work *work, const char *field, char **name)
{
    size_t length = strlen(*name);
    if (length <= CONTENT_NAME_MAX) {
        return STATUS_OK;
    }
    *name = (char *)protobuf_c_empty_string;
    return leave_out(work, "%s: %zu bytes are more than %d", field, length, CONTENT_NAME_MAX);
}

static enum status check_time(struct work *work, const char *field, Google__Protobuf__Timestamp **time)
{
    Google__Protobuf__Timestamp *t = *time;
    if (t == NULL) {
        return STATUS_OK;
    }
    forget_unknown(&t->base);
    if (t->seconds >= TIME_MIN_S && t->seconds < TIME_MAX_S && t->nanos >= 0 && t->nanos < 1000000000) {
        return STATUS_OK;
    }
    *time = NULL;
    return leave_out(work, "%s: not a time between the years 2000 and 2100", field);
}

static enum status check_mode(struct work *work, Panic__V1__PanicMode *mode)
{
    if (protobuf_c_enum_descriptor_get_value(&panic__v1__panic_mode__descriptor, (int)*mode) != NULL) {
        return STATUS_OK;
    }
    int number = (int)*mode;
    *mode = PANIC__V1__PANIC_MODE__PANIC_MODE_UNSPECIFIED;
    return leave_out(work, "mode: %d is no mode", number);
}

static enum status check_location(struct work *work, Panic__V1__Location **location)
{
    Panic__V1__Location *place = *location;
    if (place == NULL) {
        return STATUS_OK;
    }
    forget_unknown(&place->base);
    if (!geo_valid(place->lat, place->lng)) {
        *location = NULL;
        return leave_out(work, "location: lat %g, lng %g is not within -90..90, -180..180", place->lat,
                         place->lng);
    }
    enum status status = STATUS_OK;
    if (!isfinite(place->accuracy_m) || place->accuracy_m < 0) {
        place->accuracy_m = 0;
        status = leave_out(work, "location.accuracy_m: not a distance in metres");
    }
    if (status == STATUS_OK && !isfinite(place->altitude_m)) {
        place->altitude_m = 0;
        status = leave_out(work, "location.altitude_m: not a height in metres");
    }
    return status == STATUS_OK ? check_time(work, "location.fix_time", &place->fix_time) : status;
}

struct ranked_entry {
    Google__Protobuf__Struct__FieldsEntry *entry;
    size_t position;
};

static int compare_entries(const void *a, const void *b)
{
    const struct ranked_entry *left = a;
    const struct ranked_entry *right = b;
    int order = strcmp(left->entry->key, right->entry->key);
    if (order != 0) {
        return order;
    }
    return left->position < right->position ? -1 : 1;
}

/* By key; of entries with equal keys the last one counts, as everywhere in protobuf. */
static enum status sort_entries(Google__Protobuf__Struct *object, struct arena *arena)
{
    struct ranked_entry *ranked = arena_alloc(arena, object->n_fields * sizeof(*ranked));
    if (ranked == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    for (size_t i = 0; i < object->n_fields; i++) {
        ranked[i] = (struct ranked_entry){.entry = object->fields[i], .position = i};
    }
    qsort(ranked, object->n_fields, sizeof(*ranked), compare_entries);
    size_t kept = 0;
    for (size_t i = 0; i < object->n_fields; i++) {
        bool last = i + 1 == object->n_fields || strcmp(ranked[i].entry->key, ranked[i + 1].entry->key) != 0;
        if (last) {
            object->fields[kept++] = ranked[i].entry;
        }
    }
    object->n_fields = kept;
    return STATUS_OK;
}

static enum status canonical_object(Google__Protobuf__Struct *object, struct arena *arena, bool *ret_finite);

/* The recursion is as deep as the message, which the scan has bounded. */
static enum status canonical_value(Google__Protobuf__Value *value, struct arena *arena, bool *ret_finite)
{
    forget_unknown(&value->base);
    switch (value->kind_case) {
    case GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE:
        *ret_finite = *ret_finite && isfinite(value->number_value);
        return STATUS_OK;
    case GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE:
        return canonical_object(value->struct_value, arena, ret_finite);
    case GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE:
        forget_unknown(&value->list_value->base);
        for (size_t i = 0; i < value->list_value->n_values; i++) {
            enum status status = canonical_value(value->list_value->values[i], arena, ret_finite);
            if (status != STATUS_OK) {
                return status;
            }
        }
        return STATUS_OK;
    case GOOGLE__PROTOBUF__VALUE__KIND__NOT_SET:
    case GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
        value->null_value = GOOGLE__PROTOBUF__NULL_VALUE__NULL_VALUE;
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

static enum status canonical_object(Google__Protobuf__Struct *object, struct arena *arena, bool *ret_finite)
{
    forget_unknown(&object->base);
    /* First, so that what an equal key replaces is not looked at. */
    enum status status = object->n_fields > 0 ? sort_entries(object, arena) : STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < object->n_fields; i++) {
        Google__Protobuf__Struct__FieldsEntry *entry = object->fields[i];
        forget_unknown(&entry->base);
        if (entry->value == NULL) {
            entry->value = arena_alloc(arena, sizeof(*entry->value));
            if (entry->value == NULL) {
                return STATUS_RESOURCE_EXHAUSTED;
            }
            google__protobuf__value__init(entry->value);
        }
        status = canonical_value(entry->value, arena, ret_finite);
    }
    return status;
}

static enum status check_metadata(struct work *work, Google__Protobuf__Struct **metadata)
{
    if (*metadata == NULL) {
        return STATUS_OK;
    }
    bool finite = true;
    enum status status = canonical_object(*metadata, work->arena, &finite);
    if (status != STATUS_OK) {
        return status;
    }
    if (!finite) {
        *metadata = NULL;
        return leave_out(work, "metadata: a number in it is not finite");
    }
    size_t size = google__protobuf__struct__get_packed_size(*metadata);
    if (size > CONTENT_METADATA_MAX) {
        *metadata = NULL;
        return leave_out(work, "metadata: %zu bytes are more than %d", size, CONTENT_METADATA_MAX);
    }
    return STATUS_OK;
}

static enum status check(struct work *work, Panic__V1__CreatePanicRequest *request)
{
    enum status status = check_name(work, "subject_id", &request->subject_id);
    if (status == STATUS_OK) {
        status = check_name(work, "device_id", &request->device_id);
    }
    if (status == STATUS_OK) {
        status = check_location(work, &request->location);
    }
    if (status == STATUS_OK) {
        status = check_metadata(work, &request->metadata);
    }
    if (status == STATUS_OK) {
        status = check_time(work, "pressed_at", &request->pressed_at);
    }
    return status == STATUS_OK ? check_mode(work, &request->mode) : status;
}

enum status content_from_request(const Panic__V1__CreatePanicRequest *request, const char *const *left_out,
                                 size_t n_left_out, struct arena *arena, struct content *ret_content,
                                 struct diag *diag)
{
    struct content *content = ret_content;
    content->n_warnings = 0;
    content->request = *request;
    content->request.id = (char *)protobuf_c_empty_string;
    content->request.strict = false;
    forget_unknown(&content->request.base);

    struct work work = {.content = content, .arena = arena, .diag = diag, .strict = request->strict};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < n_left_out; i++) {
        status = leave_out(&work, "%s", left_out[i]);
    }
    if (status == STATUS_OK) {
        status = check(&work, &content->request);
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *packed = arena_alloc(arena, panic__v1__create_panic_request__get_packed_size(&content->request));
    if (packed == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    content->packed = (struct bytes){
        .data = packed, .length = panic__v1__create_panic_request__pack(&content->request, packed)};
    return STATUS_OK;
}
