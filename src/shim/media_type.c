#include "shim/media_type.h"

#include <string.h>
#include <strings.h>

#define PROBLEM_JSON "application/problem+json"

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

/* Is the word in front, and does it end there? Returns what stands behind it, NULL when it is another. */
static const char *behind_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    if (strncasecmp(text, word, length) != 0) {
        return NULL;
    }
    const char *rest = skip_blanks(text + length);
    return *rest == 0 || *rest == ';' || *rest == ',' ? rest : NULL;
}

static bool has_other_charset(const char *parameters)
{
    while (*parameters == ';') {
        parameters = skip_blanks(parameters + 1);
        if (strncasecmp(parameters, "charset=", 8) == 0) {
            const char *value = parameters + 8;
            return behind_word(value, "utf-8") == NULL && behind_word(value, "\"utf-8\"") == NULL;
        }
        parameters += strcspn(parameters, ";");
    }
    return false;
}

enum media_type media_type_of(const char *content_type)
{
    if (content_type == NULL) {
        return MEDIA_NONE;
    }
    const char *text = skip_blanks(content_type);
    const char *parameters = behind_word(text, "application/json");
    enum media_type type = MEDIA_JSON;
    if (parameters == NULL) {
        parameters = behind_word(text, "application/proto");
        type = MEDIA_PROTO;
    }
    return parameters == NULL || *parameters == ',' || has_other_charset(parameters) ? MEDIA_OTHER : type;
}

/* q=0 means "not that one". */
static bool is_refused(const char *parameters)
{
    while (*parameters == ';') {
        parameters = skip_blanks(parameters + 1);
        if (strncasecmp(parameters, "q=0", 3) == 0) {
            const char *digits = parameters + 3;
            digits += *digits == '.' ? 1 : 0;
            digits += strspn(digits, "0");
            return *digits < '1' || *digits > '9';
        }
        parameters += strcspn(parameters, ";,");
    }
    return false;
}

bool media_accepts_problem(const char *accept)
{
    while (accept != NULL && *accept != 0) {
        accept = skip_blanks(accept);
        const char *parameters = behind_word(accept, PROBLEM_JSON);
        if (parameters != NULL && !is_refused(parameters)) {
            return true;
        }
        accept += strcspn(accept, ",");
        accept += *accept == ',' ? 1 : 0;
    }
    return false;
}
