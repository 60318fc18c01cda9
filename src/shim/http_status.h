/* What a status is called in HTTP and in the Connect protocol (https://connectrpc.com/docs/protocol). */
#ifndef SHIM_HTTP_STATUS_H
#define SHIM_HTTP_STATUS_H

#include <stddef.h>

#include "base/status.h"

/* The HTTP status for an error: 404 for NOT_FOUND. 200 for OK. */
int http_status_of(enum status status);

/* The Connect code: "not_found". */
const char *connect_code_of(enum status status);

/* The phrase of RFC 9110: "Not Found". */
const char *http_phrase(int http_status);

/* The statuses that this server answers with, numbered, so that answers can be counted by them. */
#define HTTP_STATUSES 20
/* HTTP_STATUSES for any other. */
size_t http_status_index(int http_status);
int http_status_at(size_t index);

#endif
