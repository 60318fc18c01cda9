/*
 * The log of a thread is an array that only the thread writes: an entry is complete before `sent` covers it,
 * and its answer has been read before `acknowledged` does; both counters are released and acquired. As a
 * thread has one create under way at a time, what is acknowledged is always the first part of its log.
 *
 * A panic's content follows from its thread and number, and its subject says which they are, so that a check
 * can go from any panic found to the entry it must belong to.
 */
#include "harness/creators.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "harness/calls.h"
#include "harness/panicd.h"
#include "harness/test.h"
#include "rpc/channel.h"

#if defined(__SANITIZE_ADDRESS__)
/*
 * A request that meets a connection just being lost may be leaked by nng 1.5: req0_pipe_close() stops the
 * pipe's send aio before it takes the socket's lock, and a message given to a stopped aio is never freed.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:envelope_request";
}
#endif

#define ATTEMPT_US (5 * US_PER_S)
#define ARENA_MAX ((size_t)1024 * 1024)

struct entry {
    char id[ID_TEXT_SIZE];
    /* The last check that found it. */
    unsigned found_by;
};

struct creator {
    struct creators *creators;
    unsigned number;
    struct rpc_channel *channel;
    pthread_t thread;
    struct entry *log;
    atomic_size_t sent;
    atomic_size_t acknowledged;
    atomic_size_t unanswered;
    atomic_size_t refused;
    atomic_size_t replayed;
};

struct creators {
    struct creators_config config;
    struct rpc_channel **channels;
    struct creator *all;
    unsigned checks;
    atomic_bool stopping;
    atomic_bool finish;
    bool joined;

    pthread_mutex_t lock;
    pthread_cond_t progress;
    /* Under lock. */
    size_t acknowledged;
    size_t allowed;
    bool broken;
    struct diag why;
};

/* What creator `number` sends as its n-th panic. */
struct wish {
    char subject[64];
    Panic__V1__CreatePanicRequest request;
    Panic__V1__Location location;
    Google__Protobuf__Timestamp pressed_at;
    Google__Protobuf__Struct metadata;
    Google__Protobuf__Struct__FieldsEntry entries[2];
    Google__Protobuf__Struct__FieldsEntry *entry_list[2];
    Google__Protobuf__Value values[2];
};

static void fill_metadata(struct wish *wish, size_t n)
{
    google__protobuf__struct__init(&wish->metadata);
    for (size_t i = 0; i < 2; i++) {
        google__protobuf__struct__fields_entry__init(&wish->entries[i]);
        google__protobuf__value__init(&wish->values[i]);
        wish->entries[i].value = &wish->values[i];
        wish->entry_list[i] = &wish->entries[i];
    }
    /* In the order of the keys, which is that of the stored form. */
    wish->entries[0].key = (char *)"battery";
    wish->values[0].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    wish->values[0].number_value = (double)(n % 101);
    wish->entries[1].key = (char *)"site";
    wish->values[1].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    wish->values[1].string_value = wish->subject;
    wish->metadata.fields = wish->entry_list;
    wish->metadata.n_fields = 2;
}

static void fill_wish(struct wish *wish, unsigned number, size_t n)
{
    panic__v1__create_panic_request__init(&wish->request);
    panic__v1__location__init(&wish->location);
    google__protobuf__timestamp__init(&wish->pressed_at);
    snprintf(wish->subject, sizeof(wish->subject), "creator-%u-%zu", number, n);
    wish->location.lat = -33.9 + (double)(n % 1000) * 0.0001;
    wish->location.lng = 18.4 + (double)number * 0.001;
    wish->location.accuracy_m = 12.5;
    wish->pressed_at.seconds = 1700000000 + (int64_t)n;
    fill_metadata(wish, n);
    wish->request.subject_id = wish->subject;
    wish->request.device_id = (char *)"button-7";
    wish->request.location = &wish->location;
    wish->request.pressed_at = &wish->pressed_at;
    wish->request.metadata = &wish->metadata;
    wish->request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_LIVE;
}

