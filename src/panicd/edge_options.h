/*
 * The options that panicd and panic-shim have in common: those of the HTTP edge and of the log. Each is also
 * read from the environment, as prefix and name: PANICD_HTTP, PANIC_SHIM_HTTP.
 */
#ifndef PANICD_EDGE_OPTIONS_H
#define PANICD_EDGE_OPTIONS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define EDGE_OPTIONS_ORIGINS_MAX 64
/* Longest list in the environment. */
#define EDGE_OPTIONS_LIST_MAX 4096
#define EDGE_OPTIONS_DEFAULT_HTTP "127.0.0.1:8080"

struct edge_options {
    /* "PANICD" or "PANIC_SHIM". Set before the options are parsed. */
    const char *prefix;
    /* ADDRESS:PORT; "" = no HTTP. */
    const char *http;
    bool http_tls;
    const char *origins[EDGE_OPTIONS_ORIGINS_MAX];
    size_t n_origins;
    enum log_level log_level;
    /* It was given on the command line or in the environment. */
    bool has_log_level;
    /* PEM files for listeners with TLS; NULL = none. */
    const char *tls_cert;
    const char *tls_key;
    /* Permit what goes over the network in the clear. */
    bool allow_plaintext;
};

/* A child for the parser of a program; its input is a struct edge_options. Keys below 0x100 and those from
 * 0x200 on are the program's. */
extern const struct argp edge_options_argp;

/* In the program's ARGP_KEY_END: what the command line left open from the environment, then the checks. */
void edge_options_end(struct edge_options *options, struct argp_state *state);

/* ---- for the program's own options ---- */

/* PREFIX_NAME; NULL when it is not set or empty. Before any thread starts. */
const char *edge_options_environment(const struct edge_options *options, const char *name);

/* The same as a flag: 1, true, 0, false. */
bool edge_options_flag(const struct edge_options *options, const char *name, struct argp_state *state);

/* Calls `add` for each item of a list. The items live in `copy`, which therefore has to stay. */
void edge_options_each(const struct edge_options *options, const char *name, struct argp_state *state,
                       char copy[EDGE_OPTIONS_LIST_MAX],
                       void (*add)(void *arg, const char *item, struct argp_state *state), void *arg);

/* 127.0.0.0/8, ::1 or localhost, as ADDRESS:PORT: needs no permission. */
bool edge_options_is_loopback(const char *address);

#endif
