/*
 * Integers are read from their digits, never by way of a double, so that 9007199254740993.0 and
 * 18446744073709551615 stay what they are. The digits, less the zeros at either end, times a power of ten: an
 * integer when that power is not negative, too large when there would be more than twenty digits.
 *
 * Doubles are printed with the fewest digits from which strtod finds the same value again: 15 digits always
 * survive the way through a double, 17 always bring a double back (IEEE 754; DBL_DIG, DBL_DECIMAL_DIG), so
 * three tries do; a subnormal has fewer digits to begin with and starts at one. Whole numbers below 10^15
 * need no try.
 *
 * printf and strtod follow the locale, whose decimal point may be a comma: both run under the "C" locale
 * here, set for the thread only.
 */
#include "json/numbers.h"

#include <assert.h>
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The exact decimal expansion of no double has more significant digits than 767; more only make work. */
#define DOUBLE_TEXT_MAX 1100
/* Beyond any power of ten that matters here, and far from overflow. */
#define EXPONENT_MAX 100000
/* 2^64 has twenty digits. */
#define INTEGER_DIGITS_MAX 20

static locale_t c_locale;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    assert(c_locale != (locale_t)0);
}

static locale_t get_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    return c_locale;
}

/* The parts of a number's text: [-] whole [. fraction] [e exponent]. */
struct parts {
    bool negative;
    const char *whole;
    size_t n_whole;
    const char *fraction;
    size_t n_fraction;
    long exponent;
};

static size_t count_digits(const char *text, const char *end)
{
    const char *start = text;
    while (text < end && *text >= '0' && *text <= '9') {
        text++;
    }
    return (size_t)(text - start);
}

static bool split_exponent(const char *text, const char *end, long *ret_exponent)
{
    bool negative = text < end && *text == '-';
    if (text < end && (*text == '-' || *text == '+')) {
        text++;
    }
    size_t n = count_digits(text, end);
    if (n == 0 || text + n != end) {
        return false;
    }
    long exponent = 0;
    for (size_t i = 0; i < n; i++) {
        exponent = exponent < EXPONENT_MAX ? exponent * 10 + (text[i] - '0') : EXPONENT_MAX;
    }
    *ret_exponent = negative ? -exponent : exponent;
    return true;
}

static bool split(const char *text, size_t length, struct parts *ret_parts)
{
    const char *end = text + length;
    struct parts parts = {.negative = length > 0 && *text == '-'};
    text += parts.negative;
    parts.whole = text;
    parts.n_whole = count_digits(text, end);
    if (parts.n_whole == 0 || (parts.n_whole > 1 && *text == '0')) {
        return false;
    }
    text += parts.n_whole;
    if (text < end && *text == '.') {
        parts.fraction = ++text;
        parts.n_fraction = count_digits(text, end);
        if (parts.n_fraction == 0) {
            return false;
        }
        text += parts.n_fraction;
    }
    if (text < end && (*text == 'e' || *text == 'E') && split_exponent(text + 1, end, &parts.exponent)) {
        text = end;
    }
    if (text != end) {
        return false;
    }
    *ret_parts = parts;
    return true;
}

bool number_is_valid(const char *text, size_t length)
{
    struct parts parts;
    return split(text, length, &parts);
}

static unsigned digit_at(const struct parts *parts, size_t i)
{
    const char *digit = i < parts->n_whole ? parts->whole + i : parts->fraction + (i - parts->n_whole);
    return (unsigned)(*digit - '0');
}

/* The value without its sign. */
static enum status parse_magnitude(const struct parts *parts, uint64_t *ret_value)
{
    size_t n_digits = parts->n_whole + parts->n_fraction;
    size_t first = 0;
    while (first < n_digits && digit_at(parts, first) == 0) {
        first++;
    }
    if (first == n_digits) {
        *ret_value = 0;
        return STATUS_OK;
    }
    size_t last = n_digits;
    while (digit_at(parts, last - 1) == 0) {
        last--;
    }
    /* The value is digits [first, last) times ten to this power. */
    long long power = (long long)parts->n_whole + parts->exponent - (long long)last;
    if (power < 0) {
        return STATUS_INVALID_ARGUMENT;
    }
    if ((long long)(last - first) + power > INTEGER_DIGITS_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    uint64_t value = 0;
    for (size_t i = first; i < last + (size_t)power; i++) {
        uint64_t digit = i < last ? digit_at(parts, i) : 0;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value)) {
            return STATUS_OUT_OF_RANGE;
        }
    }
    *ret_value = value;
    return STATUS_OK;
}

