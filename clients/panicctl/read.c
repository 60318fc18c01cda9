/*
 * The commands that read or close panics, and health.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "panicctl/command.h"
#include "panicctl/output.h"

/* ---- get ID ---- */

static error_t parse_id(int key, char *arg, struct argp_state *state)
{
    char **id = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (*id[0] != 0) {
            argp_error(state, "one ID at a time");
        }
        *id = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which panic? Name its ID");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int run_get(struct context *context, int argc, char **argv)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    const struct argp argp = {.parser = parse_id, .args_doc = "ID", .doc = "Read a panic."};
    command_parse("get", &argp, argc, argv, &request.id);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    const Panic__V1__GetPanicResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_get(context->client, &request, context->globals.timeout_us,
                                          &context->arena, &response, &diag);
    if (status != STATUS_OK) {
        return command_fail(context, status, &diag);
    }
    if (context->globals.json) {
        return output_json(context, &response->panic->base);
    }
    output_panic(context, response->panic);
    return EXIT_SUCCESS;
}

const struct command command_get = {.name = "get", .summary = "read a panic", .run = run_get};

/* ---- list ---- */

enum { KEY_STATUS = 0x100, KEY_PAGE_SIZE, KEY_PAGE_TOKEN, KEY_ALL };

static const struct argp_option list_options[] = {
    {"status", KEY_STATUS, "STATUS", 0, "Only processing, active or resolved ones", 0},
    {"page-size", KEY_PAGE_SIZE, "N", 0, "At most N (default 100, at most 500)", 0},
    {"page-token", KEY_PAGE_TOKEN, "TOKEN", 0, "Go on behind an earlier page", 0},
    {"all", KEY_ALL, NULL, 0, "All pages", 0},
    {0},
};

struct list {
    Panic__V1__ListPanicsRequest request;
    bool all;
};

static Panic__V1__PanicStatus status_option(const char *text, struct argp_state *state)
{
    static const struct {
        const char *word;
        Panic__V1__PanicStatus status;
    } words[] = {{"processing", PANIC__V1__PANIC_STATUS__PANIC_STATUS_PROCESSING},
                 {"active", PANIC__V1__PANIC_STATUS__PANIC_STATUS_ACTIVE},
                 {"resolved", PANIC__V1__PANIC_STATUS__PANIC_STATUS_RESOLVED}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            return words[i].status;
        }
    }
    argp_error(state, "--status: \"%s\" is none of processing, active, resolved", text);
    return PANIC__V1__PANIC_STATUS__PANIC_STATUS_UNSPECIFIED;
}

static error_t parse_list(int key, char *arg, struct argp_state *state)
{
    struct list *list = state->input;
    switch (key) {
    case KEY_STATUS:
        list->request.status = status_option(arg, state);
        return 0;
    case KEY_PAGE_SIZE:
        list->request.page_size = (int32_t)command_number(state, "--page-size", arg, 1, 500);
        return 0;
    case KEY_PAGE_TOKEN:
        list->request.page_token = arg;
        return 0;
    case KEY_ALL:
        list->all = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A page of a rare status may be empty and still lead on; such a one is not shown. */
static bool leads_on_only(const Panic__V1__ListPanicsResponse *response)
{
    return response->n_panics == 0 && response->next_page_token[0] != 0;
}

static int print_page(struct context *context, const struct list *list,
                      const Panic__V1__ListPanicsResponse *response)
{
    if (context->globals.json) {
        return output_json(context, &response->base);
    }
    for (size_t i = 0; i < response->n_panics; i++) {
        output_panic_row(response->panics[i]);
    }
    if (response->next_page_token[0] != 0 && !list->all) {
        printf("more: --page-token %s\n", response->next_page_token);
    }
    return EXIT_SUCCESS;
}

static int run_list(struct context *context, int argc, char **argv)
{
    struct list list = {.request = PANIC__V1__LIST_PANICS_REQUEST__INIT};
    const struct argp argp = {.options = list_options, .parser = parse_list, .doc = "List stored panics."};
    command_parse("list", &argp, argc, argv, &list);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    bool headed = context->globals.json;
    char token[64] = "";
    for (;;) {
        const Panic__V1__ListPanicsResponse *response;
        struct diag diag = {0};
        enum status status = panic_client_list(context->client, &list.request, context->globals.timeout_us,
                                               &context->arena, &response, &diag);
        if (status != STATUS_OK) {
            return command_fail(context, status, &diag);
        }
        if (!headed) {
            output_panic_head();
            headed = true;
        }
        if (!leads_on_only(response)) {
            int exit_status = print_page(context, &list, response);
            if (exit_status != EXIT_SUCCESS || !list.all || response->next_page_token[0] == 0) {
                return exit_status;
            }
        }
        snprintf(token, sizeof(token), "%s", response->next_page_token);
        list.request.page_token = token;
        arena_reset(&context->arena);
    }
}

const struct command command_list = {.name = "list", .summary = "list panics", .run = run_list};

/* ---- resolve ID ---- */

enum { KEY_OUTCOME = 0x100 };

static const struct argp_option resolve_options[] = {
    {"outcome", KEY_OUTCOME, "TEXT", 0, "How it ended (default \"resolved\")", 0},
    {0},
};

static error_t parse_resolve(int key, char *arg, struct argp_state *state)
{
    Panic__V1__ResolvePanicRequest *request = state->input;
    if (key == KEY_OUTCOME) {
        request->outcome = arg;
        return 0;
    }
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &request->id;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static int run_resolve(struct context *context, int argc, char **argv)
{
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    const struct argp id_argp = {.parser = parse_id};
    const struct argp_child children[] = {{.argp = &id_argp}, {0}};
    const struct argp argp = {.options = resolve_options,
                              .parser = parse_resolve,
                              .args_doc = "ID",
                              .doc = "Close a panic that has been dealt with; frees its responder.",
                              .children = children};
    command_parse("resolve", &argp, argc, argv, &request);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    const Panic__V1__ResolvePanicResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_resolve(context->client, &request, context->globals.timeout_us,
                                              &context->arena, &response, &diag);
    if (status != STATUS_OK) {
        return command_fail(context, status, &diag);
    }
    if (context->globals.json) {
        return output_json(context, &response->panic->base);
    }
    output_panic(context, response->panic);
    return EXIT_SUCCESS;
}

const struct command command_resolve = {
    .name = "resolve", .summary = "close a panic that has been dealt with", .run = run_resolve};

/* ---- health ---- */

static int run_health(struct context *context, int argc, char **argv)
{
    const struct argp argp = {.doc = "Ask whether the server takes requests; exit status 0 when it does."};
    command_parse("health", &argp, argc, argv, NULL);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    Health__V1__CheckRequest request = HEALTH__V1__CHECK_REQUEST__INIT;
    const Health__V1__CheckResponse *response;
    struct diag diag = {0};
    enum status status = panic_client_check(context->client, &request, context->globals.timeout_us,
                                            &context->arena, &response, &diag);
    if (status != STATUS_OK) {
        return command_fail(context, status, &diag);
    }
    bool serving = response->status == HEALTH__V1__CHECK_RESPONSE__SERVING_STATUS__SERVING_STATUS_SERVING;
    if (context->globals.json) {
        output_json(context, &response->base);
    } else {
        printf("%s\n", serving ? "serving" : "not serving");
    }
    return serving ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command command_health = {
    .name = "health", .summary = "ask whether the server takes requests", .run = run_health};
