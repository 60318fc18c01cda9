/* Within json: what has to be done to JSON text before jansson reads it. */
#ifndef JSON_PREPARE_H
#define JSON_PREPARE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "json/json.h"

struct prepared {
    /* The text for jansson: the caller's own, or a rewritten one in the arena. */
    const char *text;
    size_t length;
    /* A JSON real of the value n.5 in it stands for the number numbers[n] of the caller's text. */
    struct json_text *numbers;
    size_t n_numbers;
};

/* INVALID_ARGUMENT when the text is nested deeper than JSON_DEPTH_MAX; RESOURCE_EXHAUSTED when the arena is
 * full. */
MUST_USE enum status json_prepare(const char *text, size_t length, struct arena *arena,
                                  struct prepared *ret_prepared, struct diag *diag);

/* Where in the caller's text a place of the prepared text is. */
size_t prepared_original_offset(const struct prepared *prepared, const char *text, size_t offset);

#endif
