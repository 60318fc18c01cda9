#include "panicctl/command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

void command_parse(const char *name, const struct argp *argp, int argc, char **argv, void *input)
{
    /* The process has one command; argp keeps the name for its messages. */
    static char full_name[64];
    snprintf(full_name, sizeof(full_name), "panicctl %s", name);
    char *own_name = argv[0];
    argv[0] = full_name;
    argp_parse(argp, argc, argv, 0, NULL, input);
    argv[0] = own_name;
}

static bool is_tls(const struct context *context)
{
    return strncmp(context->globals.server, "tls+tcp://", 10) == 0;
}

bool command_connect(struct context *context)
{
    if (is_tls(context) && context->globals.tls_ca == NULL) {
        fprintf(stderr, "panicctl: --server: %s needs --tls-ca\n", context->globals.server);
        return false;
    }
    struct diag diag = {0};
    enum status status =
        panic_client_open_tls(context->globals.server, context->globals.tls_ca, &context->client, &diag);
    if (status != STATUS_OK) {
        fprintf(stderr, "panicctl: --server: %s\n", diag.text);
    }
    return status == STATUS_OK;
}

int command_fail(const struct context *context, enum status status, const struct diag *diag)
{
    fprintf(stderr, "panicctl: %s: %s\n", status_name(status), diag->text);
    bool unanswered = status == STATUS_UNAVAILABLE || status == STATUS_DEADLINE_EXCEEDED;
    if (unanswered && is_tls(context)) {
        fprintf(
            stderr,
            "panicctl: is panicd running at %s, with a certificate for that name by an authority of %s?\n",
            context->globals.server, context->globals.tls_ca);
    } else if (unanswered) {
        fprintf(stderr, "panicctl: is panicd running at %s? Name another address with --server.\n",
                context->globals.server);
    }
    return status == STATUS_INVALID_ARGUMENT ? EX_USAGE : EXIT_FAILURE;
}

void *command_alloc(struct context *context, size_t size)
{
    void *memory = arena_alloc_zero(&context->arena, size);
    if (memory == NULL) {
        fprintf(stderr, "panicctl: out of memory\n");
        exit(EX_OSERR);
    }
    return memory;
}

double command_number(struct argp_state *state, const char *option, const char *text, double min, double max)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end != 0 || errno != 0 || !isfinite(value) || value < min || value > max) {
        argp_error(state, "%s: \"%s\" is not a number between %g and %g", option, text, min, max);
    }
    return value;
}
