#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/*
 * Table 3-7 of the Unicode standard: the first byte gives the length, and narrows the range of the second
 * where that would otherwise admit overlong forms (E0, F0), surrogates (ED) or code points above U+10FFFF
 * (F4).
 */
size_t utf8_sequence(const char *text, size_t length)
{
    const uint8_t *s = (const uint8_t *)text;
    if (length == 0) {
        return 0;
    }
    uint8_t first = s[0];
    if (first < 0x80) {
        return 1;
    }
    size_t n = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || n > length) {
        return 0;
    }
    uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return n;
}

/* Eight bytes of ASCII without NUL: no top bit set, and none of them borrows when 1 is taken from each. */
static bool plain_word(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof(word));
    return ((word | (word - 0x0101010101010101U)) & 0x8080808080808080U) == 0;
}

bool utf8_is_text(const char *text, size_t length)
{
    const char *s = text;
    while (length > 0) {
        if (length >= 8 && plain_word(s)) {
            s += 8;
            length -= 8;
            continue;
        }
        size_t step = *s != 0 ? utf8_sequence(s, length) : 0;
        if (step == 0) {
            return false;
        }
        s += step;
        length -= step;
    }
    return true;
}

size_t utf8_cut(const char *text, size_t length, size_t max)
{
    if (length <= max) {
        return length;
    }
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80) {
        max--;
    }
    return max;
}
