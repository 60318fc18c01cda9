/*
 * A client that takes neither gzip nor identity ("identity;q=0" alone) gets identity, not a 406: RFC 9110
 * leaves the choice, and an answer about a panic that has been stored must reach its sender.
 */
#include "shim/coding.h"

#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>

#include "shim/gzip.h"

/* In thousandths. A coding that is not named has none. */
#define QUALITY_MAX 1000
#define NOT_NAMED (-1)

/* The quality in what stands behind a coding's name; QUALITY_MAX when none is given, 0 when it is not one. */
static int quality_of(const char *parameters)
{
    parameters += strspn(parameters, " \t;");
    if (strncasecmp(parameters, "q=", 2) != 0) {
        return QUALITY_MAX;
    }
    const char *digits = parameters + 2;
    if (*digits == '1') {
        return QUALITY_MAX;
    }
    if (digits[0] != '0' || digits[1] != '.') {
        return 0;
    }
    int quality = 0;
    int place = QUALITY_MAX / 10;
    for (digits += 2; *digits >= '0' && *digits <= '9' && place > 0; digits++) {
        quality += place * (*digits - '0');
        place /= 10;
    }
    return quality;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

static bool is_gzip(const char *text, size_t length)
{
    return is_word(text, length, "gzip") || is_word(text, length, "x-gzip");
}

enum coding coding_of(const char *content_encoding)
{
    if (content_encoding == NULL) {
        return CODING_IDENTITY;
    }
    const char *text = content_encoding + strspn(content_encoding, " \t");
    size_t length = strcspn(text, " \t,");
    if (text[length + strspn(text + length, " \t")] != 0) {
        return CODING_UNKNOWN;
    }
    if (is_gzip(text, length)) {
        return CODING_GZIP;
    }
    return length == 0 || is_word(text, length, "identity") ? CODING_IDENTITY : CODING_UNKNOWN;
}

struct qualities {
    int gzip;
    int identity;
    int others;
};

static const struct qualities none_named = {NOT_NAMED, NOT_NAMED, NOT_NAMED};

static void take_qualities(const char *text, struct qualities *named)
{
    while (*text != 0) {
        text += strspn(text, " \t,");
        size_t length = strcspn(text, " \t,;");
        int quality = quality_of(text + length);
        if (is_gzip(text, length)) {
            named->gzip = quality;
        } else if (is_word(text, length, "identity")) {
            named->identity = quality;
        } else if (is_word(text, length, "*")) {
            named->others = quality;
        }
        text += strcspn(text, ",");
    }
}

static enum coding_wish wish_of(const struct qualities *named)
{
    int gzip = named->gzip == NOT_NAMED ? named->others : named->gzip;
    int identity = named->identity == NOT_NAMED ? named->others : named->identity;
    if (gzip <= 0 || gzip < identity) {
        return CODING_WISH_IDENTITY;
    }
    return identity == 0 ? CODING_WISH_ONLY_GZIP : CODING_WISH_GZIP;
}

enum coding_wish coding_wish_of(const char *accept_encoding)
{
    struct qualities named = none_named;
    take_qualities(accept_encoding != NULL ? accept_encoding : "", &named);
    return wish_of(&named);
}

/* Several lines of a list are one list (RFC 9110, section 5.3). */
enum coding_wish coding_wish_of_request(const struct request *request)
{
    struct qualities named = none_named;
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(request->evhttp);
    for (const struct evkeyval *line = TAILQ_FIRST(headers); line != NULL; line = TAILQ_NEXT(line, next)) {
        if (strcasecmp(line->key, "Accept-Encoding") == 0) {
            take_qualities(line->value, &named);
        }
    }
    return wish_of(&named);
}

void coding_pack_answer(struct answer *answer, enum coding_wish wish, struct arena *arena)
{
    if (answer->http_status / 100 != 2 || answer->length == 0) {
        return;
    }
    /* Also on those that are not packed: a cache must not give one client what was made for another. */
    answer_add_header(answer, "Vary", "Accept-Encoding");
    if (wish == CODING_WISH_IDENTITY || (wish == CODING_WISH_GZIP && answer->length < CODING_ANSWER_MIN)) {
        return;
    }
    const char *packed = answer->packed;
    size_t length = answer->packed_length;
    enum status status =
        packed != NULL ? STATUS_OK : gzip_deflate(answer->body, answer->length, arena, &packed, &length);
    if (status == STATUS_OK && (length < answer->length || wish == CODING_WISH_ONLY_GZIP)) {
        answer->content_encoding = "gzip";
        answer->body = packed;
        answer->length = length;
    }
}