static bool same_message(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    uint8_t left[1024];
    uint8_t right[1024];
    if (a == NULL || b == NULL) {
        return a == b;
    }
    size_t size = protobuf_c_message_get_packed_size(a);
    if (size > sizeof(left) || size != protobuf_c_message_get_packed_size(b)) {
        return false;
    }
    protobuf_c_message_pack(a, left);
    protobuf_c_message_pack(b, right);
    return memcmp(left, right, size) == 0;
}

static bool is_as_sent(const Panic__V1__Panic *panic, const struct wish *wish, const char *id)
{
    return panic->durable && strcmp(panic->id, id) == 0 && strcmp(panic->subject_id, wish->subject) == 0 &&
           strcmp(panic->device_id, wish->request.device_id) == 0 && panic->mode == wish->request.mode &&
           panic->location != NULL && same_message(&panic->location->base, &wish->location.base) &&
           panic->metadata != NULL && same_message(&panic->metadata->base, &wish->metadata.base) &&
           panic->pressed_at != NULL && same_message(&panic->pressed_at->base, &wish->pressed_at.base);
}

static void PRINTF_LIKE(2, 3) break_rule(struct creators *creators, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&creators->lock);
    if (!creators->broken) {
        creators->broken = true;
        vsnprintf(creators->why.text, sizeof(creators->why.text), format, args);
    }
    pthread_cond_broadcast(&creators->progress);
    pthread_mutex_unlock(&creators->lock);
    va_end(args);
}

static void end_creating(struct creators *creators)
{
    pthread_mutex_lock(&creators->lock);
    atomic_store(&creators->stopping, true);
    pthread_cond_broadcast(&creators->progress);
    pthread_mutex_unlock(&creators->lock);
}

static void note_acknowledged(struct creator *creator)
{
    struct creators *creators = creator->creators;
    atomic_fetch_add(&creator->acknowledged, 1);
    pthread_mutex_lock(&creators->lock);
    creators->acknowledged++;
    pthread_cond_broadcast(&creators->progress);
    pthread_mutex_unlock(&creators->lock);
}

static void judge(struct creator *creator, const struct wish *wish, unsigned attempts,
                  const Panic__V1__CreatePanicResponse *response)
{
    if (!is_as_sent(response->panic, wish, wish->request.id)) {
        break_rule(creator->creators, "%s: %s was answered with something else", wish->subject,
                   wish->request.id);
    }
    if (response->replayed && attempts == 1) {
        break_rule(creator->creators, "%s: the first attempt was called a repeat", wish->subject);
    }
    if (response->n_warnings > 0) {
        break_rule(creator->creators, "%s: warned: %s", wish->subject, response->warnings[0]);
    }
    atomic_fetch_add(&creator->replayed, response->replayed ? 1 : 0);
}

/* Was there no answer, or none but that panicd is stopping? Both say: the same request again. */
static bool is_to_be_repeated(struct creator *creator, enum status status, const struct diag *why)
{
    if (status != STATUS_UNAVAILABLE && status != STATUS_DEADLINE_EXCEEDED) {
        return false;
    }
    bool refused = strstr(why->text, "shutting down") != NULL;
    atomic_fetch_add(refused ? &creator->refused : &creator->unanswered, 1);
    return true;
}

