/*
 * The scan against hand-made bytes, and against unpack: whatever it passes must unpack within a call's
 * memory.
 */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "google/protobuf/struct.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/alloc.h"
#include "rpc/call.h"
#include "rpc/v1/rpc.pb-c.h"
#include "unit/rpc/mutation.h"
#include "unit/rpc/wire.h"

#define CREATE (&panic__v1__create_panic_request__descriptor)
#define PANIC (&panic__v1__panic__descriptor)
#define ENVELOPE (&rpc__v1__request__descriptor)

/* Field numbers of CreatePanicRequest and what is in it. */
enum { CREATE_ID = 1, CREATE_LOCATION = 4, CREATE_METADATA = 5, CREATE_MODE = 7, CREATE_STRICT = 8 };
enum { LOCATION_LAT = 1, LOCATION_FIX_TIME = 5 };
enum {
    STRUCT_FIELDS = 1,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    VALUE_STRING = 3,
    VALUE_STRUCT = 5,
    VALUE_LIST = 6
};

/* A message with packed fields, which panicd's own protos lack: written as protoc-c would. */
struct numbers {
    ProtobufCMessage base;
    size_t n_ints;
    int32_t *ints;
    size_t n_bools;
    protobuf_c_boolean *bools;
    size_t n_doubles;
    double *doubles;
    int32_t required;
};

#define NUMBERS_FIELD(field_name, number, field_type, field_label, quantifier)                               \
    {                                                                                                        \
        .name = #field_name, .id = (number), .label = (field_label), .type = (field_type),                   \
        .quantifier_offset = (quantifier), .offset = offsetof(struct numbers, field_name)                    \
    }

static const ProtobufCFieldDescriptor numbers_fields[] = {
    NUMBERS_FIELD(ints, 1, PROTOBUF_C_TYPE_INT32, PROTOBUF_C_LABEL_REPEATED,
                  offsetof(struct numbers, n_ints)),
    NUMBERS_FIELD(bools, 2, PROTOBUF_C_TYPE_BOOL, PROTOBUF_C_LABEL_REPEATED,
                  offsetof(struct numbers, n_bools)),
    NUMBERS_FIELD(doubles, 3, PROTOBUF_C_TYPE_DOUBLE, PROTOBUF_C_LABEL_REPEATED,
                  offsetof(struct numbers, n_doubles)),
    NUMBERS_FIELD(required, 4, PROTOBUF_C_TYPE_INT32, PROTOBUF_C_LABEL_REQUIRED, 0),
};

static const ProtobufCIntRange numbers_ranges[] = {{1, 0}, {0, 4}};
static const unsigned numbers_by_name[] = {1, 2, 0, 3};

static const ProtobufCMessageDescriptor numbers_descriptor = {
    .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
    .name = "Numbers",
    .sizeof_message = sizeof(struct numbers),
    .n_fields = 4,
    .fields = numbers_fields,
    .fields_sorted_by_name = numbers_by_name,
    .n_field_ranges = 1,
    .field_ranges = numbers_ranges,
};

#define NUMBERS (&numbers_descriptor)

struct refusal {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    const char *bytes;
    size_t length;
    /* What diag must say. */
    const char *text;
};

