/*
 * jansson loses some numbers: it reads -0 as 0, refuses integers beyond int64_t, and turns 9007199254740993.0
 * into a double that is another integer. So every number other than a plain integer of up to 18 digits is
 * replaced by n.5, with n counting them, and read from the original text later. All reals that jansson sees
 * are of our making, which is why none can be mistaken for another. Text without such numbers is used as it
 * is.
 *
 * Only a run of letters, digits, signs and points that is a number as a whole is replaced. All else is left
 * for jansson to refuse, so that no bad text becomes a good one: "01", "1-0" and "-01" stay what they are.
 *
 * The same walk counts brackets outside strings and stops text that is nested too deeply before anything
 * recurses.
 */
#include "json/prepare.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "json/numbers.h"

/* 10^18 - 1 is the largest run of nines in an int64_t. */
#define PLAIN_DIGITS_MAX 18

enum token_kind { TOKEN_OTHER, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_NUMBER };

struct token {
    enum token_kind kind;
    const char *start;
    size_t length;
};

static size_t string_length(const char *text, const char *end)
{
    const char *next = text + 1;
    while (next < end && *next != '"') {
        next += *next == '\\' && end - next > 1 ? 2 : 1;
    }
    return (size_t)(next - text) + (next < end);
}

static bool is_in_run(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

static size_t run_length(const char *text, const char *end)
{
    const char *next = text;
    while (next < end && is_in_run(*next)) {
        next++;
    }
    return (size_t)(next - text);
}

/* A number that jansson would not hand on as it is. */
static bool is_special_number(const char *text, size_t length)
{
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) {
        return false;
    }
    size_t sign = text[0] == '-';
    bool plain = length - sign <= PLAIN_DIGITS_MAX;
    for (size_t i = sign; i < length && plain; i++) {
        plain = text[i] >= '0' && text[i] <= '9';
    }
    bool minus_zero = length == 2 && memcmp(text, "-0", 2) == 0;
    return (!plain || minus_zero) && number_is_valid(text, length);
}

static struct token next_token(const char *text, const char *end)
{
    struct token token = {.start = text, .length = 1};
    if (*text == '"') {
        token.length = string_length(text, end);
    } else if (*text == '{' || *text == '[') {
        token.kind = TOKEN_OPEN;
    } else if (*text == '}' || *text == ']') {
        token.kind = TOKEN_CLOSE;
    } else if (is_in_run(*text)) {
        token.length = run_length(text, end);
        token.kind = is_special_number(text, token.length) ? TOKEN_NUMBER : TOKEN_OTHER;
    }
    return token;
}

static enum status count_numbers(const char *text, size_t length, size_t *ret_count, struct diag *diag)
{
    const char *end = text + length;
    unsigned depth = 0;
    size_t count = 0;
    while (text < end) {
        struct token token = next_token(text, end);
        if (token.kind == TOKEN_OPEN && ++depth > JSON_DEPTH_MAX) {
            return diag_fail(diag, STATUS_INVALID_ARGUMENT, "nested deeper than %d objects and arrays",
                             JSON_DEPTH_MAX);
        }
        depth -= token.kind == TOKEN_CLOSE && depth > 0;
        count += token.kind == TOKEN_NUMBER;
        text += token.length;
    }
    *ret_count = count;
    return STATUS_OK;
}

static size_t print_stand_in(size_t n, char text[NUMBER_TEXT_SIZE])
{
    return (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%zu.5", n);
}

/* `out` has room for the text and NUMBER_TEXT_SIZE more for each number. Returns the length. */
static size_t rewrite(const char *text, size_t length, struct json_text *numbers, char *out)
{
    const char *end = text + length;
    const char *out_start = out;
    size_t n = 0;
    while (text < end) {
        struct token token = next_token(text, end);
        if (token.kind == TOKEN_NUMBER) {
            numbers[n] = (struct json_text){.data = token.start, .length = token.length};
            out += print_stand_in(n++, out);
        } else {
            memcpy(out, token.start, token.length);
            out += token.length;
        }
        text += token.length;
    }
    return (size_t)(out - out_start);
}

enum status json_prepare(const char *text, size_t length, struct arena *arena, struct prepared *ret_prepared,
                         struct diag *diag)
{
    size_t n_numbers = 0;
    enum status status = count_numbers(text, length, &n_numbers, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct prepared prepared = {.text = text, .length = length, .n_numbers = n_numbers};
    if (n_numbers > 0) {
        prepared.numbers = arena_alloc(arena, n_numbers * sizeof(*prepared.numbers));
        char *out = arena_alloc(arena, length + n_numbers * NUMBER_TEXT_SIZE);
        if (prepared.numbers == NULL || out == NULL) {
            return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED,
                             "the text takes more memory than a call may have");
        }
        prepared.length = rewrite(text, length, prepared.numbers, out);
        prepared.text = out;
    }
    *ret_prepared = prepared;
    return STATUS_OK;
}

size_t prepared_original_offset(const struct prepared *prepared, const char *text, size_t offset)
{
    /* Original less prepared length of the numbers that end before the place. */
    size_t added = 0;
    size_t removed = 0;
    for (size_t n = 0; n < prepared->n_numbers; n++) {
        char stand_in[NUMBER_TEXT_SIZE];
        size_t length = print_stand_in(n, stand_in);
        size_t start = (size_t)(prepared->numbers[n].data - text) + removed - added;
        if (offset < start + length) {
            break;
        }
        added += prepared->numbers[n].length;
        removed += length;
    }
    return offset + added - removed;
}
