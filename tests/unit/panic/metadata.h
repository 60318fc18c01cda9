/* Metadata for tests, built piece by piece in an arena. */
#ifndef UNIT_PANIC_METADATA_H
#define UNIT_PANIC_METADATA_H

#include <stdbool.h>

#include "base/arena.h"
#include "panic/v1/panic_service.pb-c.h"

/* `value` NULL: an entry without one, as the wire allows. */
struct member {
    const char *key;
    Google__Protobuf__Value *value;
};

Google__Protobuf__Value *make_number(struct arena *arena, double number);
Google__Protobuf__Value *make_text(struct arena *arena, const char *text);
Google__Protobuf__Value *make_bool(struct arena *arena, bool yes);
Google__Protobuf__Value *make_null(struct arena *arena, int number);
/* A value of no kind. */
Google__Protobuf__Value *make_unset(struct arena *arena);
Google__Protobuf__Value *make_list(struct arena *arena, size_t n, Google__Protobuf__Value **values);
Google__Protobuf__Value *make_object_value(struct arena *arena, size_t n, const struct member *members);
Google__Protobuf__Struct *make_object(struct arena *arena, size_t n, const struct member *members);

#endif
