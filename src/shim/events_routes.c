/*
 * Where to go on is said by Last-Event-ID, which browsers send by themselves when they come back, or by
 * `after` in the query, which is for first connections: the header is the later word.
 */
#include "shim/events_routes.h"

#include <string.h>

#include "shim/query.h"

#define PANIC_PREFIX "/panic/"
#define DIGITS_MAX 18
#define FROM_NOW (-1)

static void refuse(const struct request *request, enum status status, const char *text, struct arena *arena,
                   struct plan *plan)
{
    answer_error(&plan->answer, answer_plain_style(request_header(request, "Accept")), 0, status, text,
                 arena);
}

static bool parse_sequence(const char *text, int64_t *ret_sequence)
{
    size_t length = strlen(text);
    if (length == 0 || length > DIGITS_MAX || strspn(text, "0123456789") != length) {
        return false;
    }
    int64_t sequence = 0;
    for (size_t i = 0; i < length; i++) {
        sequence = sequence * 10 + (text[i] - '0');
    }
    *ret_sequence = sequence;
    return true;
}

static bool take_place(const struct request *request, struct arena *arena, struct plan *plan)
{
    const char *last_event_id = request_header(request, "Last-Event-ID");
    if (last_event_id != NULL) {
        if (parse_sequence(last_event_id, &plan->events.after)) {
            return true;
        }
        refuse(request, STATUS_INVALID_ARGUMENT, "Last-Event-ID: expected the id of an event of this server",
               arena, plan);
        return false;
    }
    struct json_text after;
    enum status status = query_find(request->query, "after", arena, &after);
    if (status == STATUS_NOT_FOUND) {
        return true;
    }
    if (status == STATUS_OK && parse_sequence(after.data, &plan->events.after)) {
        return true;
    }
    refuse(request, STATUS_INVALID_ARGUMENT, "after: expected the id of an event, or 0 for the start", arena,
           plan);
    return false;
}

bool events_routes_plan(const struct request *request, struct arena *arena, struct plan *plan)
{
    plan->events.panic_id[0] = 0;
    plan->events.after = FROM_NOW;
    if (strncmp(request->path, PANIC_PREFIX, strlen(PANIC_PREFIX)) == 0) {
        const char *text = request->path + strlen(PANIC_PREFIX);
        size_t length = strcspn(text, "/");
        struct id id;
        char copy[ID_TEXT_SIZE] = "";
        memcpy(copy, text, length < ID_TEXT_SIZE ? length : 0);
        if (id_parse(copy, &id) != STATUS_OK) {
            refuse(request, STATUS_NOT_FOUND, "Panic not found", arena, plan);
            return false;
        }
        id_format(&id, plan->events.panic_id);
        plan->events.after = 0;
    }
    return take_place(request, arena, plan);
}
