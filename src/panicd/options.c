#include "panicd/options.h"

#include <argp.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_LISTEN "tcp://127.0.0.1:7070"
#define DEFAULT_HTTP "127.0.0.1:8080"
#define DEFAULT_STORE "sqlite:panicd.db"
#define DEFAULT_CACHE "local:"
#define LISTEN_LIST_MAX 4096

const char *argp_program_version = "panicd " PANICD_VERSION;

enum {
    KEY_LISTEN = 0x100,
    KEY_HTTP,
    KEY_HTTP_ORIGIN,
    KEY_STORE,
    KEY_CACHE,
    KEY_LOG_LEVEL,
    KEY_TLS_CERT,
    KEY_TLS_KEY,
    KEY_ALLOW_PLAINTEXT
};

static const struct argp_option descriptions[] = {
    {"listen", KEY_LISTEN, "URL", 0,
     "Serve RPC on URL: tcp://HOST:PORT, ipc://PATH or tls+tcp://HOST:PORT; repeatable "
     "(default " DEFAULT_LISTEN ")",
     0},
    {"http", KEY_HTTP, "ADDRESS:PORT", 0,
     "Serve HTTP there, HTTPS with https:// before it; empty turns it off (default " DEFAULT_HTTP ")", 0},
    {"http-origin", KEY_HTTP_ORIGIN, "ORIGIN", 0,
     "Let web pages of this origin call, https://console.example; repeatable (default none)", 0},
    {"store", KEY_STORE, "URL", 0, "sqlite:PATH or memory: (default " DEFAULT_STORE ")", 0},
    {"cache", KEY_CACHE, "URL", 0, "local: (default)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "debug, info, warn or error (default info)", 0},
    {"tls-cert", KEY_TLS_CERT, "FILE", 0, "Certificate chain for tls+tcp and https, PEM", 0},
    {"tls-key", KEY_TLS_KEY, "FILE", 0, "Private key for tls+tcp and https, PEM", 0},
    {"allow-plaintext", KEY_ALLOW_PLAINTEXT, NULL, 0,
     "Permit tcp:// and HTTP beyond loopback, where anybody can read along", 0},
    {0},
};

static const char doc[] =
    "Take in panics, make them durable, and match each with the nearest responder."
    "\vEvery option may also be given in the environment, as PANICD_ and its name: PANICD_STORE=memory:, "
    "PANICD_LISTEN=\"tcp://127.0.0.1:7070 ipc:///run/panicd.sock\".\n\n"
    "Logs are JSON lines on standard error; one of them says \"ready\" once every listener serves. SIGTERM "
    "and Ctrl-C finish "
    "what was accepted and exit 0; a second one exits at once. Exit status: 64 bad usage, 74 I/O failure.";

/* Loopback needs no permission: 127.0.0.0/8, ::1 and localhost. */
static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

static void check_listeners(const struct options *options, struct argp_state *state)
{
    for (size_t i = 0; i < options->n_listen; i++) {
        const char *url = options->listen[i];
        if (strncmp(url, "tcp://", 6) == 0 && !is_loopback(url + 6) && !options->allow_plaintext) {
            argp_error(
                state,
                "--listen: %s is reachable from other machines, and what goes over it can be read; use "
                "tls+tcp://, or add --allow-plaintext",
                url);
        }
        if (strncmp(url, "tls+tcp://", 10) == 0 && (options->tls_cert == NULL || options->tls_key == NULL)) {
            argp_error(state, "--listen: %s needs --tls-cert and --tls-key", url);
        }
    }
}

/* "http://" and "https://" may stand before the address. */
static void set_http(struct options *options, const char *text)
{
    options->http_tls = strncmp(text, "https://", 8) == 0;
    options->http = text + (options->http_tls ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0);
}

static void check_http(const struct options *options, struct argp_state *state)
{
    if (options->http_tls && (options->tls_cert == NULL || options->tls_key == NULL)) {
        argp_error(state, "--http: https:// needs --tls-cert and --tls-key");
    }
    if (options->http[0] != 0 && !options->http_tls && !is_loopback(options->http) &&
        !options->allow_plaintext) {
        argp_error(state,
                   "--http: %s is reachable from other machines, and what goes over it can be read; put "
                   "https:// before it, or add --allow-plaintext",
                   options->http);
    }
}

static void add_origin(struct options *options, const char *origin, struct argp_state *state)
{
    if (options->n_http_origins == OPTIONS_ORIGINS_MAX) {
        argp_error(state, "--http-origin: more than %d times", OPTIONS_ORIGINS_MAX);
    }
    options->http_origins[options->n_http_origins++] = origin;
}

static void add_listener(struct options *options, const char *url, struct argp_state *state)
{
    if (options->n_listen == OPTIONS_LISTEN_MAX) {
        argp_error(state, "--listen: more than %d times", OPTIONS_LISTEN_MAX);
    }
    options->listen[options->n_listen++] = url;
}

static void set_log_level(struct options *options, const char *text, struct argp_state *state)
{
    if (log_level_parse(text, &options->log_level) != STATUS_OK) {
        argp_error(state, "--log-level: \"%s\" is none of debug, info, warn, error", text);
    }
}

static void set_cache(struct options *options, const char *url, struct argp_state *state)
{
    if (strcmp(url, "local:") != 0) {
        argp_error(state, "--cache: \"%s\" is not supported; use local:", url);
    }
    options->cache = url;
}

/* What the command line left open comes from the environment. Before any thread starts, so getenv is safe. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != 0 ? value : NULL;
}

/* Items of a list in the environment. The options point into the copy, which therefore stays. */
static void add_each_from(const char *name, struct options *options, struct argp_state *state,
                          char copy[LISTEN_LIST_MAX],
                          void (*add)(struct options *options, const char *item, struct argp_state *state))
{
    const char *list = environment(name);
    if (list == NULL) {
        return;
    }
    if ((size_t)snprintf(copy, LISTEN_LIST_MAX, "%s", list) >= LISTEN_LIST_MAX) {
        argp_error(state, "%s: longer than %d bytes", name, LISTEN_LIST_MAX - 1);
    }
    char *rest = copy;
    for (char *item = strsep(&rest, " ,"); item != NULL; item = strsep(&rest, " ,")) {
        if (item[0] != 0) {
            add(options, item, state);
        }
    }
}

static bool environment_flag(const char *name, struct argp_state *state)
{
    const char *value = environment(name);
    bool off = value == NULL || strcmp(value, "0") == 0 || strcasecmp(value, "false") == 0;
    bool on = !off && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
    if (!off && !on) {
        argp_error(state, "%s: \"%s\" is none of 1, true, 0, false", name, value);
    }
    return on;
}

static void fill_from_environment(struct options *options, struct argp_state *state)
{
    static char listen[LISTEN_LIST_MAX];
    static char origins[LISTEN_LIST_MAX];
    if (options->n_listen == 0) {
        add_each_from("PANICD_LISTEN", options, state, listen, add_listener);
    }
    if (options->n_http_origins == 0) {
        add_each_from("PANICD_HTTP_ORIGIN", options, state, origins, add_origin);
    }
    if (options->http == NULL) {
        /* Also the empty one counts: it turns HTTP off. */
        const char *http = getenv("PANICD_HTTP");
        set_http(options, http != NULL ? http : DEFAULT_HTTP);
    }
    if (options->n_listen == 0) {
        add_listener(options, DEFAULT_LISTEN, state);
    }
    const struct {
        const char **option;
        const char *name;
        const char *fallback;
    } texts[] = {{&options->store, "PANICD_STORE", DEFAULT_STORE},
                 {&options->tls_cert, "PANICD_TLS_CERT", NULL},
                 {&options->tls_key, "PANICD_TLS_KEY", NULL}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = environment(texts[i].name);
        if (*texts[i].option == NULL) {
            *texts[i].option = value != NULL ? value : texts[i].fallback;
        }
    }
    if (options->cache == NULL) {
        const char *cache = environment("PANICD_CACHE");
        set_cache(options, cache != NULL ? cache : DEFAULT_CACHE, state);
    }
    options->allow_plaintext = options->allow_plaintext || environment_flag("PANICD_ALLOW_PLAINTEXT", state);
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_LISTEN:
        add_listener(options, arg, state);
        return 0;
    case KEY_HTTP:
        set_http(options, arg);
        return 0;
    case KEY_HTTP_ORIGIN:
        add_origin(options, arg, state);
        return 0;
    case KEY_STORE:
        options->store = arg;
        return 0;
    case KEY_CACHE:
        set_cache(options, arg, state);
        return 0;
    case KEY_LOG_LEVEL:
        set_log_level(options, arg, state);
        return 0;
    case KEY_TLS_CERT:
        options->tls_cert = arg;
        return 0;
    case KEY_TLS_KEY:
        options->tls_key = arg;
        return 0;
    case KEY_ALLOW_PLAINTEXT:
        options->allow_plaintext = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\"", arg);
        return 0;
    case ARGP_KEY_INIT: {
        const char *level = environment("PANICD_LOG_LEVEL");
        if (level != NULL) {
            set_log_level(options, level, state);
        }
        return 0;
    }
    case ARGP_KEY_END:
        fill_from_environment(options, state);
        check_listeners(options, state);
        check_http(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
    *ret_options = (struct options){.log_level = LOG_INFO};
    const struct argp argp = {.options = descriptions, .parser = parse_one, .doc = doc};
    argp_parse(&argp, argc, argv, 0, NULL, ret_options);
}
