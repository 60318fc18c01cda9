/*
 * Creates with optional parts of every size, written by hand, and what the scan says of them. For tests.
 */
#ifndef UNIT_RPC_CREATE_PARTS_H
#define UNIT_RPC_CREATE_PARTS_H

#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "panic/v1/panic_service.pb-c.h"
#include "rpc/alloc.h"
#include "rpc/call.h"
#include "unit/rpc/wire.h"

#define CREATE (&panic__v1__create_panic_request__descriptor)
#define BIT(number) (UINT64_C(1) << (number))

enum { CREATE_ID = 1, CREATE_LOCATION = 4, CREATE_METADATA = 5, CREATE_PRESSED_AT = 6, CREATE_MODE = 7 };
enum { LOCATION_FIX_TIME = 5, STRUCT_FIELDS = 1, ENTRY_VALUE = 2, VALUE_STRING = 3, VALUE_LIST = 6 };

/* Lists in one another in metadata that are just not too deep. */
#define LISTS_MAX 6

static const struct scan_limits limits = {.depth_max = 16,
                                          .elements_max = 4096,
                                          .optional = BIT(CREATE_LOCATION) | BIT(CREATE_METADATA) |
                                                      BIT(CREATE_PRESSED_AT)};

static inline void add(struct wire *wire, const struct wire *more)
{
    wire_raw(wire, more->data, more->length);
}

/* Metadata with one entry, of lists in one another; `innermost` is the content of a Value. */
static inline void put_lists(struct wire *wire, unsigned lists, const void *innermost, size_t length)
{
    static struct wire field;
    field.length = 0;
    wire_raw(&field, innermost, length);
    for (unsigned i = 0; i < lists; i++) {
        wire_wrap(&field, 1);
        wire_wrap(&field, VALUE_LIST);
    }
    wire_wrap(&field, ENTRY_VALUE);
    wire_wrap(&field, STRUCT_FIELDS);
    wire_wrap(&field, CREATE_METADATA);
    add(wire, &field);
}

static inline void put_deep(struct wire *wire)
{
    put_lists(wire, LISTS_MAX + 1, "", 0);
}

/* The field with so many elements, itself included. */
static inline void put_elements(struct wire *wire, uint32_t number, unsigned n)
{
    static struct wire field;
    field.length = 0;
    for (unsigned i = 1; i < n; i++) {
        /* Entries in metadata, and nothing known anywhere else. */
        wire_bytes(&field, number == CREATE_METADATA ? STRUCT_FIELDS : 99, "", 0);
    }
    wire_wrap(&field, number);
    add(wire, &field);
}

static inline void put_many(struct wire *wire)
{
    put_elements(wire, CREATE_METADATA, 4097);
}

static inline void put_unknown(struct wire *wire, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        wire_number(wire, 99, i);
    }
}

static inline struct wire *empty(void)
{
    static struct wire wire;
    wire.length = 0;
    return &wire;
}

/* A copy of exactly the length, so that asan sees every byte read behind it. */
static inline enum status scan_with(const struct scan_limits *with, const struct wire *wire,
                                    struct scan_parts *ret_parts, struct diag *diag)
{
    uint8_t *copy = malloc(wire->length > 0 ? wire->length : 1);
    assert_non_null(copy);
    memcpy(copy, wire->data, wire->length);
    enum status status = scan_message(CREATE, copy, wire->length, with, ret_parts, diag);
    free(copy);
    return status;
}

static inline bool unpacks(const struct wire *wire)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, RPC_ARENA_MAX);
    ProtobufCAllocator allocator = rpc_arena_allocator(&arena);
    bool ok = protobuf_c_message_unpack(CREATE, &allocator, wire->length, wire->data) != NULL;
    arena_reset(&arena);
    return ok;
}

/* What is to be left out, as "metadata location ", and the message that is left; it must be fit to unpack. */
static inline const char *left_out_of(const struct wire *wire, struct wire *ret_rest)
{
    static char names[128];
    struct scan_parts parts;
    struct diag diag;
    if (scan_with(&limits, wire, &parts, &diag) != STATUS_OK) {
        fail_msg("refused: %s", diag.text);
    }
    names[0] = 0;
    size_t n = 0;
    for (size_t i = 0; i < parts.n; i++) {
        if (parts.part[i].excess != SCAN_WITHIN) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof(names) - used, "%s ", parts.part[i].field->name);
            n++;
        }
    }
    assert_int_equal(n, parts.n_left_out);
    ret_rest->length = scan_without(&parts, wire->data, wire->length, ret_rest->data);
    assert_ok(scan_with(NULL, ret_rest, NULL, &diag));
    assert_true(unpacks(ret_rest));
    return names;
}

static inline void expect_left_out(const struct wire *wire, const char *names)
{
    static struct wire rest;
    assert_string_equal(left_out_of(wire, &rest), names);
}

#endif
