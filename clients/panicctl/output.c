#include "panicctl/output.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json/json.h"

int output_json(struct context *context, const ProtobufCMessage *message)
{
    const struct json_print_options options = {.pretty = true};
    struct json_text text;
    enum status status = json_print(message, &options, &context->arena, &text);
    if (status != STATUS_OK) {
        fprintf(stderr, "panicctl: the answer cannot be printed as JSON: %s\n", status_name(status));
        return EXIT_FAILURE;
    }
    printf("%s\n", text.data);
    return EXIT_SUCCESS;
}

/* "PANIC_STATUS_ACTIVE" without its prefix, in lower case. */
static const char *enum_word(const ProtobufCEnumDescriptor *descriptor, int number, const char *prefix,
                             char word[32])
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(descriptor, number);
    const char *name = value != NULL ? value->name : "?";
    if (strncmp(name, prefix, strlen(prefix)) == 0) {
        name += strlen(prefix);
    }
    size_t i = 0;
    for (; i < 31 && name[i] != 0; i++) {
        word[i] = (char)tolower((unsigned char)name[i]);
    }
    word[i] = 0;
    return word;
}

static const char *status_word(const Panic__V1__Panic *panic, char word[32])
{
    return enum_word(&panic__v1__panic_status__descriptor, (int)panic->status, "PANIC_STATUS_", word);
}

static const char *stage_word(const Panic__V1__Panic *panic, char word[32])
{
    return enum_word(&panic__v1__panic_stage__descriptor, (int)panic->stage, "PANIC_STAGE_", word);
}

static const char *time_text(const Google__Protobuf__Timestamp *time, char text[32])
{
    if (time == NULL) {
        return "-";
    }
    time_t seconds = (time_t)time->seconds;
    struct tm utc;
    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, 32, "%Y-%m-%d %H:%M:%SZ", &utc) == 0) {
        return "?";
    }
    return text;
}

static const char *place_text(const Panic__V1__Location *location, char text[48])
{
    if (location == NULL) {
        return "-";
    }
    snprintf(text, 48, "%.6f,%.6f", location->lat, location->lng);
    return text;
}

static void print_assignment(const Panic__V1__Assignment *assignment)
{
    if (assignment == NULL) {
        return;
    }
    char time[32];
    printf("responder  %s since %s", assignment->responder_id, time_text(assignment->assign_time, time));
    if (assignment->distance_m >= 0) {
        printf(", %.0f m away", assignment->distance_m);
    }
    printf("\n");
}

void output_panic(struct context *context, const Panic__V1__Panic *panic)
{
    char word[32];
    char stage[32];
    char time[32];
    char place[48];
    printf("id         %s\n", panic->id);
    printf("status     %s (%s)%s\n", status_word(panic, word), stage_word(panic, stage),
           panic->durable ? "" : ", not yet durable");
    printf("created    %s\n", time_text(panic->create_time, time));
    printf("location   %s\n", place_text(panic->location, place));
    if (panic->subject_id[0] != 0) {
        printf("subject    %s\n", panic->subject_id);
    }
    if (panic->device_id[0] != 0) {
        printf("device     %s\n", panic->device_id);
    }
    struct json_text metadata;
    if (panic->metadata != NULL &&
        json_print(&panic->metadata->base, NULL, &context->arena, &metadata) == STATUS_OK) {
        printf("metadata   %s\n", metadata.data);
    }
    print_assignment(panic->assignment);
    if (panic->outcome[0] != 0) {
        printf("outcome    %s\n", panic->outcome);
    }
}

void output_event(const Panic__V1__PanicEvent *event)
{
    char stage[32];
    char time[32];
    printf("%-8" PRId64 "  %-20s  %-36s  %-12s  %-10s  by %s\n", event->sequence,
           time_text(event->event_time, time), event->panic_id, event->type,
           enum_word(&panic__v1__panic_stage__descriptor, (int)event->to_stage, "PANIC_STAGE_", stage),
           event->actor);
}

void output_panic_head(void)
{
    printf("%-36s  %-10s  %-10s  %-20s  %-24s  %s\n", "ID", "STATUS", "STAGE", "CREATED", "LOCATION",
           "RESPONDER");
}

void output_panic_row(const Panic__V1__Panic *panic)
{
    char word[32];
    char stage[32];
    char time[32];
    char place[48];
    printf("%-36s  %-10s  %-10s  %-20s  %-24s  %s\n", panic->id, status_word(panic, word),
           stage_word(panic, stage), time_text(panic->create_time, time), place_text(panic->location, place),
           panic->assignment != NULL ? panic->assignment->responder_id : "-");
}

void output_responder_head(void)
{
    printf("%-24s  %-10s  %-24s  %s\n", "ID", "STATE", "LOCATION", "PANIC");
}

void output_responder_row(const Panic__V1__Responder *responder)
{
    char word[32];
    char place[48];
    printf(
        "%-24s  %-10s  %-24s  %s\n", responder->id,
        enum_word(&panic__v1__responder_state__descriptor, (int)responder->state, "RESPONDER_STATE_", word),
        place_text(responder->location, place), responder->panic_id[0] != 0 ? responder->panic_id : "-");
}