/* Until there is an answer, or nobody wants one any more. */
static void create_one(struct creator *creator, struct wish *wish, struct arena *arena)
{
    struct creators *creators = creator->creators;
    for (unsigned attempts = 1;; attempts++) {
        const ProtobufCMessage *response = NULL;
        struct diag why = {0};
        enum status status =
            rpc_channel_call_wait(creator->channel, &panic__v1__panic_service__descriptor, "CreatePanic",
                                  &wish->request.base, ATTEMPT_US, false, arena, &response, &why);
        if (status == STATUS_OK) {
            judge(creator, wish, attempts, (const Panic__V1__CreatePanicResponse *)response);
            note_acknowledged(creator);
            return;
        }
        if (!is_to_be_repeated(creator, status, &why)) {
            break_rule(creators, "%s, attempt %u: %s: %.120s", wish->subject, attempts, status_name(status),
                       why.text);
            end_creating(creators);
            return;
        }
        if (atomic_load(&creators->stopping) && !atomic_load(&creators->finish)) {
            return;
        }
        arena_reset(arena);
    }
}

/* Waits for its turn; false when it is time to end. */
static bool may_create(struct creators *creators)
{
    pthread_mutex_lock(&creators->lock);
    while (creators->acknowledged >= creators->allowed && !atomic_load(&creators->stopping)) {
        pthread_cond_wait(&creators->progress, &creators->lock);
    }
    pthread_mutex_unlock(&creators->lock);
    return !atomic_load(&creators->stopping);
}

static void *create_on(void *arg)
{
    struct creator *creator = arg;
    struct creators *creators = creator->creators;
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    for (size_t n = 0; n < creators->config.each_max && may_create(creators); n++) {
        struct wish wish;
        fill_wish(&wish, creator->number, n);
        struct id id = id_new_v7(clock_wall_us(clock_system()));
        wish.request.id = (char *)id_format(&id, creator->log[n].id);
        atomic_fetch_add(&creator->sent, 1);
        create_one(creator, &wish, &arena);
        arena_reset(&arena);
    }
    return NULL;
}

static void open_channels(struct creators *creators)
{
    const struct creators_config *config = &creators->config;
    for (size_t i = 0; i < config->n_urls; i++) {
        const struct rpc_channel_config channel = {.url = config->urls[i], .contexts = config->threads};
        struct diag diag = {0};
        if (rpc_channel_open(&channel, &creators->channels[i], &diag) != STATUS_OK) {
            fail_msg("%s: %s", config->urls[i], diag.text);
        }
    }
}

struct creators *creators_start(const struct creators_config *config)
{
    struct creators *creators = calloc(1, sizeof(*creators));
    assert_non_null(creators);
    creators->config = *config;
    creators->allowed = SIZE_MAX;
    creators->channels = calloc(config->n_urls, sizeof(struct rpc_channel *));
    creators->all = calloc(config->threads, sizeof(*creators->all));
    assert_true(creators->channels != NULL && creators->all != NULL);
    pthread_mutex_init(&creators->lock, NULL);
    pthread_cond_init(&creators->progress, NULL);
    open_channels(creators);
    for (unsigned i = 0; i < config->threads; i++) {
        struct creator *creator = &creators->all[i];
        creator->creators = creators;
        creator->number = i;
        creator->channel = creators->channels[i % config->n_urls];
        creator->log = calloc(config->each_max, sizeof(*creator->log));
        assert_non_null(creator->log);
        assert_int_equal(pthread_create(&creator->thread, NULL, create_on, creator), 0);
    }
    return creators;
}

static void expect_unbroken(struct creators *creators)
{
    pthread_mutex_lock(&creators->lock);
    bool broken = creators->broken;
    pthread_mutex_unlock(&creators->lock);
    if (broken) {
        fail_msg("%s", creators->why.text);
    }
}

void creators_allow(struct creators *creators, size_t acknowledged)
{
    pthread_mutex_lock(&creators->lock);
    creators->allowed = acknowledged;
    pthread_cond_broadcast(&creators->progress);
    pthread_mutex_unlock(&creators->lock);
}

