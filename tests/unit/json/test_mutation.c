/*
 * Broken documents by the hundred thousand, the same ones on every run: whatever is accepted must print, and
 * what was printed must be accepted again and print the same. The sanitizers watch the rest.
 */
#include "everything.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS 200000
#define DOCUMENT_MAX 2048

static const char *const documents[] = {
    "{\"int32Field\":-7,\"int64Field\":\"9223372036854775807\",\"uint64Field\":18446744073709551615,"
    "\"boolField\":true}",
    "{\"floatField\":1.5e-3,\"doubleField\":-0,\"repeatedDouble\":[0.1,\"NaN\",1e308],\"color\":\"COLOR_"
    "RED\"}",
    "{\"stringField\":\"a\\u00e9\\ud83d\\ude00\\n\\\"\",\"bytesField\":\"-_8=\",\"nested\":{\"child\":{"
    "\"text\":\"é\"}}}",
    "{\"stringMap\":{\"a\":\"b\"},\"int32Map\":{\"1\":2,\"-3\":4},\"boolMap\":{\"true\":1.0},\"int64Map\":{"
    "\"1\":{}}}",
    "{\"timestamp\":\"2026-01-31T12:00:00.123456789+05:30\",\"duration\":\"-1.5s\",\"fieldMask\":\"fooBar,a."
    "b\"}",
    "{\"structField\":{\"a\":[1,null,{\"b\":\"c\"},-0.0,1E5]},\"valueField\":[[[]]],\"listValue\":[1,{}]}",
    "{\"anyField\":{\"@type\":\"type.googleapis.com/"
    "json.test.v1.Nested\",\"number\":1},\"int64Wrapper\":\"1\"}",
    "{\"repeatedAny\":[{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"x/"
    "google.protobuf.Struct\","
    "\"value\":{\"a\":1}}}],\"choiceNull\":null}",
};

/* Pieces that mean something, so that mutations reach further than the lexer. */
static const char *const pieces[] = {"\"",         "{",
                                     "}",          "[",
                                     "]",          ",",
                                     ":",          "null",
                                     "-0",         "1e400",
                                     "0.5",        "-",
                                     "\\u0000",    "\\ud800",
                                     "\\",         "true",
                                     "1.0",        "\xff",
                                     "@type",      "value",
                                     "é",          "99999999999999999999",
                                     "[[[[[[[[[[", "e",
                                     "\x00"};

static uint64_t seed = 88172645463325252ULL;

/* xorshift64 (Marsaglia, 2003) */
static size_t next_random(size_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % bound);
}

static size_t replace(char *text, size_t length, size_t at, size_t removed, const char *piece, size_t added)
{
    removed = removed < length - at ? removed : length - at;
    if (length - removed + added > DOCUMENT_MAX) {
        return length;
    }
    memmove(text + at + added, text + at + removed, length - at - removed);
    memcpy(text + at, piece, added);
    return length - removed + added;
}

static size_t mutate(char *text, size_t length)
{
    size_t at = next_random(length + 1);
    const char *piece = pieces[next_random(sizeof(pieces) / sizeof(pieces[0]))];
    const char *other = documents[next_random(sizeof(documents) / sizeof(documents[0]))];
    char byte = (char)next_random(256);
    switch (next_random(5)) {
    case 0:
        return replace(text, length, at, 1, &byte, 1);
    case 1:
        return replace(text, length, at, next_random(8), "", 0);
    case 2:
        return replace(text, length, at, 0, piece, piece[0] != 0 ? strlen(piece) : 1);
    case 3:
        return replace(text, length, at, next_random(4), piece, piece[0] != 0 ? strlen(piece) : 1);
    default: {
        size_t from = next_random(strlen(other));
        return replace(text, length, at, next_random(16), other + from,
                       next_random(strlen(other) - from + 1));
    }
    }
}

/* A heap copy of just this length, so that the sanitizer sees a read beyond the end. Returns whether it was
 * accepted. */
static bool check(const char *text, size_t length)
{
    char *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, text, length);
    ProtobufCMessage *message = NULL;
    struct diag diag = {""};
    enum status status = json_parse(&json__test__v1__everything__descriptor, exact, length, NULL, &test_arena,
                                    &message, &diag);
    free(exact);
    if (status != STATUS_OK) {
        assert_status(status, STATUS_INVALID_ARGUMENT);
        assert_true(strlen(diag.text) > 0);
        return false;
    }
    struct json_text first;
    assert_ok(json_print(message, NULL, &test_arena, &first));
    struct json_text second;
    assert_ok(json_parse(&json__test__v1__everything__descriptor, first.data, first.length, NULL, &test_arena,
                         &message, NULL));
    assert_ok(json_print(message, NULL, &test_arena, &second));
    assert_string_equal(first.data, second.data);
    return true;
}

static void test_mutated_documents_are_refused_or_round_trip(void **state)
{
    (void)state;
    unsigned accepted = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        char text[DOCUMENT_MAX];
        const char *document = documents[next_random(sizeof(documents) / sizeof(documents[0]))];
        size_t length = strlen(document);
        memcpy(text, document, length); // NOLINT(bugprone-not-null-terminated-result)
        for (size_t n = 1 + next_random(4); n > 0; n--) {
            length = mutate(text, length);
        }
        accepted += check(text, length);
        arena_reset(&test_arena);
    }
    print_message("%u of %u mutated documents were accepted\n", accepted, ROUNDS);
    assert_in_range(accepted, ROUNDS / 100, ROUNDS / 2);
}

static void test_every_prefix_of_a_document_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        assert_true(check(documents[i], strlen(documents[i])));
        for (size_t length = 0; length < strlen(documents[i]); length++) {
            assert_false(check(documents[i], length));
        }
        arena_reset(&test_arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_mutated_documents_are_refused_or_round_trip),
        everything_test(test_every_prefix_of_a_document_is_refused),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}
