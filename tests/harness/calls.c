#include "harness/calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "harness/panicd.h"
#include "harness/test.h"

static void expect_ok(enum status status, const struct diag *diag, const char *what)
{
    if (status != STATUS_OK) {
        fail_msg("%s: %s: %s", what, status_name(status), diag->text);
    }
}

struct panic_client *calls_connect(const char *url)
{
    struct panic_client *client = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_open(url, &client, &diag), &diag, url);
    return client;
}

const Panic__V1__Panic *calls_create(struct panic_client *client, struct arena *arena, const char *id)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.location = &location;
    if (id != NULL) {
        request.id = (char *)id;
    }
    const Panic__V1__CreatePanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_create(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag,
              "create");
    return response->panic;
}

const Panic__V1__Panic *calls_get(struct panic_client *client, struct arena *arena, const char *id)
{
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)id;
    const Panic__V1__GetPanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_get(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag, "get");
    return response->panic;
}

const Panic__V1__Panic *calls_resolve(struct panic_client *client, struct arena *arena, const char *id,
                                      const char *outcome)
{
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)id;
    request.outcome = (char *)outcome;
    const Panic__V1__ResolvePanicResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_resolve(client, &request, HARNESS_PATIENCE_US, arena, &response, &diag), &diag,
              "resolve");
    return response->panic;
}

void calls_put_responder(struct panic_client *client, const char *id, double lat, double lng)
{
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = lat;
    location.lng = lng;
    responder.id = (char *)id;
    responder.location = &location;
    request.responder = &responder;
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);
    const Panic__V1__PutResponderResponse *response = NULL;
    struct diag diag = {0};
    expect_ok(panic_client_put_responder(client, &request, HARNESS_PATIENCE_US, &arena, &response, &diag),
              &diag, "put responder");
    arena_reset(&arena);
}

const Panic__V1__Panic *calls_wait_stage(struct panic_client *client, struct arena *arena, const char *id,
                                         Panic__V1__PanicStage stage)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    struct arena scratch;
    arena_init(&scratch, NULL, 0, 1024 * 1024);
    while (calls_get(client, &scratch, id)->stage != stage) {
        if (monotonic_us() > give_up_us) {
            fail_msg("panic %s did not come to stage %d", id, (int)stage);
        }
        arena_reset(&scratch);
    }
    arena_reset(&scratch);
    return calls_get(client, arena, id);
}

const Panic__V1__Panic *calls_wait_active(struct panic_client *client, struct arena *arena, const char *id)
{
    return calls_wait_stage(client, arena, id, PANIC__V1__PANIC_STAGE__PANIC_STAGE_ACCEPTED);
}

#define PAGE_MAX 500
#define PAGE_ARENA_MAX ((size_t)32 * 1024 * 1024)

size_t calls_each_panic(struct panic_client *client, void (*visit)(void *ctx, const Panic__V1__Panic *panic),
                        void *ctx)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, PAGE_ARENA_MAX);
    char token[64] = "";
    char last[ID_TEXT_SIZE] = "";
    size_t n = 0;
    do {
        Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
        request.page_size = PAGE_MAX;
        request.page_token = token;
        const Panic__V1__ListPanicsResponse *page = NULL;
        struct diag diag = {0};
        expect_ok(panic_client_list(client, &request, HARNESS_PATIENCE_US, &arena, &page, &diag), &diag,
                  "list");
        for (size_t i = 0; i < page->n_panics; i++) {
            if (strcmp(page->panics[i]->id, last) <= 0) {
                fail_msg("list: %s stands behind %s", page->panics[i]->id, last);
            }
            snprintf(last, sizeof(last), "%s", page->panics[i]->id);
            visit(ctx, page->panics[i]);
        }
        n += page->n_panics;
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        arena_reset(&arena);
    } while (token[0] != 0);
    return n;
}