void creators_wait(struct creators *creators, size_t acknowledged)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HARNESS_PATIENCE_US / US_PER_S;
    int waited = 0;
    pthread_mutex_lock(&creators->lock);
    while (creators->acknowledged < acknowledged && !creators->broken && waited == 0) {
        waited = pthread_cond_timedwait(&creators->progress, &creators->lock, &until);
    }
    size_t reached = creators->acknowledged;
    pthread_mutex_unlock(&creators->lock);
    expect_unbroken(creators);
    if (reached < acknowledged) {
        fail_msg("%zu creates were acknowledged, not %zu", reached, acknowledged);
    }
}

void creators_stop(struct creators *creators, bool finish)
{
    atomic_store(&creators->finish, finish);
    end_creating(creators);
    for (unsigned i = 0; i < creators->config.threads && !creators->joined; i++) {
        pthread_join(creators->all[i].thread, NULL);
    }
    creators->joined = true;
    expect_unbroken(creators);
}

struct creators_totals creators_totals(struct creators *creators)
{
    struct creators_totals totals = {0};
    for (unsigned i = 0; i < creators->config.threads; i++) {
        struct creator *creator = &creators->all[i];
        totals.sent += atomic_load(&creator->sent);
        totals.acknowledged += atomic_load(&creator->acknowledged);
        totals.unanswered += atomic_load(&creator->unanswered);
        totals.refused += atomic_load(&creator->refused);
        totals.replayed += atomic_load(&creator->replayed);
    }
    return totals;
}

/* Reads what fill_wish() wrote into the subject; false for anything else. */
static bool parse_subject(const char *subject, unsigned long *ret_number, unsigned long *ret_n)
{
    static const char prefix[] = "creator-";
    if (strncmp(subject, prefix, strlen(prefix)) != 0) {
        return false;
    }
    char *end;
    *ret_number = strtoul(subject + strlen(prefix), &end, 10);
    if (*end != '-') {
        return false;
    }
    *ret_n = strtoul(end + 1, &end, 10);
    return *end == 0;
}

static void find_entry(void *ctx, const Panic__V1__Panic *panic)
{
    struct creators *creators = ctx;
    unsigned long number = 0;
    unsigned long n = 0;
    if (!parse_subject(panic->subject_id, &number, &n) || number >= creators->config.threads ||
        n >= atomic_load(&creators->all[number].sent)) {
        fail_msg("panic %s of \"%s\" was sent by nobody", panic->id, panic->subject_id);
    }
    struct entry *entry = &creators->all[number].log[n];
    struct wish wish;
    fill_wish(&wish, (unsigned)number, n);
    if (!is_as_sent(panic, &wish, entry->id)) {
        fail_msg("panic %s of \"%s\" is not as it was sent", panic->id, panic->subject_id);
    }
    entry->found_by = creators->checks;
}

size_t creators_check(struct creators *creators, struct panic_client *client)
{
    creators->checks++;
    size_t *acknowledged = calloc(creators->config.threads, sizeof(*acknowledged));
    assert_non_null(acknowledged);
    for (unsigned i = 0; i < creators->config.threads; i++) {
        acknowledged[i] = atomic_load(&creators->all[i].acknowledged);
    }
    size_t listed = calls_each_panic(client, find_entry, creators);
    for (unsigned i = 0; i < creators->config.threads; i++) {
        for (size_t n = 0; n < acknowledged[i]; n++) {
            const struct entry *entry = &creators->all[i].log[n];
            if (entry->found_by != creators->checks) {
                fail_msg("panic %s (creator-%u-%zu) was acknowledged and is lost", entry->id, i, n);
            }
        }
    }
    free(acknowledged);
    return listed;
}

void creators_free(struct creators *creators)
{
    if (creators == NULL) {
        return;
    }
    for (size_t i = 0; i < creators->config.n_urls; i++) {
        rpc_channel_close(creators->channels[i]);
    }
    for (unsigned i = 0; i < creators->config.threads; i++) {
        free(creators->all[i].log);
    }
    pthread_cond_destroy(&creators->progress);
    pthread_mutex_destroy(&creators->lock);
    free(creators->channels);
    free(creators->all);
    free(creators);
}
