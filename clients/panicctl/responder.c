#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "panicctl/command.h"
#include "panicctl/output.h"

/* ---- responder put ID ---- */

enum { KEY_LAT = 0x100, KEY_LNG, KEY_OFF, KEY_SIMULATED };

static const struct argp_option put_options[] = {
    {"lat", KEY_LAT, "DEGREES", 0, "Latitude, -90 to 90", 0},
    {"lng", KEY_LNG, "DEGREES", 0, "Longitude, -180 to 180", 0},
    {"off", KEY_OFF, NULL, 0, "Off duty: keeps what it has, gets nothing new", 0},
    {"simulated", KEY_SIMULATED, NULL, 0, "Takes test panics, and nothing else", 0},
    {0},
};

struct put {
    Panic__V1__Responder responder;
    Panic__V1__Location location;
    bool has_lat;
    bool has_lng;
};

static error_t parse_put(int key, char *arg, struct argp_state *state)
{
    struct put *put = state->input;
    switch (key) {
    case KEY_LAT:
        put->location.lat = command_number(state, "--lat", arg, -90, 90);
        put->has_lat = true;
        return 0;
    case KEY_LNG:
        put->location.lng = command_number(state, "--lng", arg, -180, 180);
        put->has_lng = true;
        return 0;
    case KEY_OFF:
        put->responder.state = PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_OFF;
        return 0;
    case KEY_SIMULATED:
        put->responder.simulated = true;
        return 0;
    case ARGP_KEY_ARG:
        if (put->responder.id[0] != 0) {
            argp_error(state, "one ID at a time");
        }
        put->responder.id = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which responder? Name its ID");
        return 0;
    case ARGP_KEY_END:
        if (put->has_lat != put->has_lng) {
            argp_error(state, "--lat and --lng go together");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_put(struct context *context, int argc, char **argv)
{
    struct put put = {.responder = PANIC__V1__RESPONDER__INIT, .location = PANIC__V1__LOCATION__INIT};
    const struct argp argp = {.options = put_options,
                              .parser = parse_put,
                              .args_doc = "ID",
                              .doc = "Register a responder, or say anew all that is known of one: what is "
                                     "left out is forgotten, its place too."};
    command_parse("responder put", &argp, argc, argv, &put);
    put.responder.location = put.has_lat ? &put.location : NULL;
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    request.responder = &put.responder;
    const Panic__V1__PutResponderResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_put_responder(context->client, &request, context->globals.timeout_us,
                                                    &context->arena, &response, &diag);
    if (status != STATUS_OK) {
        return command_fail(context, status, &diag);
    }
    if (context->globals.json) {
        return output_json(context, &response->responder->base);
    }
    output_responder_head();
    output_responder_row(response->responder);
    return EXIT_SUCCESS;
}

/* ---- responder list ---- */

static int run_list(struct context *context, int argc, char **argv)
{
    const struct argp argp = {.doc = "List the responders."};
    command_parse("responder list", &argp, argc, argv, NULL);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    bool headed = context->globals.json;
    Panic__V1__ListRespondersRequest request = PANIC__V1__LIST_RESPONDERS_REQUEST__INIT;
    char token[128] = "";
    for (;;) {
        const Panic__V1__ListRespondersResponse *response;
        struct diag diag = {0};
        enum status status = panic_client_list_responders(
            context->client, &request, context->globals.timeout_us, &context->arena, &response, &diag);
        if (status != STATUS_OK) {
            return command_fail(context, status, &diag);
        }
        if (!headed) {
            output_responder_head();
            headed = true;
        }
        if (context->globals.json && output_json(context, &response->base) != EXIT_SUCCESS) {
            return EXIT_FAILURE;
        }
        for (size_t i = 0; i < response->n_responders && !context->globals.json; i++) {
            output_responder_row(response->responders[i]);
        }
        if (response->next_page_token[0] == 0) {
            return EXIT_SUCCESS;
        }
        snprintf(token, sizeof(token), "%s", response->next_page_token);
        request.page_token = token;
        arena_reset(&context->arena);
    }
}

static int run(struct context *context, int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "put") == 0) {
        return run_put(context, argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "list") == 0) {
        return run_list(context, argc - 1, argv + 1);
    }
    bool help = argc >= 2 && strcmp(argv[1], "--help") == 0;
    fprintf(help ? stdout : stderr, "Usage: panicctl responder put ID [OPTION...]\n"
                                    "       panicctl responder list\n");
    return help ? EXIT_SUCCESS : EX_USAGE;
}

const struct command command_responder = {
    .name = "responder", .summary = "put: register or update a responder; list: list them", .run = run};
