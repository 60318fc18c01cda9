/*
 * The options of panicd: from the command line, else from the environment (PANICD_<OPTION>), else the
 * default.
 */
#ifndef PANICD_OPTIONS_H
#define PANICD_OPTIONS_H

#include "panicd/edge_options.h"

#define OPTIONS_LISTEN_MAX 16

struct options {
    struct edge_options edge;
    const char *listen[OPTIONS_LISTEN_MAX];
    size_t n_listen;
    const char *store;
    const char *cache;
};

/*
 * Ends the process: with 0 after --help or --version, with 64 (EX_USAGE) and a message that names the option
 * after bad usage. What *ret_options points to lives as long as the process.
 */
void options_parse(int argc, char **argv, struct options *ret_options);

#endif
