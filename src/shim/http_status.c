#include "shim/http_status.h"

#include <assert.h>

static const struct {
    int http_status;
    const char *code;
} table[STATUS_COUNT] = {
    [STATUS_OK] = {200, "ok"},
    [STATUS_CANCELLED] = {499, "canceled"},
    [STATUS_UNKNOWN] = {500, "unknown"},
    [STATUS_INVALID_ARGUMENT] = {400, "invalid_argument"},
    [STATUS_DEADLINE_EXCEEDED] = {504, "deadline_exceeded"},
    [STATUS_NOT_FOUND] = {404, "not_found"},
    [STATUS_ALREADY_EXISTS] = {409, "already_exists"},
    [STATUS_PERMISSION_DENIED] = {403, "permission_denied"},
    [STATUS_RESOURCE_EXHAUSTED] = {429, "resource_exhausted"},
    [STATUS_FAILED_PRECONDITION] = {400, "failed_precondition"},
    [STATUS_ABORTED] = {409, "aborted"},
    [STATUS_OUT_OF_RANGE] = {400, "out_of_range"},
    [STATUS_UNIMPLEMENTED] = {501, "unimplemented"},
    [STATUS_INTERNAL] = {500, "internal"},
    [STATUS_UNAVAILABLE] = {503, "unavailable"},
    [STATUS_DATA_LOSS] = {500, "data_loss"},
    [STATUS_UNAUTHENTICATED] = {401, "unauthenticated"},
};

int http_status_of(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? table[status].http_status : 500;
}

const char *connect_code_of(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? table[status].code : "unknown";
}

static const struct {
    int http_status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static_assert(sizeof(phrases) / sizeof(phrases[0]) == HTTP_STATUSES, "HTTP_STATUSES counts the phrases");

size_t http_status_index(int http_status)
{
    size_t i = 0;
    while (i < HTTP_STATUSES && phrases[i].http_status != http_status) {
        i++;
    }
    return i;
}

int http_status_at(size_t index)
{
    return index < HTTP_STATUSES ? phrases[index].http_status : 0;
}

const char *http_phrase(int http_status)
{
    size_t index = http_status_index(http_status);
    return index < HTTP_STATUSES ? phrases[index].phrase : "Unknown";
}