/* A page may be empty and still lead on. */
static bool any_processing(struct panic_client *client, struct arena *arena)
{
    Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
    request.page_size = 1;
    request.status = PANIC__V1__PANIC_STATUS__PANIC_STATUS_PROCESSING;
    const Panic__V1__ListPanicsResponse *page = NULL;
    do {
        struct diag diag = {0};
        request.page_token = page != NULL ? page->next_page_token : request.page_token;
        expect_ok(panic_client_list(client, &request, HARNESS_PATIENCE_US, arena, &page, &diag), &diag,
                  "list");
    } while (page->n_panics == 0 && page->next_page_token[0] != 0);
    return page->n_panics > 0;
}

int64_t calls_wait_all_dispatched(struct panic_client *client)
{
    int64_t begin_us = monotonic_us();
    struct arena arena;
    arena_init(&arena, NULL, 0, PAGE_ARENA_MAX);
    while (any_processing(client, &arena)) {
        if (monotonic_us() > begin_us + HARNESS_PATIENCE_US) {
            fail_msg("panics without a responder are left");
        }
        arena_reset(&arena);
    }
    arena_reset(&arena);
    return monotonic_us() - begin_us;
}

/* Who has which panic, in the order in which they were found. */
struct pair {
    char panic[ID_TEXT_SIZE];
    char responder[65];
};

struct pairs {
    struct pair *all;
    size_t n;
    size_t room;
};

static void add_pair(struct pairs *pairs, const char *panic, const char *responder)
{
    if (pairs->n == pairs->room) {
        pairs->room = pairs->room == 0 ? 1024 : 2 * pairs->room;
        pairs->all = realloc(pairs->all, pairs->room * sizeof(*pairs->all));
        assert_non_null(pairs->all);
    }
    struct pair *pair = &pairs->all[pairs->n++];
    snprintf(pair->panic, sizeof(pair->panic), "%s", panic);
    snprintf(pair->responder, sizeof(pair->responder), "%s", responder);
}

static void note_active(void *ctx, const Panic__V1__Panic *panic)
{
    if (panic->status != PANIC__V1__PANIC_STATUS__PANIC_STATUS_ACTIVE || panic->assignment == NULL) {
        fail_msg("panic %s has status %d", panic->id, (int)panic->status);
        return;
    }
    add_pair(ctx, panic->id, panic->assignment->responder_id);
}

static void note_bound_responders(struct panic_client *client, struct pairs *pairs)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, PAGE_ARENA_MAX);
    char token[128] = "";
    do {
        Panic__V1__ListRespondersRequest request = PANIC__V1__LIST_RESPONDERS_REQUEST__INIT;
        request.page_size = PAGE_MAX;
        request.page_token = token;
        const Panic__V1__ListRespondersResponse *page = NULL;
        struct diag diag = {0};
        expect_ok(panic_client_list_responders(client, &request, HARNESS_PATIENCE_US, &arena, &page, &diag),
                  &diag, "list responders");
        for (size_t i = 0; i < page->n_responders; i++) {
            if (page->responders[i]->panic_id[0] != 0) {
                add_pair(pairs, page->responders[i]->panic_id, page->responders[i]->id);
            }
        }
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        arena_reset(&arena);
    } while (token[0] != 0);
}

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->responder, ((const struct pair *)b)->responder);
}

size_t calls_expect_all_active(struct panic_client *client)
{
    struct pairs of_panics = {0};
    struct pairs of_responders = {0};
    calls_each_panic(client, note_active, &of_panics);
    note_bound_responders(client, &of_responders);
    assert_int_equal(of_panics.n, of_responders.n);
    if (of_panics.all == NULL || of_responders.all == NULL) {
        return 0;
    }
    qsort(of_panics.all, of_panics.n, sizeof(struct pair), compare_pairs);
    qsort(of_responders.all, of_responders.n, sizeof(struct pair), compare_pairs);
    for (size_t i = 0; i < of_panics.n; i++) {
        if (i > 0 && strcmp(of_panics.all[i].responder, of_panics.all[i - 1].responder) == 0) {
            fail_msg("responder %s has panics %s and %s", of_panics.all[i].responder, of_panics.all[i].panic,
                     of_panics.all[i - 1].panic);
        }
        assert_string_equal(of_panics.all[i].responder, of_responders.all[i].responder);
        assert_string_equal(of_panics.all[i].panic, of_responders.all[i].panic);
    }
    free(of_panics.all);
    free(of_responders.all);
    return of_panics.n;
}
