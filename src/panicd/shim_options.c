#include "panicd/shim_options.h"

#include <string.h>

#define DEFAULT_UPSTREAM "tcp://127.0.0.1:7070"

const char *argp_program_version = "panic-shim " PANICD_VERSION;

enum { KEY_UPSTREAM = 0x200, KEY_UPSTREAM_CA };

static const struct argp_option descriptions[] = {
    {"upstream", KEY_UPSTREAM, "URL", 0,
     "The panicd to pass calls on to: tcp://HOST:PORT, ipc://PATH or tls+tcp://HOST:PORT "
     "(default " DEFAULT_UPSTREAM ")",
     0},
    {"upstream-ca", KEY_UPSTREAM_CA, "FILE", 0,
     "Authorities that a tls+tcp upstream's certificate is checked against, PEM", 0},
    {0},
};

static const char doc[] =
    "Serve panicd's HTTP-JSON in a process of its own, and pass each call on to a panicd over nng."
    "\vEvery option may also be given in the environment, as PANIC_SHIM_ and its name: "
    "PANIC_SHIM_UPSTREAM=ipc:///run/panicd.sock.\n\n"
    "Logs are JSON lines on standard error; one of them says \"ready\" once HTTP is served, whether or not "
    "the "
    "upstream answers: that is what /readyz tells. SIGTERM and Ctrl-C finish what was accepted and exit 0; a "
    "second one exits at once. Exit status: 64 bad usage, 74 I/O failure.";

static void end(struct shim_options *options, struct argp_state *state)
{
    if (options->upstream == NULL) {
        const char *upstream = edge_options_environment(&options->edge, "UPSTREAM");
        options->upstream = upstream != NULL ? upstream : DEFAULT_UPSTREAM;
    }
    if (options->upstream_ca == NULL) {
        options->upstream_ca = edge_options_environment(&options->edge, "UPSTREAM_CA");
    }
    edge_options_end(&options->edge, state);
    if (options->edge.http[0] == 0) {
        argp_error(state, "--http: is all that panic-shim serves, and cannot be empty");
    }
    if (strncmp(options->upstream, "tls+tcp://", 10) == 0 && options->upstream_ca == NULL) {
        argp_error(state, "--upstream: %s needs --upstream-ca", options->upstream);
    }
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct shim_options *options = state->input;
    switch (key) {
    case KEY_UPSTREAM:
        options->upstream = arg;
        return 0;
    case KEY_UPSTREAM_CA:
        options->upstream_ca = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->edge;
        return 0;
    case ARGP_KEY_END:
        end(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void shim_options_parse(int argc, char **argv, struct shim_options *ret_options)
{
    static const struct argp_child children[] = {{.argp = &edge_options_argp}, {0}};
    const struct argp argp = {.options = descriptions, .parser = parse_one, .doc = doc, .children = children};
    *ret_options = (struct shim_options){.edge = {.prefix = "PANIC_SHIM"}};
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
