/* Within json: what has to be done to JSON text before jansson reads it. */
#ifndef JSON_PREPARE_H
#define JSON_PREPARE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "json/json.h"

/* What is too much of a member's value. */
enum too_much { TOO_MUCH_NOT = 0, TOO_MUCH_DEPTH, TOO_MUCH_VALUES };

#define JSON_TOO_DEEP_TEXT "nested deeper than %d objects and arrays"
#define JSON_TOO_MANY_TEXT "more than %zu keys and values"

/* A piece of the caller's text that jansson does not see. */
struct replaced {
    struct json_text text;
    /* TOO_MUCH_NOT: a number. Otherwise the value of a member of the outermost object. */
    enum too_much too_much;
};

struct prepared {
    /* The text for jansson: the caller's own, or a rewritten one in the arena. */
    const char *text;
    size_t length;
    /* A JSON real of the value n.5 in it stands for replaced[n]. */
    struct replaced *replaced;
    size_t n_replaced;
};

/*
 * INVALID_ARGUMENT when the text is nested deeper than JSON_DEPTH_MAX; RESOURCE_EXHAUSTED when the arena is
 * full. With `optional` not NULL, members of the outermost object that are too much are replaced, whether
 * they are optional or not.
 */
MUST_USE enum status json_prepare(const char *text, size_t length, const struct json_optional *optional,
                                  struct arena *arena, struct prepared *ret_prepared, struct diag *diag);

/* Where in the caller's text a place of the prepared text is. */
size_t prepared_original_offset(const struct prepared *prepared, const char *text, size_t offset);

#endif
