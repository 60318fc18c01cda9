/* Error details of the Connect protocol: what is wrong with which field, for programs. */
#ifndef SHIM_DETAILS_H
#define SHIM_DETAILS_H

#include "base/status.h"
#include "json/writer.h"

/*
 * Writes the member "details", one google.rpc.BadRequest with one field violation, when the request was wrong
 * and `text` begins with the path of a field: "location.lat: expected number, got string". Writes nothing
 * otherwise.
 */
void details_write(struct writer *writer, enum status status, const char *text);

#endif