#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct refusal refusals[] = {
    {"tag cut", CREATE, BYTES("\x8A"), "message: a field's number is cut, too long or 0"},
    {"tag of six bytes", CREATE, BYTES("\x88\x80\x80\x80\x80\x01\x00"), "message: a field's number"},
    {"tag beyond 32 bits", CREATE, BYTES("\x88\x80\x80\x80\x10\x00"), "message: a field's number"},
    {"field number 0", CREATE, BYTES("\x02\x00"), "message: a field's number"},
    {"length missing", CREATE, BYTES("\x0A"), "id: its length is cut or too long"},
    {"length of six bytes", CREATE, BYTES("\x0A\x80\x80\x80\x80\x80\x00"),
     "id: its length is cut or too long"},
    {"length beyond the message", CREATE,
     BYTES("\x0A\x05"
           "abcd"),
     "id: is longer than what encloses it"},
    {"length of 4 GiB", CREATE, BYTES("\x0A\xFF\xFF\xFF\xFF\x0F"), "id: is longer than what encloses it"},
    {"length beyond the inner message", CREATE, BYTES("\x22\x03\x2A\x05\x08\x01\x10\x01\x18"),
     "location.fix_time: is longer than what encloses it"},
    {"number cut", CREATE, BYTES("\x38\x80"), "mode: a number is cut or too long"},
    {"number of eleven bytes", CREATE, BYTES("\x38\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
     "mode: a number is cut or too long"},
    {"number beyond 64 bits", CREATE, BYTES("\x38\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02"),
     "mode: a number is cut or too long"},
    {"double cut", CREATE,
     BYTES("\x22\x05\x09"
           "1234"),
     "location.lat: is cut"},
    {"unknown fixed32 cut", CREATE,
     BYTES("\x9D\x06"
           "123"),
     "field 99: is cut"},
    {"unknown fixed64 cut", CREATE,
     BYTES("\x99\x06"
           "1234567"),
     "field 99: is cut"},
    {"unknown bytes cut", CREATE,
     BYTES("\x9A\x06\x02"
           "x"),
     "field 99: is longer than what encloses it"},
    {"unknown number cut", CREATE, BYTES("\x98\x06\xFF"), "field 99: a number is cut or too long"},
    {"group", CREATE, BYTES("\x9B\x06\x9C\x06"), "field 99: groups are not supported"},
    {"end of a group", CREATE, BYTES("\x9C\x06"), "field 99: groups are not supported"},
    {"wire type 6", CREATE, BYTES("\x9E\x06"), "field 99: has no valid wire type"},
    {"wire type 7", CREATE, BYTES("\x9F\x06"), "field 99: has no valid wire type"},
    {"text as number", CREATE, BYTES("\x08\x01"), "id: has the wrong wire type"},
    {"number as text", CREATE, BYTES("\x3A\x01\x01"), "mode: has the wrong wire type"},
    {"boolean as fixed64", CREATE,
     BYTES("\x41"
           "12345678"),
     "strict: has the wrong wire type"},
    {"message as number", CREATE, BYTES("\x20\x01"), "location: has the wrong wire type"},
    {"text not UTF-8", CREATE, BYTES("\x0A\x01\xFF"), "id: text is not valid UTF-8 or holds NUL"},
    {"text with NUL", CREATE,
     BYTES("\x0A\x03"
           "a\0b"),
     "id: text is not valid UTF-8 or holds NUL"},
    {"text with NUL in a long run", CREATE,
     BYTES("\x0A\x10"
           "abcdefgh1234567\0"),
     "id: text is not"},
    {"text cut in a character", CREATE, BYTES("\x0A\x02\xE2\x82"), "id: text is not valid UTF-8"},
    {"surrogate", CREATE, BYTES("\x0A\x03\xED\xA0\x80"), "id: text is not valid UTF-8"},
    {"overlong slash", CREATE, BYTES("\x0A\x02\xC0\xAF"), "id: text is not valid UTF-8"},
    {"overlong of three", CREATE, BYTES("\x0A\x03\xE0\x80\xAF"), "id: text is not valid UTF-8"},
    {"above U+10FFFF", CREATE, BYTES("\x0A\x04\xF4\x90\x80\x80"), "id: text is not valid UTF-8"},
    {"key of a map not UTF-8", CREATE, BYTES("\x2A\x05\x0A\x03\x0A\x01\xC3"),
     "metadata.fields.key: text is not"},
    {"value of a map not UTF-8", CREATE, BYTES("\x2A\x07\x0A\x05\x12\x03\x1A\x01\xC3"),
     "metadata.fields.value.string_value: text is not"},
    {"message given twice", CREATE, BYTES("\x22\x00\x22\x00"), "location: is given twice"},
    {"packed number cut", NUMBERS, BYTES("\x0A\x02\x01\x80"), "ints: a number is cut or too long"},
    {"packed boolean of 2", NUMBERS, BYTES("\x12\x02\x01\x02"), "bools: a packed boolean is neither 0 nor 1"},
    {"packed boolean of two bytes", NUMBERS, BYTES("\x12\x02\x80\x00"), "bools: a packed boolean"},
    {"packed doubles with a remainder", NUMBERS,
     BYTES("\x1A\x09"
           "123456789"),
     "doubles: packed numbers do not"},
    {"singular number packed", NUMBERS, BYTES("\x22\x01\x01"), "required: has the wrong wire type"},
    {"required field missing", NUMBERS, BYTES("\x08\x01"), "required: is required"},
};

