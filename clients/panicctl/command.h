/*
 * A command of panicctl: its own options and a function that carries it out. What every command has in common
 * is here: the global options, the connection, and how a call's failure is told.
 */
#ifndef PANICCTL_COMMAND_H
#define PANICCTL_COMMAND_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "c/panic_client.h"

struct globals {
    const char *server;
    /* PEM file of authorities for tls+tcp; NULL otherwise. */
    const char *tls_ca;
    bool json;
    int64_t timeout_us;
};

/* What a command works with. The client is opened by command_connect. */
struct context {
    struct globals globals;
    struct panic_client *client;
    /* Of everything that the command makes; freed with the context. */
    struct arena arena;
};

struct command {
    const char *name;
    const char *summary;
    /* Exit status: 0 only when the call succeeded. */
    int (*run)(struct context *context, int argc, char **argv);
};

extern const struct command command_create;
extern const struct command command_get;
extern const struct command command_list;
extern const struct command command_watch;
extern const struct command command_resolve;
extern const struct command command_responder;
extern const struct command command_health;
extern const struct command command_bench;

/* Parses a command's own options; ends the process with 64 on bad usage. `argv[0]` becomes "panicctl NAME" in
 * messages. */
void command_parse(const char *name, const struct argp *argp, int argc, char **argv, void *input);

/* True, or false after a message on standard error. */
bool command_connect(struct context *context);

/* Tells a failed call on standard error and returns the exit status for it. */
int command_fail(const struct context *context, enum status status, const struct diag *diag);

/* Memory for the command; ends the process when there is none. */
void *command_alloc(struct context *context, size_t size);

/* Number readers for options: end the process with 64 and the option's name on bad input. */
double command_number(struct argp_state *state, const char *option, const char *text, double min, double max);

#endif
