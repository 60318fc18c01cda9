/*
 * watch: prints changes as they come. One call after another, each of which the server keeps until there is
 * something to tell; where the watch stands is a sequence, so a server that goes and comes back costs nothing
 * but time. The first call does not wait: what it brings is the sequence where "from now on" begins, which
 * would begin anew with every repeat of a call that has not been answered.
 */
#include <stdio.h>
#include <stdlib.h>

#include "json/json.h"
#include "panicctl/command.h"
#include "panicctl/output.h"

#define WAIT_MS 15000
/* Beyond the wait: the way there and back. */
#define CALL_US (20 * US_PER_S)

enum { KEY_AFTER = 0x100 };

static const struct argp_option watch_options[] = {
    {"after", KEY_AFTER, "N", 0,
     "Go on behind the change with sequence N; 0 = from the start (default: a panic from its start, all from "
     "now "
     "on)",
     0},
    {0},
};

struct watch {
    char *id;
    bool has_after;
    int64_t after;
};

static error_t parse_watch(int key, char *arg, struct argp_state *state)
{
    struct watch *watch = state->input;
    switch (key) {
    case KEY_AFTER:
        watch->has_after = true;
        watch->after = (int64_t)command_number(state, "--after", arg, 0, 9007199254740991.0);
        return 0;
    case ARGP_KEY_ARG:
        if (watch->id != NULL) {
            argp_error(state, "one ID at a time");
        }
        watch->id = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool print_event(struct context *context, const Panic__V1__PanicEvent *event)
{
    if (!context->globals.json) {
        output_event(event);
        return true;
    }
    /* One line each: a stream that other programs read. */
    struct json_text text;
    if (json_print(&event->base, NULL, &context->arena, &text) != STATUS_OK) {
        return false;
    }
    printf("%s\n", text.data);
    return true;
}

static bool may_pass(enum status status)
{
    return status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE_EXCEEDED ||
           status == STATUS_RESOURCE_EXHAUSTED;
}

/* False when nobody reads any more, or an event cannot be told. */
static bool print_page(struct context *context, const Panic__V1__ListEventsResponse *page)
{
    bool printed = true;
    for (size_t i = 0; i < page->n_events && printed; i++) {
        printed = print_event(context, page->events[i]);
    }
    return printed && fflush(stdout) == 0;
}

static int follow(struct context *context, Panic__V1__ListEventsRequest *request)
{
    bool is_away = false;
    for (;;) {
        const Panic__V1__ListEventsResponse *page;
        struct diag diag = {0};
        enum status status =
            panic_client_list_events(context->client, request, CALL_US, &context->arena, &page, &diag);
        if (status != STATUS_OK && !may_pass(status)) {
            return command_fail(context, status, &diag);
        }
        if (status != STATUS_OK && !is_away) {
            fprintf(stderr, "panicctl: %s: %s; going on when it is back\n", status_name(status), diag.text);
        }
        is_away = status != STATUS_OK;
        if (status == STATUS_OK) {
            request->wait_ms = WAIT_MS;
            if (!print_page(context, page)) {
                return EXIT_FAILURE;
            }
            if (page->closed) {
                return EXIT_SUCCESS;
            }
            request->after_sequence = page->last_sequence;
        }
        arena_reset(&context->arena);
    }
}

static int run_watch(struct context *context, int argc, char **argv)
{
    struct watch watch = {0};
    const struct argp argp = {
        .options = watch_options,
        .parser = parse_watch,
        .args_doc = "[ID]",
        .doc = "Print changes as they come: of one panic until it is closed, or of all until interrupted."};
    command_parse("watch", &argp, argc, argv, &watch);
    if (!command_connect(context)) {
        return EXIT_FAILURE;
    }
    Panic__V1__ListEventsRequest request = PANIC__V1__LIST_EVENTS_REQUEST__INIT;
    request.after_sequence = watch.has_after || watch.id != NULL ? watch.after : -1;
    if (watch.id != NULL) {
        request.panic_id = watch.id;
    }
    return follow(context, &request);
}

const struct command command_watch = {
    .name = "watch", .summary = "print changes of panics as they come", .run = run_watch};
