#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "panicctl/command.h"
#include "panicctl/output.h"

#define METADATA_MAX 64

enum {
    KEY_LAT = 0x100,
    KEY_LNG,
    KEY_ACCURACY,
    KEY_METADATA,
    KEY_ID,
    KEY_SUBJECT,
    KEY_DEVICE,
    KEY_TEST,
    KEY_STRICT
};

static const struct argp_option descriptions[] = {
    {"lat", KEY_LAT, "DEGREES", 0, "Latitude, -90 to 90", 0},
    {"lng", KEY_LNG, "DEGREES", 0, "Longitude, -180 to 180", 0},
    {"accuracy", KEY_ACCURACY, "METRES", 0,
     "Radius of the circle that holds the true place with 95 % confidence", 0},
    {"metadata", KEY_METADATA, "KEY=VALUE", 0, "A fact of your own; repeatable", 0},
    {"id", KEY_ID, "UUID", 0, "Idempotency key (default: a new version 7 UUID)", 0},
    {"subject", KEY_SUBJECT, "ID", 0, "Who is in need", 0},
    {"device", KEY_DEVICE, "ID", 0, "What was pressed", 0},
    {"test", KEY_TEST, NULL, 0, "A test, not an emergency", 0},
    {"strict", KEY_STRICT, NULL, 0, "Refuse what would be accepted with a warning", 0},
    {0},
};

struct create {
    struct context *context;
    Panic__V1__CreatePanicRequest request;
    Panic__V1__Location location;
    bool has_lat;
    bool has_lng;
    Google__Protobuf__Struct metadata;
    Google__Protobuf__Struct__FieldsEntry *entries[METADATA_MAX];
};

static void add_metadata(struct create *create, char *text, struct argp_state *state)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        argp_error(state, "--metadata: \"%s\" is not KEY=VALUE", text);
        return;
    }
    if (create->metadata.n_fields == METADATA_MAX) {
        argp_error(state, "--metadata: more than %d times", METADATA_MAX);
        return;
    }
    *equals = 0;
    Google__Protobuf__Value *value = command_alloc(create->context, sizeof(*value));
    google__protobuf__value__init(value);
    value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value->string_value = equals + 1;
    Google__Protobuf__Struct__FieldsEntry *entry = command_alloc(create->context, sizeof(*entry));
    google__protobuf__struct__fields_entry__init(entry);
    entry->key = text;
    entry->value = value;
    create->entries[create->metadata.n_fields++] = entry;
}

static void check(const struct create *create, struct argp_state *state)
{
    if (create->has_lat != create->has_lng) {
        argp_error(state, "--lat and --lng go together");
    }
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct create *create = state->input;
    switch (key) {
    case KEY_LAT:
        create->location.lat = command_number(state, "--lat", arg, -90, 90);
        create->has_lat = true;
        return 0;
    case KEY_LNG:
        create->location.lng = command_number(state, "--lng", arg, -180, 180);
        create->has_lng = true;
        return 0;
    case KEY_ACCURACY:
        create->location.accuracy_m = command_number(state, "--accuracy", arg, 0, 1e7);
        return 0;
    case KEY_METADATA:
        add_metadata(create, arg, state);
        return 0;
    case KEY_ID:
        create->request.id = arg;
        return 0;
    case KEY_SUBJECT:
        create->request.subject_id = arg;
        return 0;
    case KEY_DEVICE:
        create->request.device_id = arg;
        return 0;
    case KEY_TEST:
        create->request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
        return 0;
    case KEY_STRICT:
        create->request.strict = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_END:
        check(create, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run(struct context *context, int argc, char **argv)
{
    struct create create = {.context = context,
                            .request = PANIC__V1__CREATE_PANIC_REQUEST__INIT,
                            .location = PANIC__V1__LOCATION__INIT,
                            .metadata = GOOGLE__PROTOBUF__STRUCT__INIT};
    const struct argp argp = {
        .options = descriptions, .parser = parse_one, .doc = "Create a panic. Answers once it is durable."};
    command_parse("create", &argp, argc, argv, &create);
    create.metadata.fields = create.entries;
    create.request.metadata = create.metadata.n_fields > 0 ? &create.metadata : NULL;
    create.request.location = create.has_lat ? &create.location : NULL;

    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    const Panic__V1__CreatePanicResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_create(context->client, &create.request, context->globals.timeout_us,
                                             &context->arena, &response, &diag);
    if (status != STATUS_OK) {
        int exit_status = command_fail(context, status, &diag);
        if (status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE_EXCEEDED) {
            fprintf(stderr,
                    "panicctl: it may have been stored or not; repeat the command with --id %s: it is never "
                    "doubled.\n",
                    create.request.id);
        }
        return exit_status;
    }
    if (context->globals.json) {
        return output_json(context, &response->base);
    }
    output_panic(context, response->panic);
    if (response->replayed) {
        printf("replayed   it had been stored before\n");
    }
    for (size_t i = 0; i < response->n_warnings; i++) {
        printf("warning    %s\n", response->warnings[i]);
    }
    return EXIT_SUCCESS;
}

const struct command command_create = {.name = "create", .summary = "create a panic", .run = run};
