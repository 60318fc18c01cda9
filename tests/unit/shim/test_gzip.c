/* gzip in and out, with everything that can be wrong with it; and who wishes which coding. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "json/json.h"
#include "shim/coding.h"
#include "shim/gzip.h"

#define MAX 65536
#define ARENA_MAX (1024 * 1024)

static struct arena arena;
static struct arena scratch;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    arena_init(&scratch, NULL, 0, ARENA_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_reset(&arena);
    arena_reset(&scratch);
    return 0;
}

/* Packed by zlib as everybody does it, window and level other than ours; in static storage. */
static const char *pack(const char *data, size_t length, gz_header *head, size_t *ret_length)
{
    static char packed[2 * MAX];
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    if (head != NULL) {
        assert_int_equal(deflateSetHeader(&stream, head), Z_OK);
    }
    stream.next_out = (Bytef *)packed;
    stream.avail_out = sizeof(packed);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *ret_length = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

static enum status inflate_all(const char *data, size_t length, struct json_text *ret_content,
                               struct diag *diag)
{
    return gzip_inflate(data, length, MAX, &arena, &scratch, &ret_content->data, &ret_content->length, diag);
}

static void expect_refused(const char *data, size_t length, enum status expected, const char *text)
{
    struct json_text content = {NULL, 0};
    struct diag diag = {""};
    assert_int_equal(inflate_all(data, length, &content, &diag), expected);
    assert_null(content.data);
    if (strstr(diag.text, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, diag.text);
    }
    arena_reset(&arena);
    arena_reset(&scratch);
}

static void expect_content(const char *packed, size_t length, const char *expected, size_t expected_length)
{
    struct json_text content;
    struct diag diag = {""};
    if (inflate_all(packed, length, &content, &diag) != STATUS_OK) {
        fail_msg("%s", diag.text);
    }
    assert_int_equal(content.length, expected_length);
    assert_memory_equal(content.data, expected, expected_length);
    assert_int_equal(content.data[content.length], 0);
}

static void test_what_others_pack_is_unpacked(void **state)
{
    static const char text[] = "{\"location\":{\"lat\":-33.9,\"lng\":18.4}}";
    size_t length;
    (void)state;
    const char *packed = pack(text, strlen(text), NULL, &length);
    expect_content(packed, length, text, strlen(text));
    gz_header head = {
        .name = (Bytef *)(uintptr_t) "body.json", .comment = (Bytef *)(uintptr_t) "hello", .hcrc = 1};
    packed = pack(text, strlen(text), &head, &length);
    expect_content(packed, length, text, strlen(text));
}

static void test_nothing_packed_is_nothing(void **state)
{
    size_t length;
    (void)state;
    const char *packed = pack("", 0, NULL, &length);
    expect_content(packed, length, "", 0);
}

static void test_content_up_to_the_bound_and_no_more(void **state)
{
    size_t length;
    (void)state;
    char *zeros = calloc(1, MAX + 1);
    const char *packed = pack(zeros, MAX, NULL, &length);
    expect_content(packed, length, zeros, MAX);
    arena_reset(&arena);
    packed = pack(zeros, MAX + 1, NULL, &length);
    expect_refused(packed, length, STATUS_OUT_OF_RANGE, "longer than 65536 bytes");
    free(zeros);
}

static void test_bomb_is_refused_before_its_end_is_read(void **state)
{
    size_t length;
    (void)state;
    char *zeros = calloc(1, (size_t)16 * 1024 * 1024);
    const char *packed = pack(zeros, (size_t)16 * 1024 * 1024, NULL, &length);
    free(zeros);
    assert_in_range(length, 1, MAX);
    /* Its first half is enough to know. */
    expect_refused(packed, length / 2, STATUS_OUT_OF_RANGE, "longer than");
    struct json_text content;
    struct diag diag;
    assert_int_equal(inflate_all(packed, length, &content, &diag), STATUS_OUT_OF_RANGE);
    assert_in_range(arena.used, 1, MAX + 64);
    assert_in_range(scratch.used, 1, 64 * 1024);
}

static void test_cut_off_anywhere_is_refused(void **state)
{
    static const char text[] = "{\"metadata\":{\"triggerSource\":\"mobile-app\"}}";
    size_t length;
    (void)state;
    const char *packed = pack(text, strlen(text), NULL, &length);
    for (size_t cut = 0; cut < length; cut++) {
        expect_refused(packed, cut, STATUS_INVALID_ARGUMENT, "ends too early");
    }
}

static void test_what_stands_behind_the_end_is_refused(void **state)
{
    size_t length;
    char twice[256];
    (void)state;
    const char *packed = pack("{}", 2, NULL, &length);
    memcpy(twice, packed, length);
    twice[length] = 0;
    expect_refused(twice, length + 1, STATUS_INVALID_ARGUMENT, "behind its end");
    memcpy(twice + length, packed, length);
    expect_refused(twice, 2 * length, STATUS_INVALID_ARGUMENT, "behind its end");
}

static void test_wrong_checksum_and_wrong_length_are_refused(void **state)
{
    size_t length;
    char wrong[256];
    (void)state;
    const char *packed = pack("{\"id\":\"\"}", 9, NULL, &length);
    /* The last eight bytes: CRC-32, then the length. */
    memcpy(wrong, packed, length);
    wrong[length - 8] ^= 1;
    expect_refused(wrong, length, STATUS_INVALID_ARGUMENT, "data check");
    memcpy(wrong, packed, length);
    wrong[length - 4] ^= 1;
    expect_refused(wrong, length, STATUS_INVALID_ARGUMENT, "length check");
}

static void test_what_is_not_gzip_is_refused(void **state)
{
    static const char zlib_format[] = "\x78\x9c\x03\x00\x00\x00\x00\x01";
    (void)state;
    expect_refused("{}", 2, STATUS_INVALID_ARGUMENT, "gzip: ");
    expect_refused("{\"location\":null}", 17, STATUS_INVALID_ARGUMENT, "incorrect header");
    expect_refused(zlib_format, 8, STATUS_INVALID_ARGUMENT, "incorrect header");
    expect_refused("\x1f\x8b\x07\0\0\0\0\0\0\0\0\0", 12, STATUS_INVALID_ARGUMENT, "compression method");
}

static void test_memory_that_is_short_is_told(void **state)
{
    struct arena small;
    struct json_text content;
    struct diag diag;
    size_t length;
    (void)state;
    const char *packed = pack("{}", 2, NULL, &length);
    /* Room for nothing; for zlib's state, but not for its window. */
    static const size_t sizes[] = {0, 64, 8000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        arena_init(&small, NULL, 0, sizes[i]);
        assert_int_equal(
            gzip_inflate(packed, length, MAX, &small, &scratch, &content.data, &content.length, &diag),
            STATUS_RESOURCE_EXHAUSTED);
        assert_int_equal(gzip_deflate("{}", 2, &small, &content.data, &content.length),
                         STATUS_RESOURCE_EXHAUSTED);
        arena_reset(&small);
    }
    arena_init(&small, NULL, 0, 64);
    assert_int_equal(gzip_inflate(packed, length, MAX, &arena, &small, &content.data, &content.length, &diag),
                     STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(diag.text, "memory"));
    arena_reset(&small);
}

/* ---- codings ---- */

static void test_names_of_codings(void **state)
{
    (void)state;
    assert_int_equal(coding_of(NULL), CODING_IDENTITY);
    assert_int_equal(coding_of(""), CODING_IDENTITY);
    assert_int_equal(coding_of("identity"), CODING_IDENTITY);
    assert_int_equal(coding_of(" GZip "), CODING_GZIP);
    assert_int_equal(coding_of("x-gzip"), CODING_GZIP);
    assert_int_equal(coding_of("gzip, gzip"), CODING_UNKNOWN);
    assert_int_equal(coding_of("gzip;q=1"), CODING_UNKNOWN);
    assert_int_equal(coding_of("br"), CODING_UNKNOWN);
    assert_int_equal(coding_of("gzi"), CODING_UNKNOWN);
}

static void test_wishes(void **state)
{
    static const struct {
        const char *accept_encoding;
        enum coding_wish wish;
    } cases[] = {
        {NULL, CODING_WISH_IDENTITY},
        {"", CODING_WISH_IDENTITY},
        {"identity", CODING_WISH_IDENTITY},
        {"br, deflate", CODING_WISH_IDENTITY},
        {"gzip", CODING_WISH_GZIP},
        {"deflate, GZIP, br, zstd", CODING_WISH_GZIP},
        {"x-gzip", CODING_WISH_GZIP},
        {"*", CODING_WISH_GZIP},
        {"gzip;q=0", CODING_WISH_IDENTITY},
        {"gzip ; q=0.000, *", CODING_WISH_IDENTITY},
        {"*;q=0", CODING_WISH_IDENTITY},
        {"gzip;q=0.001", CODING_WISH_GZIP},
        {"gzip;q=1.000", CODING_WISH_GZIP},
        {"gzip;q=0.5, identity;q=0.4", CODING_WISH_GZIP},
        {"gzip;q=0.4, identity;q=0.5", CODING_WISH_IDENTITY},
        {"gzip;q=0.5, identity", CODING_WISH_IDENTITY},
        {"gzip;q=0.5, *;q=0.8", CODING_WISH_IDENTITY},
        {"gzip, identity;q=0", CODING_WISH_ONLY_GZIP},
        {"gzip;q=0.1, *;q=0", CODING_WISH_ONLY_GZIP},
        {"*, identity;q=0", CODING_WISH_ONLY_GZIP},
        /* Neither: identity all the same. */
        {"identity;q=0", CODING_WISH_IDENTITY},
        {"gzip;q=0, identity;q=0", CODING_WISH_IDENTITY},
        /* What is not a quality is none. */
        {"gzip;q=", CODING_WISH_IDENTITY},
        {"gzip;q=-1", CODING_WISH_IDENTITY},
        {",, ;q=1,gzip", CODING_WISH_GZIP},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (coding_wish_of(cases[i].accept_encoding) != cases[i].wish) {
            fail_msg("%s", cases[i].accept_encoding != NULL ? cases[i].accept_encoding : "NULL");
        }
    }
}

/* ---- answers ---- */

static struct answer packed_answer(int http_status, const char *body, size_t length, enum coding_wish wish)
{
    struct answer answer = {0};
    answer_body(&answer, http_status, "application/json", body, length);
    coding_pack_answer(&answer, wish, &arena);
    return answer;
}

static void test_long_answers_are_packed_on_wish(void **state)
{
    static char body[CODING_ANSWER_MIN];
    (void)state;
    memset(body, 'a', sizeof(body));
    struct answer answer = packed_answer(200, body, sizeof(body), CODING_WISH_GZIP);
    assert_string_equal(answer.content_encoding, "gzip");
    assert_in_range(answer.length, 1, 200);
    expect_content(answer.body, answer.length, body, sizeof(body));
    assert_null(packed_answer(200, body, sizeof(body), CODING_WISH_IDENTITY).content_encoding);
    assert_null(packed_answer(404, body, sizeof(body), CODING_WISH_GZIP).content_encoding);
}

static void test_short_answers_are_packed_only_for_who_takes_nothing_else(void **state)
{
    static char body[CODING_ANSWER_MIN - 1];
    (void)state;
    memset(body, 'a', sizeof(body));
    assert_null(packed_answer(200, body, sizeof(body), CODING_WISH_GZIP).content_encoding);
    struct answer answer = packed_answer(200, "{}", 2, CODING_WISH_ONLY_GZIP);
    assert_string_equal(answer.content_encoding, "gzip");
    expect_content(answer.body, answer.length, "{}", 2);
}

static void test_what_does_not_get_smaller_is_not_packed(void **state)
{
    char body[4096];
    unsigned long long seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof(body); i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        body[i] = (char)(seed >> 56);
    }
    struct answer answer = packed_answer(200, body, sizeof(body), CODING_WISH_GZIP);
    assert_null(answer.content_encoding);
    assert_ptr_equal(answer.body, body);
    assert_int_equal(answer.length, sizeof(body));
    answer = packed_answer(200, body, sizeof(body), CODING_WISH_ONLY_GZIP);
    expect_content(answer.body, answer.length, body, sizeof(body));
}

static void test_answer_without_memory_for_packing_goes_as_it_is(void **state)
{
    static const char body[2 * CODING_ANSWER_MIN];
    struct arena small;
    struct answer answer = {0};
    (void)state;
    arena_init(&small, NULL, 0, 4096);
    answer_body(&answer, 200, "application/json", body, sizeof(body));
    coding_pack_answer(&answer, CODING_WISH_GZIP, &small);
    assert_null(answer.content_encoding);
    assert_ptr_equal(answer.body, body);
    arena_reset(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_others_pack_is_unpacked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_packed_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_content_up_to_the_bound_and_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bomb_is_refused_before_its_end_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off_anywhere_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_stands_behind_the_end_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_checksum_and_wrong_length_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_gzip_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_that_is_short_is_told, set_up, tear_down),
        cmocka_unit_test(test_names_of_codings),
        cmocka_unit_test(test_wishes),
        cmocka_unit_test_setup_teardown(test_long_answers_are_packed_on_wish, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_answers_are_packed_only_for_who_takes_nothing_else, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_does_not_get_smaller_is_not_packed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answer_without_memory_for_packing_goes_as_it_is, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