enum status number_parse_uint64(const char *text, size_t length, uint64_t *ret_value)
{
    struct parts parts;
    if (!split(text, length, &parts)) {
        return STATUS_INVALID_ARGUMENT;
    }
    uint64_t magnitude;
    enum status status = parse_magnitude(&parts, &magnitude);
    if (status != STATUS_OK) {
        return status;
    }
    if (parts.negative && magnitude != 0) {
        return STATUS_OUT_OF_RANGE;
    }
    *ret_value = magnitude;
    return STATUS_OK;
}

enum status number_parse_int64(const char *text, size_t length, int64_t *ret_value)
{
    struct parts parts;
    if (!split(text, length, &parts)) {
        return STATUS_INVALID_ARGUMENT;
    }
    uint64_t magnitude;
    enum status status = parse_magnitude(&parts, &magnitude);
    if (status != STATUS_OK) {
        return status;
    }
    if (magnitude > (uint64_t)INT64_MAX + (parts.negative ? 1 : 0)) {
        return STATUS_OUT_OF_RANGE;
    }
    /* Negated as unsigned: the magnitude of INT64_MIN is no int64_t. */
    *ret_value = (int64_t)(parts.negative ? -magnitude : magnitude);
    return STATUS_OK;
}

enum status number_parse_double(const char *text, size_t length, double *ret_value)
{
    if (!number_is_valid(text, length)) {
        return STATUS_INVALID_ARGUMENT;
    }
    if (length > DOUBLE_TEXT_MAX) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    char terminated[DOUBLE_TEXT_MAX + 1];
    memcpy(terminated, text, length);
    terminated[length] = 0;
    double value = strtod_l(terminated, NULL, get_locale());
    if (isinf(value)) {
        return STATUS_OUT_OF_RANGE;
    }
    *ret_value = value;
    return STATUS_OK;
}

static size_t print_digits(double value, int digits, char text[NUMBER_TEXT_SIZE])
{
    int length = snprintf(text, NUMBER_TEXT_SIZE, "%.*g", digits, value);
    assert(length > 0 && length < NUMBER_TEXT_SIZE);
    return (size_t)length;
}

/* With a fraction: readers that take numbers without one for integers would lose the sign. */
static size_t print_minus_zero(char text[NUMBER_TEXT_SIZE])
{
    memcpy(text, "-0.0", 5);
    return 4;
}

size_t number_print_double(double value, char text[NUMBER_TEXT_SIZE])
{
    assert(isfinite(value));
    if (value == 0 && signbit(value)) {
        return print_minus_zero(text);
    }
    if (fabs(value) < 1e15 && value == trunc(value)) {
        return (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%lld", (long long)value);
    }
    locale_t before = uselocale(get_locale());
    int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG;
    size_t length = print_digits(value, digits, text);
    while (digits < DBL_DECIMAL_DIG && strtod(text, NULL) != value) {
        length = print_digits(value, ++digits, text);
    }
    uselocale(before);
    return length;
}

size_t number_print_float(float value, char text[NUMBER_TEXT_SIZE])
{
    assert(isfinite(value));
    if (value == 0 && signbit(value)) {
        return print_minus_zero(text);
    }
    locale_t before = uselocale(get_locale());
    int digits = fabsf(value) < FLT_MIN ? 1 : FLT_DIG;
    size_t length = print_digits((double)value, digits, text);
    while (digits < FLT_DECIMAL_DIG && strtof(text, NULL) != value) {
        length = print_digits((double)value, ++digits, text);
    }
    uselocale(before);
    return length;
}
