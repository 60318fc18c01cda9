/*
 * The options of panicd: from the command line, else from the environment (PANICD_<OPTION>), else the
 * default.
 */
#ifndef PANICD_OPTIONS_H
#define PANICD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define OPTIONS_LISTEN_MAX 16
#define OPTIONS_ORIGINS_MAX 64

struct options {
    const char *listen[OPTIONS_LISTEN_MAX];
    size_t n_listen;
    /* ADDRESS:PORT; "" = no HTTP. */
    const char *http;
    bool http_tls;
    const char *http_origins[OPTIONS_ORIGINS_MAX];
    size_t n_http_origins;
    const char *store;
    const char *cache;
    enum log_level log_level;
    /* PEM files for tls+tcp and https listeners; NULL = none. */
    const char *tls_cert;
    const char *tls_key;
    /* Permit listeners without TLS beyond loopback. */
    bool allow_plaintext;
};

/*
 * Ends the process: with 0 after --help or --version, with 64 (EX_USAGE) and a message that names the option
 * after bad usage. What *ret_options points to lives as long as the process.
 */
void options_parse(int argc, char **argv, struct options *ret_options);

#endif
