#include "panicd/options.h"

#include <string.h>

#define DEFAULT_LISTEN "tcp://127.0.0.1:7070"
#define DEFAULT_STORE "sqlite:panicd.db"
#define DEFAULT_CACHE "local:"

const char *argp_program_version = "panicd " PANICD_VERSION;

enum { KEY_LISTEN = 0x200, KEY_STORE, KEY_CACHE };

static const struct argp_option descriptions[] = {
    {"listen", KEY_LISTEN, "URL", 0,
     "Serve RPC on URL: tcp://HOST:PORT, ipc://PATH or tls+tcp://HOST:PORT; repeatable "
     "(default " DEFAULT_LISTEN ")",
     0},
    {"store", KEY_STORE, "URL", 0, "sqlite:PATH or memory: (default " DEFAULT_STORE ")", 0},
    {"cache", KEY_CACHE, "URL", 0, "local: (default)", 0},
    {0},
};

static const char doc[] =
    "Take in panics, make them durable, and match each with the nearest responder."
    "\vAn empty --http turns HTTP off. Every option may also be given in the environment, as PANICD_ and its "
    "name: PANICD_STORE=memory:, PANICD_LISTEN=\"tcp://127.0.0.1:7070 ipc:///run/panicd.sock\".\n\n"
    "Logs are JSON lines on standard error; one of them says \"ready\" once every listener serves. SIGTERM "
    "and Ctrl-C finish "
    "what was accepted and exit 0; a second one exits at once. Exit status: 64 bad usage, 74 I/O failure.";

static void check_listeners(const struct options *options, struct argp_state *state)
{
    for (size_t i = 0; i < options->n_listen; i++) {
        const char *url = options->listen[i];
        if (strncmp(url, "tcp://", 6) == 0 && !edge_options_is_loopback(url + 6) &&
            !options->edge.allow_plaintext) {
            argp_error(
                state,
                "--listen: %s is reachable from other machines, and what goes over it can be read; use "
                "tls+tcp://, or add --allow-plaintext",
                url);
        }
        if (strncmp(url, "tls+tcp://", 10) == 0 &&
            (options->edge.tls_cert == NULL || options->edge.tls_key == NULL)) {
            argp_error(state, "--listen: %s needs --tls-cert and --tls-key", url);
        }
    }
}

static void add_listener(void *arg, const char *url, struct argp_state *state)
{
    struct options *options = arg;
    if (options->n_listen == OPTIONS_LISTEN_MAX) {
        argp_error(state, "--listen: more than %d times", OPTIONS_LISTEN_MAX);
    }
    options->listen[options->n_listen++] = url;
}

static void set_cache(struct options *options, const char *url, struct argp_state *state)
{
    if (strcmp(url, "local:") != 0) {
        argp_error(state, "--cache: \"%s\" is not supported; use local:", url);
    }
    options->cache = url;
}

static void fill_from_environment(struct options *options, struct argp_state *state)
{
    static char listen[EDGE_OPTIONS_LIST_MAX];
    if (options->n_listen == 0) {
        edge_options_each(&options->edge, "LISTEN", state, listen, add_listener, options);
    }
    if (options->n_listen == 0) {
        add_listener(options, DEFAULT_LISTEN, state);
    }
    if (options->store == NULL) {
        const char *store = edge_options_environment(&options->edge, "STORE");
        options->store = store != NULL ? store : DEFAULT_STORE;
    }
    if (options->cache == NULL) {
        const char *cache = edge_options_environment(&options->edge, "CACHE");
        set_cache(options, cache != NULL ? cache : DEFAULT_CACHE, state);
    }
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_LISTEN:
        add_listener(options, arg, state);
        return 0;
    case KEY_STORE:
        options->store = arg;
        return 0;
    case KEY_CACHE:
        set_cache(options, arg, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->edge;
        return 0;
    case ARGP_KEY_END:
        fill_from_environment(options, state);
        edge_options_end(&options->edge, state);
        check_listeners(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct argp_child children[] = {{.argp = &edge_options_argp}, {0}};
    const struct argp argp = {.options = descriptions, .parser = parse_one, .doc = doc, .children = children};
    *ret_options = (struct options){.edge = {.prefix = "PANICD"}};
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
