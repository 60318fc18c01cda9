/*
 * panicctl: the command line of panicd. Global options, then a command with its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "panicctl/command.h"

#define DEFAULT_SERVER "tcp://127.0.0.1:7070"
#define DEFAULT_TIMEOUT_S 10
#define ARENA_MAX ((size_t)64 * 1024 * 1024)

const char *argp_program_version = "panicctl " PANICD_VERSION;

static const struct command *const commands[] = {&command_create, &command_get,     &command_list,
                                                 &command_watch,  &command_resolve, &command_responder,
                                                 &command_health, &command_bench};

enum { KEY_SERVER = 0x100, KEY_JSON, KEY_TIMEOUT, KEY_TLS_CA };

static const struct argp_option descriptions[] = {
    {"server", KEY_SERVER, "URL", 0, "Address of panicd (default PANICD_SERVER, else " DEFAULT_SERVER ")", 0},
    {"json", KEY_JSON, NULL, 0, "Print the answer as JSON", 0},
    {"timeout", KEY_TIMEOUT, "SECONDS", 0, "How long to try (default 10)", 0},
    {"tls-ca", KEY_TLS_CA, "FILE", 0,
     "Authorities that a tls+tcp server's certificate is checked against, PEM", 0},
    {0},
};

struct invocation {
    struct globals globals;
    /* Index of the command in argv. */
    int command;
};

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct invocation *invocation = state->input;
    switch (key) {
    case KEY_SERVER:
        invocation->globals.server = arg;
        return 0;
    case KEY_JSON:
        invocation->globals.json = true;
        return 0;
    case KEY_TIMEOUT:
        invocation->globals.timeout_us =
            (int64_t)(command_number(state, "--timeout", arg, 0.001, 86400) * (double)US_PER_S);
        return 0;
    case KEY_TLS_CA:
        invocation->globals.tls_ca = arg;
        return 0;
    case ARGP_KEY_ARG:
        /* The command: what follows is its own. */
        invocation->command = state->next - 1;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "which command?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static char *help_filter(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_EXTRA) {
        return (char *)text;
    }
    char *list = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&list, &size);
    if (out == NULL) {
        return NULL;
    }
    fprintf(out, "Commands (panicctl COMMAND --help says more):\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    }
    fprintf(out, "\nExit status: 0 when the call succeeded, 64 on bad usage, else 1.");
    fclose(out);
    return list;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *server = getenv("PANICD_SERVER");
    struct invocation invocation = {.globals = {.server = server != NULL ? server : DEFAULT_SERVER,
                                                .timeout_us = DEFAULT_TIMEOUT_S * US_PER_S}};
    const struct argp argp = {.options = descriptions,
                              .parser = parse_one,
                              .args_doc = "COMMAND [OPTION...]",
                              .doc = "Create, read and resolve panics, and manage the responders.\v",
                              .help_filter = help_filter};
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &invocation);

    char **rest = argv + invocation.command;
    const struct command *command = find_command(rest[0]);
    if (command == NULL) {
        fprintf(stderr, "panicctl: \"%s\" is no command; panicctl --help lists them\n", rest[0]);
        return EX_USAGE;
    }
    struct context context = {.globals = invocation.globals};
    arena_init(&context.arena, NULL, 0, ARENA_MAX);
    int exit_status = command->run(&context, argc - invocation.command, rest);
    panic_client_close(context.client);
    arena_reset(&context.arena);
    return exit_status;
}
