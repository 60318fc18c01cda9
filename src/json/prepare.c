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
 *
 * Where the message has optional fields, a member of the outermost object that is too much is replaced in the
 * same way, whatever its name; only the parser knows names, however they are spelt. It is looked at just so
 * far as to find its end: strings, and brackets, of which each must be closed by its like. Blanks keep its
 * stand-in apart from what is beside it. Text that is not too much as a whole is not searched for such
 * members.
 */
#include "json/prepare.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "json/numbers.h"

/* 10^18 - 1 is the largest run of nines in an int64_t. */
#define PLAIN_DIGITS_MAX 18

/* Objects and arrays in one another in a member that is replaced. */
#define MEMBER_DEPTH_MAX 32768

enum token_kind { TOKEN_OTHER, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_PLAIN, TOKEN_NUMBER, TOKEN_MEMBER };

struct token {
    enum token_kind kind;
    const char *start;
    size_t length;
    /* Of a TOKEN_MEMBER. */
    enum too_much too_much;
};

struct walk {
    const char *at;
    const char *end;
    unsigned depth;
    /* The outermost value is an object. */
    bool is_in_object;
    /* Not NULL: members that are too much are tokens. */
    const struct json_optional *optional;
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
        token.kind = TOKEN_PLAIN;
    } else if (*text == '{' || *text == '[') {
        token.kind = TOKEN_OPEN;
    } else if (*text == '}' || *text == ']') {
        token.kind = TOKEN_CLOSE;
    } else if (is_in_run(*text)) {
        token.length = run_length(text, end);
        token.kind = is_special_number(text, token.length) ? TOKEN_NUMBER : TOKEN_PLAIN;
    }
    return token;
}

static bool is_key_or_value(const struct token *token)
{
    return token->kind == TOKEN_OPEN || token->kind == TOKEN_PLAIN || token->kind == TOKEN_NUMBER;
}

/* The brackets that are open, a bit for each: is it that of an array? Bytes are set with their first bit, as
 * there may be thousands of members, and clearing it all for each would cost more than they do. */
struct brackets {
    uint8_t arrays[MEMBER_DEPTH_MAX / 8];
    unsigned depth;
};

/* False when there is no room for it, or it closes what the other kind has opened. */
static bool take_bracket(struct brackets *brackets, const struct token *token)
{
    bool is_array = *token->start == '[' || *token->start == ']';
    if (token->kind == TOKEN_OPEN && brackets->depth < MEMBER_DEPTH_MAX) {
        uint8_t *bits = &brackets->arrays[brackets->depth / 8];
        unsigned shift = brackets->depth++ % 8;
        unsigned below = shift == 0 ? 0 : *bits & ((1U << shift) - 1);
        *bits = (uint8_t)(below | (unsigned)is_array << shift);
        return true;
    }
    if (token->kind == TOKEN_CLOSE) {
        assert(brackets->depth > 0);
        brackets->depth--;
        return (brackets->arrays[brackets->depth / 8] >> brackets->depth % 8 & 1) == is_array;
    }
    return token->kind != TOKEN_OPEN;
}

/* The object or array that `open` begins, in one piece; `open` itself when it is not too much, or has no
 * end. */
static struct token whole_member(struct token open, const char *end, size_t values_max)
{
    struct brackets brackets;
    brackets.depth = 0;
    struct token member = {.kind = TOKEN_MEMBER, .start = open.start};
    const char *at = open.start;
    size_t values = 0;
    do {
        struct token token = next_token(at, end);
        at += token.length;
        if (!take_bracket(&brackets, &token)) {
            return open;
        }
        values += is_key_or_value(&token);
        if (1 + brackets.depth > JSON_DEPTH_MAX) {
            member.too_much = TOO_MUCH_DEPTH;
        } else if (member.too_much == TOO_MUCH_NOT && values > values_max) {
            member.too_much = TOO_MUCH_VALUES;
        }
    } while (brackets.depth > 0 && at < end);
    member.length = (size_t)(at - open.start);
    return brackets.depth == 0 && member.too_much != TOO_MUCH_NOT ? member : open;
}

