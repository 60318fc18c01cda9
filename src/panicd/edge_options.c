#include "panicd/edge_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shim/cors.h"

#define VARIABLE_MAX 64

enum { KEY_HTTP = 0x100, KEY_HTTP_ORIGIN, KEY_LOG_LEVEL, KEY_TLS_CERT, KEY_TLS_KEY, KEY_ALLOW_PLAINTEXT };

static const struct argp_option descriptions[] = {
    {"http", KEY_HTTP, "ADDRESS:PORT", 0,
     "Serve HTTP there, HTTPS with https:// before it (default " EDGE_OPTIONS_DEFAULT_HTTP ")", 0},
    {"http-origin", KEY_HTTP_ORIGIN, "ORIGIN", 0,
     "Let web pages of this origin call, https://console.example; repeatable (default none)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "debug, info, warn or error (default info)", 0},
    {"tls-cert", KEY_TLS_CERT, "FILE", 0, "Certificate chain of listeners with TLS, PEM", 0},
    {"tls-key", KEY_TLS_KEY, "FILE", 0, "Private key of listeners with TLS, PEM", 0},
    {"allow-plaintext", KEY_ALLOW_PLAINTEXT, NULL, 0,
     "Permit HTTP and tcp:// beyond loopback, where anybody can read along", 0},
    {0},
};

bool edge_options_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}

static void variable_of(const struct edge_options *options, const char *name, char ret_text[VARIABLE_MAX])
{
    snprintf(ret_text, VARIABLE_MAX, "%s_%s", options->prefix, name);
}

const char *edge_options_environment(const struct edge_options *options, const char *name)
{
    char variable[VARIABLE_MAX];
    variable_of(options, name, variable);
    const char *value = getenv(variable);
    return value != NULL && value[0] != 0 ? value : NULL;
}

bool edge_options_flag(const struct edge_options *options, const char *name, struct argp_state *state)
{
    const char *value = edge_options_environment(options, name);
    bool off = value == NULL || strcmp(value, "0") == 0 || strcasecmp(value, "false") == 0;
    bool on = !off && (strcmp(value, "1") == 0 || strcasecmp(value, "true") == 0);
    if (!off && !on) {
        argp_error(state, "%s_%s: \"%s\" is none of 1, true, 0, false", options->prefix, name, value);
    }
    return on;
}

void edge_options_each(const struct edge_options *options, const char *name, struct argp_state *state,
                       char copy[EDGE_OPTIONS_LIST_MAX],
                       void (*add)(void *arg, const char *item, struct argp_state *state), void *arg)
{
    const char *list = edge_options_environment(options, name);
    if (list == NULL) {
        return;
    }
    if ((size_t)snprintf(copy, EDGE_OPTIONS_LIST_MAX, "%s", list) >= EDGE_OPTIONS_LIST_MAX) {
        argp_error(state, "%s_%s: longer than %d bytes", options->prefix, name, EDGE_OPTIONS_LIST_MAX - 1);
    }
    char *rest = copy;
    for (char *item = strsep(&rest, " ,"); item != NULL; item = strsep(&rest, " ,")) {
        if (item[0] != 0) {
            add(arg, item, state);
        }
    }
}

/* "http://" and "https://" may stand before the address. */
static void set_http(struct edge_options *options, const char *text)
{
    options->http_tls = strncmp(text, "https://", 8) == 0;
    options->http = text + (options->http_tls ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0);
}

static void add_origin(void *arg, const char *origin, struct argp_state *state)
{
    struct edge_options *options = arg;
    if (options->n_origins == EDGE_OPTIONS_ORIGINS_MAX) {
        argp_error(state, "--http-origin: more than %d times", EDGE_OPTIONS_ORIGINS_MAX);
    }
    if (!cors_is_origin(origin)) {
        argp_error(
            state,
            "--http-origin: \"%s\" is not an origin such as https://console.example, in small letters, "
            "without a path or slash behind",
            origin);
    }
    options->origins[options->n_origins++] = origin;
}

static void set_log_level(struct edge_options *options, const char *source, const char *text,
                          struct argp_state *state)
{
    if (log_level_parse(text, &options->log_level) != STATUS_OK) {
        argp_error(state, "%s: \"%s\" is none of debug, info, warn, error", source, text);
    }
    options->has_log_level = true;
}

static void log_level_from_environment(struct edge_options *options, struct argp_state *state)
{
    const char *level = edge_options_environment(options, "LOG_LEVEL");
    if (level != NULL) {
        char variable[VARIABLE_MAX];
        variable_of(options, "LOG_LEVEL", variable);
        set_log_level(options, variable, level, state);
    } else {
        options->log_level = LOG_INFO;
    }
}

static void check_http(const struct edge_options *options, struct argp_state *state)
{
    if (options->http[0] != 0 && strchr(options->http, ':') == NULL) {
        argp_error(state, "--http: \"%s\" is not ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080",
                   options->http);
    }
    if (options->http_tls && (options->tls_cert == NULL || options->tls_key == NULL)) {
        argp_error(state, "--http: https:// needs --tls-cert and --tls-key");
    }
    if (options->http[0] != 0 && !options->http_tls && !edge_options_is_loopback(options->http) &&
        !options->allow_plaintext) {
        argp_error(state,
                   "--http: %s is reachable from other machines, and what goes over it can be read; put "
                   "https:// before it, or add --allow-plaintext",
                   options->http);
    }
}

void edge_options_end(struct edge_options *options, struct argp_state *state)
{
    static char origins[EDGE_OPTIONS_LIST_MAX];
    if (!options->has_log_level) {
        log_level_from_environment(options, state);
    }
    if (options->n_origins == 0) {
        edge_options_each(options, "HTTP_ORIGIN", state, origins, add_origin, options);
    }
    if (options->http == NULL) {
        /* Also the empty one counts: it turns HTTP off. */
        char variable[VARIABLE_MAX];
        variable_of(options, "HTTP", variable);
        const char *http = getenv(variable);
        set_http(options, http != NULL ? http : EDGE_OPTIONS_DEFAULT_HTTP);
    }
    if (options->tls_cert == NULL) {
        options->tls_cert = edge_options_environment(options, "TLS_CERT");
    }
    if (options->tls_key == NULL) {
        options->tls_key = edge_options_environment(options, "TLS_KEY");
    }
    options->allow_plaintext =
        options->allow_plaintext || edge_options_flag(options, "ALLOW_PLAINTEXT", state);
    check_http(options, state);
}

static error_t parse_one(int key, char *arg, struct argp_state *state)
{
    struct edge_options *options = state->input;
    switch (key) {
    case KEY_HTTP:
        set_http(options, arg);
        return 0;
    case KEY_HTTP_ORIGIN:
        add_origin(options, arg, state);
        return 0;
    case KEY_LOG_LEVEL:
        set_log_level(options, "--log-level", arg, state);
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
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp edge_options_argp = {.options = descriptions, .parser = parse_one};
