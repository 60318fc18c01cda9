#include "panic/view.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/alloc.h"
#include "rpc/encode.h"

/* Fields of panic/v1/panic.proto, and of every response that carries one panic. */
enum { PANIC_DURABLE = 4, PANIC_VERSION = 5, RESPONSE_PANIC = 1 };

/* Longest head of a field, and what view_set_stored() adds. */
#define HEAD_MAX ((size_t)ENCODE_NUMBER_MAX)
#define STORED_FIELDS_MAX ((size_t)2 * ENCODE_NUMBER_MAX)

/* All that a view needs beyond its content, in one piece of memory. */
struct view {
    Panic__V1__Panic panic;
    Panic__V1__Assignment assignment;
    Google__Protobuf__Timestamp create_time;
    Google__Protobuf__Timestamp update_time;
    Google__Protobuf__Timestamp assign_time;
    char id[ID_TEXT_SIZE];
};

static void set_time(Google__Protobuf__Timestamp *time, int64_t wall_us)
{
    google__protobuf__timestamp__init(time);
    time->seconds = wall_us / US_PER_S;
    time->nanos = (int32_t)(wall_us % US_PER_S * 1000);
    if (time->nanos < 0) {
        time->seconds--;
        time->nanos += 1000000000;
    }
}

static void set_assignment(struct view *view, const struct store_panic *row)
{
    panic__v1__assignment__init(&view->assignment);
    set_time(&view->assign_time, row->assign_time_us);
    view->assignment.responder_id = (char *)row->responder_id;
    view->assignment.assign_time = &view->assign_time;
    view->assignment.distance_m = row->distance_m;
    view->panic.assignment = &view->assignment;
}

Panic__V1__Panic *view_build(const struct store_panic *row, const Panic__V1__CreatePanicRequest *content,
                             struct arena *arena)
{
    struct view *view = arena_alloc(arena, sizeof(*view));
    if (view == NULL) {
        return NULL;
    }
    Panic__V1__Panic *panic = &view->panic;
    panic__v1__panic__init(panic);
    set_time(&view->create_time, row->create_time_us);
    set_time(&view->update_time, row->update_time_us);
    panic->id = (char *)id_format(&row->id, view->id);
    panic->status = (Panic__V1__PanicStatus)row->status;
    panic->stage = (Panic__V1__PanicStage)row->stage;
    panic->durable = row->version > 0;
    panic->version = (int64_t)row->version;
    panic->create_time = &view->create_time;
    panic->update_time = &view->update_time;
    panic->attempts = row->attempts;
    panic->outcome = row->outcome != NULL ? (char *)row->outcome : (char *)protobuf_c_empty_string;
    panic->location = content->location;
    panic->metadata = content->metadata;
    panic->subject_id = content->subject_id;
    panic->device_id = content->device_id;
    panic->pressed_at = content->pressed_at;
    panic->mode = content->mode;
    if (row->responder_id != NULL) {
        set_assignment(view, row);
    }
    return panic;
}

Panic__V1__Panic *view_panic(const struct store_panic *row, struct arena *arena)
{
    ProtobufCAllocator allocator = rpc_arena_allocator(arena);
    Panic__V1__CreatePanicRequest *content =
        panic__v1__create_panic_request__unpack(&allocator, row->content.length, row->content.data);
    return content != NULL ? view_build(row, content, arena) : NULL;
}

Google__Protobuf__Timestamp *view_time(int64_t wall_us, struct arena *arena)
{
    Google__Protobuf__Timestamp *time = arena_alloc(arena, sizeof(*time));
    if (time != NULL) {
        set_time(time, wall_us);
    }
    return time;
}

struct view_key view_key(const char *tenant, const struct id *id)
{
    struct view_key key;
    size_t tenant_length = strlen(tenant);
    assert(tenant_length <= STORE_TENANT_MAX);
    memcpy(key.bytes, tenant, tenant_length);
    memcpy(key.bytes + tenant_length, id->bytes, sizeof(id->bytes));
    key.length = tenant_length + sizeof(id->bytes);
    return key;
}

/* Room for `length` bytes, with what view_set_stored() and view_reply() put before and behind. */
static struct view_packed packed_new(size_t length, size_t rest_max, struct arena *arena)
{
    const size_t size = HEAD_MAX + length + STORED_FIELDS_MAX + rest_max;
    uint8_t *room = arena_alloc(arena, size);
    return room != NULL ? (struct view_packed){.data = room + HEAD_MAX, .end = room + size}
                        : (struct view_packed){0};
}