/* There is one: walk->at is before the end. */
static struct token take_token(struct walk *walk)
{
    struct token token = next_token(walk->at, walk->end);
    if (token.kind == TOKEN_OPEN && walk->depth == 0) {
        walk->is_in_object = *token.start == '{';
    } else if (token.kind == TOKEN_OPEN && walk->depth == 1 && walk->is_in_object && walk->optional != NULL) {
        token = whole_member(token, walk->end, walk->optional->values_max);
    }
    walk->depth += token.kind == TOKEN_OPEN;
    walk->depth -= token.kind == TOKEN_CLOSE && walk->depth > 0;
    walk->at += token.length;
    return token;
}

static bool is_replaced(const struct token *token)
{
    return token->kind == TOKEN_NUMBER || token->kind == TOKEN_MEMBER;
}

struct survey {
    unsigned depth;
    size_t values;
    size_t n_replaced;
};

static struct survey survey_text(struct walk walk)
{
    struct survey survey = {0};
    while (walk.at < walk.end) {
        struct token token = take_token(&walk);
        survey.depth = walk.depth > survey.depth ? walk.depth : survey.depth;
        survey.values += is_key_or_value(&token);
        survey.n_replaced += is_replaced(&token);
    }
    return survey;
}

static size_t print_stand_in(size_t n, enum too_much too_much, char text[NUMBER_TEXT_SIZE])
{
    const char *blank = too_much != TOO_MUCH_NOT ? " " : "";
    return (size_t)snprintf(text, NUMBER_TEXT_SIZE, "%s%zu.5%s", blank, n, blank);
}

/* `out` has room for the text and NUMBER_TEXT_SIZE more for each piece. Returns the length. */
static size_t rewrite(struct walk walk, struct replaced *replaced, char *out)
{
    const char *out_start = out;
    size_t n = 0;
    while (walk.at < walk.end) {
        struct token token = take_token(&walk);
        if (is_replaced(&token)) {
            replaced[n] = (struct replaced){{.data = token.start, .length = token.length}, token.too_much};
            out += print_stand_in(n++, token.too_much, out);
        } else {
            memcpy(out, token.start, token.length);
            out += token.length;
        }
    }
    return (size_t)(out - out_start);
}

enum status json_prepare(const char *text, size_t length, const struct json_optional *optional,
                         struct arena *arena, struct prepared *ret_prepared, struct diag *diag)
{
    struct walk walk = {.at = text, .end = text + length};
    struct survey survey = survey_text(walk);
    if (optional != NULL && (survey.depth > JSON_DEPTH_MAX || survey.values > optional->values_max)) {
        walk.optional = optional;
        survey = survey_text(walk);
    }
    if (survey.depth > JSON_DEPTH_MAX) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, JSON_TOO_DEEP_TEXT, JSON_DEPTH_MAX);
    }
    struct prepared prepared = {.text = text, .length = length, .n_replaced = survey.n_replaced};
    if (survey.n_replaced > 0) {
        prepared.replaced = arena_alloc(arena, survey.n_replaced * sizeof(*prepared.replaced));
        char *out = arena_alloc(arena, length + survey.n_replaced * NUMBER_TEXT_SIZE);
        if (prepared.replaced == NULL || out == NULL) {
            return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED,
                             "the text takes more memory than a call may have");
        }
        prepared.length = rewrite(walk, prepared.replaced, out);
        prepared.text = out;
    }
    *ret_prepared = prepared;
    return STATUS_OK;
}

size_t prepared_original_offset(const struct prepared *prepared, const char *text, size_t offset)
{
    /* Original less prepared length of the pieces that end before the place. */
    size_t added = 0;
    size_t removed = 0;
    for (size_t n = 0; n < prepared->n_replaced; n++) {
        const struct replaced *replaced = &prepared->replaced[n];
        char stand_in[NUMBER_TEXT_SIZE];
        size_t length = print_stand_in(n, replaced->too_much, stand_in);
        size_t start = (size_t)(replaced->text.data - text) + removed - added;
        if (offset < start + length) {
            break;
        }
        added += replaced->text.length;
        removed += length;
    }
    return offset + added - removed;
}
