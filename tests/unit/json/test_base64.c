/* The vectors are those of RFC 4648, section 10. */
#include "harness/test.h"

#include <string.h>

#include "json/base64.h"

static const struct {
    const char *plain;
    const char *padded;
    const char *unpadded;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
};

#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void assert_decodes(const char *text, const char *plain)
{
    uint8_t data[64];
    size_t length = 99;
    assert_ok(base64_decode(text, strlen(text), data, &length));
    assert_int_equal(length, strlen(plain));
    assert_memory_equal(data, plain, length);
}

static void test_encodes_the_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VECTORS; i++) {
        char text[64];
        const uint8_t *plain = (const uint8_t *)vectors[i].plain;
        size_t length = base64_encode(plain, strlen(vectors[i].plain), true, text);
        assert_int_equal(length, BASE64_ENCODED_SIZE(strlen(vectors[i].plain)));
        assert_int_equal(length, strlen(vectors[i].padded));
        assert_memory_equal(text, vectors[i].padded, length);
        length = base64_encode(plain, strlen(vectors[i].plain), false, text);
        assert_int_equal(length, strlen(vectors[i].unpadded));
        assert_memory_equal(text, vectors[i].unpadded, length);
    }
}

static void test_decodes_the_vectors_padded_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_VECTORS; i++) {
        assert_decodes(vectors[i].padded, vectors[i].plain);
        assert_decodes(vectors[i].unpadded, vectors[i].plain);
    }
}

static void test_decodes_both_alphabets(void **state)
{
    (void)state;
    assert_decodes("++//", "\xfb\xef\xff");
    assert_decodes("--__", "\xfb\xef\xff");
}

static void test_ignores_bits_that_fill_no_byte(void **state)
{
    (void)state;
    assert_decodes("-_", "\xfb");
}

static void test_refuses_what_is_not_base64(void **state)
{
    (void)state;
    static const char *const texts[] = {"A",     "AAAAA",    "=",        "==",   "====",  "A===",   "AA=",
                                        "AAA==", "AAAA=",    "A A=",     "AA\n", " AAAA", "AA==AA", "AA=A",
                                        "AA*A",  "\xff\xff", "AAAA====", "Zg=",  "Zm8=="};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t data[64];
        size_t length = 99;
        assert_status(base64_decode(texts[i], strlen(texts[i]), data, &length), STATUS_INVALID_ARGUMENT);
        assert_int_equal(length, 99);
    }
}

static void test_every_byte_in_every_place_survives(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 4; length++) {
        for (int byte = 0; byte < 256; byte++) {
            for (size_t place = 0; place < length; place++) {
                uint8_t data[4] = {0x5a, 0xa5, 0x3c, 0xc3};
                data[place] = (uint8_t)byte;
                char text[8];
                size_t text_length = base64_encode(data, length, byte % 2 == 0, text);
                uint8_t back[BASE64_DECODED_SIZE_MAX(8)];
                size_t back_length = 0;
                assert_ok(base64_decode(text, text_length, back, &back_length));
                assert_int_equal(back_length, length);
                assert_memory_equal(back, data, length);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodes_the_vectors),
        cmocka_unit_test(test_decodes_the_vectors_padded_or_not),
        cmocka_unit_test(test_decodes_both_alphabets),
        cmocka_unit_test(test_ignores_bits_that_fill_no_byte),
        cmocka_unit_test(test_refuses_what_is_not_base64),
        cmocka_unit_test(test_every_byte_in_every_place_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