/* A copy of exactly the length, so that asan sees every byte read behind it. */
static uint8_t *exact_copy(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

static enum status scan(const ProtobufCMessageDescriptor *descriptor, const void *bytes, size_t length,
                        struct diag *diag)
{
    uint8_t *copy = exact_copy(bytes, length);
    enum status status = scan_message(descriptor, copy, length, NULL, NULL, diag);
    free(copy);
    return status;
}

static void test_each_malformation_is_refused_with_its_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        struct diag diag = {.text = ""};
        if (scan(r->descriptor, r->bytes, r->length, &diag) != STATUS_INVALID_ARGUMENT ||
            strncmp(diag.text, r->text, strlen(r->text)) != 0) {
            fail_msg("%s: diag is \"%s\", expected \"%s\"", r->name, diag.text, r->text);
        }
    }
}

static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *descriptor;
    const char *bytes;
    size_t length;
} accepted[] = {
    {"empty", CREATE, BYTES("")},
    {"characters of all lengths", CREATE,
     BYTES("\x0A\x0A"
           "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\xA8")},
    {"last code point", CREATE, BYTES("\x0A\x04\xF4\x8F\xBF\xBF")},
    {"number longer than needed", CREATE, BYTES("\x38\x81\x80\x00")},
    {"negative enum of ten bytes", CREATE, BYTES("\x38\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01")},
    {"length longer than needed", CREATE,
     BYTES("\x0A\x81\x80\x80\x80\x00"
           "x")},
    {"unknown fields of every kind", CREATE,
     BYTES("\x98\x06\x01\x99\x06"
           "12345678"
           "\x9A\x06\x01\xFF\x9D\x06"
           "1234")},
    {"text given twice", CREATE,
     BYTES("\x0A\x01"
           "a"
           "\x0A\x01"
           "b")},
    {"oneof message given twice", CREATE, BYTES("\x2A\x08\x0A\x06\x12\x04\x2A\x00\x2A\x00")},
    {"NUL in bytes", ENVELOPE, BYTES("\x12\x01\x00")},
    {"packed and unpacked numbers", NUMBERS, BYTES("\x20\x01\x0A\x03\x01\x80\x01\x08\x05")},
    {"packed booleans", NUMBERS, BYTES("\x20\x01\x12\x02\x00\x01")},
    {"packed doubles", NUMBERS,
     BYTES("\x20\x01\x1A\x08"
           "12345678")},
    {"empty packed field", NUMBERS, BYTES("\x20\x01\x0A\x00")},
};

static bool unpacks(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t length,
                    size_t memory_max)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, memory_max);
    ProtobufCAllocator allocator = rpc_arena_allocator(&arena);
    bool ok = protobuf_c_message_unpack(descriptor, &allocator, length, bytes) != NULL;
    arena_reset(&arena);
    return ok;
}

static void test_unusual_but_valid_bytes_pass_and_unpack(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        struct diag diag = {.text = ""};
        if (scan(accepted[i].descriptor, accepted[i].bytes, accepted[i].length, &diag) != STATUS_OK) {
            fail_msg("%s: refused with \"%s\"", accepted[i].name, diag.text);
        }
        uint8_t *copy = exact_copy(accepted[i].bytes, accepted[i].length);
        if (!unpacks(accepted[i].descriptor, copy, accepted[i].length, RPC_ARENA_MAX)) {
            fail_msg("%s: does not unpack", accepted[i].name);
        }
        free(copy);
    }
}

