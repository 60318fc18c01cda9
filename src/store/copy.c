/*
 * Copies go field by field into a copy on the stack first, so that the caller's struct is written whole or
 * not at all.
 */
#include "store/copy.h"

#include <string.h>

static bool copy_text_out(struct arena *arena, const char *text, const char **ret_text)
{
    *ret_text = text != NULL ? arena_copy(arena, text, strlen(text)) : NULL;
    return text == NULL || *ret_text != NULL;
}

static bool copy_bytes_out(struct arena *arena, const struct bytes *bytes, struct bytes *ret_bytes)
{
    const uint8_t *data = arena_copy(arena, bytes->data, bytes->length);
    *ret_bytes = (struct bytes){.data = data, .length = bytes->length};
    return data != NULL;
}

bool panic_copy_out(struct arena *arena, const struct store_panic *panic, struct store_panic *ret_panic)
{
    struct store_panic copy = *panic;
    if (!copy_text_out(arena, panic->tenant, &copy.tenant) ||
        !copy_text_out(arena, panic->responder_id, &copy.responder_id) ||
        !copy_text_out(arena, panic->outcome, &copy.outcome) ||
        !copy_bytes_out(arena, &panic->content, &copy.content)) {
        return false;
    }
    *ret_panic = copy;
    return true;
}

bool event_copy_out(struct arena *arena, const struct store_event *event, struct store_event *ret_event)
{
    struct store_event copy = *event;
    if (!copy_text_out(arena, event->type, &copy.type) || !copy_text_out(arena, event->actor, &copy.actor)) {
        return false;
    }
    *ret_event = copy;
    return true;
}

bool responder_copy_out(struct arena *arena, const struct store_responder *responder,
                        struct store_responder *ret_responder)
{
    struct store_responder copy = *responder;
    if (!copy_text_out(arena, responder->tenant, &copy.tenant) ||
        !copy_text_out(arena, responder->id, &copy.id) ||
        !copy_bytes_out(arena, &responder->content, &copy.content)) {
        return false;
    }
    *ret_responder = copy;
    return true;
}

bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}
