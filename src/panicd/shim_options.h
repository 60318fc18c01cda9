/*
 * The options of panic-shim: from the command line, else from the environment (PANIC_SHIM_<OPTION>), else the
 * default.
 */
#ifndef PANICD_SHIM_OPTIONS_H
#define PANICD_SHIM_OPTIONS_H

#include "panicd/edge_options.h"

struct shim_options {
    struct edge_options edge;
    const char *upstream;
    /* PEM file; NULL = none. */
    const char *upstream_ca;
};

/* As options_parse(). */
void shim_options_parse(int argc, char **argv, struct shim_options *ret_options);

#endif