/* A Value holding lists in lists: each level is two messages deep. */
static void nest_lists(struct wire *wire, unsigned levels)
{
    wire->length = 0;
    for (unsigned i = 0; i < levels; i++) {
        wire_wrap(wire, 1);
        wire_wrap(wire, VALUE_LIST);
    }
}

static void test_depth_is_bounded_to_the_level(void **state)
{
    (void)state;
    static struct wire wire;
    struct scan_limits limits = {.depth_max = 5, .elements_max = 100};
    struct diag diag;
    nest_lists(&wire, 2);
    assert_ok(
        scan_message(&google__protobuf__value__descriptor, wire.data, wire.length, &limits, NULL, &diag));
    limits.depth_max = 4;
    assert_status(
        scan_message(&google__protobuf__value__descriptor, wire.data, wire.length, &limits, NULL, &diag),
        STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "list_value.values.list_value.values: messages are nested deeper than 4");
}

static void test_30_kilobytes_of_nesting_are_refused(void **state)
{
    (void)state;
    static struct wire wire;
    nest_lists(&wire, 5000);
    assert_true(wire.length > 30000);
    struct diag diag;
    assert_status(scan(&google__protobuf__value__descriptor, wire.data, wire.length, &diag),
                  STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(diag.text, "nested deeper than 16"));
}

static void test_elements_are_bounded_to_the_one(void **state)
{
    (void)state;
    static struct wire wire;
    wire.length = 0;
    for (unsigned i = 0; i < scan_limits_default.elements_max; i++) {
        wire_number(&wire, 99, 1);
    }
    assert_ok(scan_message(CREATE, wire.data, wire.length, NULL, NULL, NULL));
    wire_number(&wire, 99, 1);
    struct diag diag;
    assert_status(scan_message(CREATE, wire.data, wire.length, NULL, NULL, &diag), STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "field 99: more than 4096 fields and elements");
}

static void test_packed_elements_count(void **state)
{
    (void)state;
    static const uint8_t doubles[8 * 5];
    static const uint8_t ints[5];
    struct scan_limits limits = {.depth_max = 1, .elements_max = 6};
    static struct wire wire;
    wire.length = 0;
    wire_bytes(&wire, 3, doubles, sizeof(doubles));
    wire_number(&wire, 4, 1);
    assert_status(scan_message(NUMBERS, wire.data, wire.length, &limits, NULL, NULL),
                  STATUS_INVALID_ARGUMENT);
    limits.elements_max = 7;
    assert_ok(scan_message(NUMBERS, wire.data, wire.length, &limits, NULL, NULL));
    wire_bytes(&wire, 1, ints, sizeof(ints));
    limits.elements_max = 12;
    assert_status(scan_message(NUMBERS, wire.data, wire.length, &limits, NULL, NULL),
                  STATUS_INVALID_ARGUMENT);
    limits.elements_max = 13;
    assert_ok(scan_message(NUMBERS, wire.data, wire.length, &limits, NULL, NULL));
}

/* The dearest request per byte: entries of a map, and fields that nobody knows. */
static void test_most_expensive_request_fits_a_call(void **state)
{
    (void)state;
    static struct wire wire;
    wire.length = 0;
    for (unsigned i = 0; i < scan_limits_default.elements_max - 1; i++) {
        wire_bytes(&wire, STRUCT_FIELDS, "", 0);
    }
    wire_wrap(&wire, CREATE_METADATA);
    assert_ok(scan_message(CREATE, wire.data, wire.length, NULL, NULL, NULL));
    assert_true(unpacks(CREATE, wire.data, wire.length, RPC_ARENA_MAX));
    wire.length = 0;
    for (unsigned i = 0; i < scan_limits_default.elements_max; i++) {
        wire_bytes(&wire, 99, "0123456789abcd", 14);
    }
    assert_ok(scan_message(CREATE, wire.data, wire.length, NULL, NULL, NULL));
    assert_true(unpacks(CREATE, wire.data, wire.length, RPC_ARENA_MAX));
}

