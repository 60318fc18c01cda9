/* Query strings: name=value&… with percent-encoding and '+' for a space (WHATWG URL,
 * application/x-www-form-urlencoded). */
#ifndef SHIM_QUERY_H
#define SHIM_QUERY_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "json/json.h"

/*
 * The value of the first parameter with this name, decoded, in the arena. NOT_FOUND when there is none;
 * INVALID_ARGUMENT for a percent sign that is not followed by two hexadecimal digits; RESOURCE_EXHAUSTED.
 * `query` may be NULL.
 */
MUST_USE enum status query_find(const char *query, const char *name, struct arena *arena,
                                struct json_text *ret_value);

#endif
