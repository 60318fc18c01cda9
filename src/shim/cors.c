/*
 * A page of the server itself needs no leave, but only where the server is called by number: a name can be
 * made to point at any address by whoever owns it, also while its page is open ("DNS rebinding"), so that the
 * pages of a name must be allowed by that name.
 */
#include "shim/cors.h"

#include <string.h>
#include <strings.h>

static bool is_number(const char *host)
{
    return host[0] == '[' || strspn(host, "0123456789.:") == strlen(host) ||
           (strncasecmp(host, "localhost", 9) == 0 && (host[9] == 0 || host[9] == ':'));
}

/* A proxy before the server may speak TLS. */
static bool is_own(const char *origin, const char *host)
{
    static const char *const schemes[] = {"http://", "https://"};
    if (host == NULL || !is_number(host)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i]);
        if (strncasecmp(origin, schemes[i], length) == 0 && strcasecmp(origin + length, host) == 0) {
            return true;
        }
    }
    return false;
}

bool cors_is_origin(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t scheme = strspn(text, letters);
    if (scheme == 0 || strncmp(text + scheme, "://", 3) != 0) {
        return false;
    }
    const char *host = text + scheme + 3;
    return host[0] != 0 && host[0] != ':' &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")] == 0;
}

enum cors cors_check(const struct cors_origins *allowed, const struct request *request)
{
    const char *origin = request_header(request, "Origin");
    if (origin == NULL) {
        return CORS_NONE;
    }
    for (size_t i = 0; i < allowed->n_origins; i++) {
        if (strcmp(allowed->origins[i], origin) == 0) {
            return CORS_ALLOWED;
        }
    }
    return is_own(origin, request_header(request, "Host")) ? CORS_NONE : CORS_REFUSED;
}

bool cors_is_preflight(const struct request *request)
{
    return request->method == HTTP_OPTIONS && request_header(request, "Origin") != NULL &&
           request_header(request, "Access-Control-Request-Method") != NULL;
}

void cors_answer_preflight(struct answer *answer)
{
    answer->http_status = 204;
    answer_add_header(answer, "Access-Control-Allow-Methods", "GET, POST");
    answer_add_header(answer, "Access-Control-Allow-Headers",
                      "Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, X-User-Agent, "
                      "Authorization, Idempotency-Key, Traceparent, X-Request-Id");
    answer_add_header(answer, "Access-Control-Max-Age", "7200");
}

void cors_add_headers(const struct cors_origins *allowed, const struct request *request,
                      struct answer *answer)
{
    if (allowed->n_origins > 0 || cors_is_preflight(request)) {
        answer_add_header(answer, "Vary",
                          "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    }
    if (cors_check(allowed, request) == CORS_ALLOWED) {
        answer_add_header(answer, "Access-Control-Allow-Origin", request_header(request, "Origin"));
        answer_add_header(answer, "Access-Control-Expose-Headers",
                          "Location, Retry-After, Trailer-Retry-After, Traceparent, X-Request-Id, "
                          "Idempotent-Replayed");
    }
}
