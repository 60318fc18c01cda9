/*
 * What a creator sent, made usable and canonical.
 *
 * Usable: an emergency is never refused for the wrong reason. Optional parts that cannot be true (a latitude
 * of 91, a press in 1970, metadata that is too large) are left out, each with a warning that names the field;
 * with `strict` they are refused instead. What was left out before, because it is over the limits of what is
 * read at all, counts as one of them. The rules do not depend on the time of day, so that a repeat is judged
 * like the original.
 *
 * Canonical: map entries in the order of their keys, the last of equal keys, nothing unknown, no id: two
 * requests mean the same exactly if their canonical bytes are equal, whatever order a client's library writes
 * maps in.
 */
#ifndef PANIC_CONTENT_H
#define PANIC_CONTENT_H

#include "base/arena.h"
#include "base/status.h"
#include "panic/v1/panic_service.pb-c.h"
#include "store/store.h"

#define CONTENT_WARNINGS_MAX 8
#define CONTENT_NAME_MAX 128
#define CONTENT_METADATA_MAX (6 * 1024)

/* Fields of CreatePanicRequest that a panic can do without, whatever is in them (rpc_binding.optional). */
extern const char *const content_optional[];

struct content {
    /* The request without what was left out; `id` and `strict` cleared. Points into the original and the
     * arena. */
    Panic__V1__CreatePanicRequest request;
    struct bytes packed;
    char *warnings[CONTENT_WARNINGS_MAX];
    size_t n_warnings;
};

/*
 * `left_out` says why parts are not in the request any more (rpc_call.left_out). INVALID_ARGUMENT, with the
 * field in diag, only for strict requests. RESOURCE_EXHAUSTED when the arena is full. Reorders the map
 * entries of `request` in place. Everything in *ret_content lives as long as `request` and the arena.
 */
MUST_USE enum status content_from_request(const Panic__V1__CreatePanicRequest *request,
                                          const char *const *left_out, size_t n_left_out, struct arena *arena,
                                          struct content *ret_content, struct diag *diag);

/* The warning that a part was left out for this reason. NULL when the arena is full. */
char *content_warning(struct arena *arena, const char *why);

#endif