struct view_packed view_pack(const Panic__V1__Panic *panic, size_t rest_max, struct arena *arena)
{
    struct view_packed packed = packed_new(panic__v1__panic__get_packed_size(panic), rest_max, arena);
    if (packed.data != NULL) {
        packed.length = panic__v1__panic__pack(panic, packed.data);
    }
    return packed;
}

static size_t room_behind(const struct view_packed *packed)
{
    return (size_t)(packed->end - packed->data) - packed->length;
}

struct view_packed view_pack_row(const struct store_panic *row, size_t rest_max, struct arena *arena)
{
    const Panic__V1__Panic *panic = view_panic(row, arena);
    return panic != NULL ? view_pack(panic, rest_max, arena) : (struct view_packed){0};
}

static void append_stored(struct view_packed *packed, bool durable, uint64_t version)
{
    assert(room_behind(packed) >= STORED_FIELDS_MAX);
    uint8_t *at = packed->data + packed->length;
    at = encode_any_number(at, PANIC_DURABLE, durable);
    at = encode_any_number(at, PANIC_VERSION, version);
    packed->length = (size_t)(at - packed->data);
}

struct view_packed view_pack_placeholder(const Panic__V1__Panic *panic, size_t rest_max, struct arena *arena)
{
    assert(!panic->durable && panic->version == 0);
    struct view_packed packed = view_pack(panic, rest_max, arena);
    packed.unstored_length = packed.length;
    if (packed.data != NULL) {
        append_stored(&packed, false, 0);
    }
    return packed;
}

void view_set_stored(struct view_packed *placeholder, uint64_t version)
{
    assert(placeholder->unstored_length > 0);
    placeholder->length = placeholder->unstored_length;
    append_stored(placeholder, true, version);
}

bool view_reply(struct rpc_call *call, const struct view_packed *panic, const ProtobufCMessage *rest)
{
    size_t rest_size = rest != NULL ? protobuf_c_message_get_packed_size(rest) : 0;
    if (panic->data == NULL || rest_size > room_behind(panic)) {
        return false;
    }
    size_t head_size = encode_head_size(panic->length);
    assert(head_size <= HEAD_MAX);
    uint8_t *response = panic->data - head_size;
    encode_head(response, RESPONSE_PANIC, panic->length);
    if (rest_size > 0) {
        protobuf_c_message_pack(rest, panic->data + panic->length);
    }
    rpc_call_reply_packed(call, response, head_size + panic->length + rest_size);
    return true;
}

void view_cache_put(struct cache *cache, const struct store_panic *row, const struct view_packed *panic)
{
    struct view_key key = view_key(row->tenant, &row->id);
    if (panic->data != NULL) {
        cache_put(cache, key.bytes, key.length, row->version, panic->data, panic->length);
    } else {
        cache_outdate(cache, key.bytes, key.length, row->version);
    }
}

bool view_cache_hold(struct cache *cache, const struct view_key *key)
{
    return cache_pin(cache, key->bytes, key->length, NULL, 0) == STATUS_OK;
}

bool view_cache_hold_change(struct cache *cache, const struct view_key *key, uint64_t version,
                            bool *ret_cached)
{
    bool held = view_cache_hold(cache, key);
    bool cached = cache_outdate(cache, key->bytes, key->length, version);
    if (ret_cached != NULL) {
        *ret_cached = cached;
    }
    return held;
}

void view_cache_let_go(struct cache *cache, const struct view_key *key)
{
    cache_unpin(cache, key->bytes, key->length);
}

enum status view_cache_pin(struct cache *cache, const struct view_key *key,
                           const struct view_packed *placeholder)
{
    return cache_pin(cache, key->bytes, key->length, placeholder->data, placeholder->length);
}

void view_cache_settle(struct cache *cache, const struct view_key *key, const struct view_packed *panic,
                       uint64_t version)
{
    if (panic->data != NULL) {
        cache_settle(cache, key->bytes, key->length, version, panic->data, panic->length);
    } else {
        cache_outdate(cache, key->bytes, key->length, version);
        cache_unpin_placeholder(cache, key->bytes, key->length);
    }
}

void view_cache_end_creation(struct cache *cache, const struct view_key *key)
{
    cache_unpin_placeholder(cache, key->bytes, key->length);
}

enum status view_cache_get(struct cache *cache, const struct view_key *key, struct arena *arena,
                           struct view_packed *ret_panic, bool *ret_durable)
{
    struct cache_value value;
    enum status status = cache_get(cache, key->bytes, key->length, arena, &value);
    if (status != STATUS_OK) {
        return status;
    }
    *ret_panic = packed_new(value.length, 0, arena);
    if (ret_panic->data == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    memcpy(ret_panic->data, value.bytes, value.length);
    ret_panic->length = value.length;
    *ret_durable = value.version > 0;
    return STATUS_OK;
}
