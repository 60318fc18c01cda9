/*
 * What panicctl prints: a message as JSON, or for people as lines and tables.
 */
#ifndef PANICCTL_OUTPUT_H
#define PANICCTL_OUTPUT_H

#include "panicctl/command.h"

/* As indented ProtoJSON. Returns the exit status. */
int output_json(struct context *context, const ProtobufCMessage *message);

/* One panic: a line a fact. */
void output_panic(struct context *context, const Panic__V1__Panic *panic);

/* A table: heads, then rows. */
/* One change as a line. */
void output_event(const Panic__V1__PanicEvent *event);
void output_panic_head(void);
void output_panic_row(const Panic__V1__Panic *panic);
void output_responder_head(void);
void output_responder_row(const Panic__V1__Responder *responder);

#endif
