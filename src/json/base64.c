/*
 * Our own, because ProtoJSON wants both alphabets, padding optional, and nothing skipped: libb64 and nettle
 * pass over what they do not know, OpenSSL's EVP_DecodeBlock knows one alphabet and only whole quanta,
 * glibc's b64_pton skips blanks. To bend their input into shape would take more code than this.
 *
 * The bits that do not fill a byte at the end are not looked at: ProtoJSON's conformance tests demand that
 * "-_" is one byte.
 */
#include "json/base64.h"

static const char alphabet[64] __attribute__((nonstring)) =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *data, size_t length, bool padded, char *text)
{
    char *out = text;
    for (size_t i = 0; i < length; i += 3) {
        size_t n = length - i < 3 ? length - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16;
        bits |= n > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        bits |= n > 2 ? (uint32_t)data[i + 2] : 0;
        for (size_t j = 0; j < 4; j++) {
            if (j <= n) {
                *out++ = alphabet[bits >> (18 - 6 * j) & 63];
            } else if (padded) {
                *out++ = '=';
            }
        }
    }
    return (size_t)(out - text);
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

/* The number of characters before the padding; false when the padding does not fill up a quantum of four. */
static bool strip_padding(const char *text, size_t *length)
{
    size_t n = *length;
    while (n > 0 && *length - n < 2 && text[n - 1] == '=') {
        n--;
    }
    bool padded = n != *length;
    if (padded && *length % 4 != 0) {
        return false;
    }
    *length = n;
    return n % 4 != 1;
}

enum status base64_decode(const char *text, size_t length, uint8_t *data, size_t *ret_length)
{
    if (!strip_padding(text, &length)) {
        return STATUS_INVALID_ARGUMENT;
    }
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        int value = digit_value(text[i]);
        if (value < 0) {
            return STATUS_INVALID_ARGUMENT;
        }
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            data[n++] = (uint8_t)(bits >> n_bits);
        }
    }
    *ret_length = n;
    return STATUS_OK;
}