static void make_valid_create(struct wire *wire)
{
    wire->length = 0;
    wire_text(wire, VALUE_STRING, "t\xC3\xBCr 5");
    wire_wrap(wire, ENTRY_VALUE);
    wire_text(wire, ENTRY_KEY, "door");
    wire_wrap(wire, STRUCT_FIELDS);
    wire_bytes(wire, STRUCT_FIELDS, "\x0A\x01l\x12\x0C\x32\x0A\x0A\x02\x20\x01\x0A\x04\x1A\x02hi", 17);
    wire_wrap(wire, CREATE_METADATA);
    wire_text(wire, CREATE_ID, "0190a5c1-7b5e-7000-8000-000000000001");
    wire_bytes(wire, CREATE_LOCATION, "\x09\x11\x12\x13\x14\x15\x16\x17\x18\x2A\x04\x08\x01\x10\x02", 15);
    wire_number(wire, CREATE_MODE, 1);
    wire_number(wire, CREATE_STRICT, 1);
    wire_number(wire, 99, 7);
}

static void make_valid_numbers(struct wire *wire)
{
    wire->length = 0;
    wire_bytes(wire, 1, "\x01\xFF\x01\x03\x80\x80\x01", 7);
    wire_number(wire, 1, 77);
    wire_bytes(wire, 2, "\x01\x00\x01", 3);
    wire_bytes(wire, 3, "12345678abcdefgh", 16);
    wire_number(wire, 4, 5);
}

static void make_valid_envelope(struct wire *wire)
{
    wire->length = 0;
    wire_text(wire, 1, "traceparent");
    wire_text(wire, 2, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    wire_wrap(wire, 4);
    wire_text(wire, 1, "/panic.v1.PanicService/CreatePanic");
    wire_bytes(wire, 2, "\x0A\x01x", 3);
    wire_number(wire, 3, 5000);
}

static unsigned run_mutations(const ProtobufCMessageDescriptor *descriptor, void (*make_valid)(struct wire *),
                              uint64_t seed, unsigned cases)
{
    static struct wire valid;
    static struct wire wire;
    make_valid(&valid);
    unsigned passed = 0;
    for (unsigned i = 0; i < cases; i++) {
        wire.length = 0;
        wire_raw(&wire, valid.data, valid.length);
        mutation_apply(&wire, &seed);
        uint8_t *copy = exact_copy(wire.data, wire.length);
        if (scan_message(descriptor, copy, wire.length, NULL, NULL, NULL) == STATUS_OK) {
            passed++;
            if (!unpacks(descriptor, copy, wire.length, RPC_ARENA_MAX)) {
                fail_msg("%s: case %u passes the scan and does not unpack", descriptor->name, i);
            }
        }
        free(copy);
    }
    return passed;
}

static void test_whatever_the_scan_passes_unpacks(void **state)
{
    (void)state;
    /* Enough must pass for the loop to mean something. */
    assert_true(run_mutations(CREATE, make_valid_create, 1, 120000) > 12000);
    assert_true(run_mutations(NUMBERS, make_valid_numbers, 2, 60000) > 6000);
    assert_true(run_mutations(ENVELOPE, make_valid_envelope, 3, 60000) > 6000);
}

static void test_valid_messages_pass_as_they_are(void **state)
{
    (void)state;
    static struct wire wire;
    make_valid_create(&wire);
    assert_ok(scan(CREATE, wire.data, wire.length, NULL));
    make_valid_numbers(&wire);
    assert_ok(scan(NUMBERS, wire.data, wire.length, NULL));
    make_valid_envelope(&wire);
    assert_ok(scan(ENVELOPE, wire.data, wire.length, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_malformation_is_refused_with_its_path),
        cmocka_unit_test(test_unusual_but_valid_bytes_pass_and_unpack),
        cmocka_unit_test(test_valid_messages_pass_as_they_are),
        cmocka_unit_test(test_depth_is_bounded_to_the_level),
        cmocka_unit_test(test_30_kilobytes_of_nesting_are_refused),
        cmocka_unit_test(test_elements_are_bounded_to_the_one),
        cmocka_unit_test(test_packed_elements_count),
        cmocka_unit_test(test_most_expensive_request_fits_a_call),
        cmocka_unit_test(test_whatever_the_scan_passes_unpacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
