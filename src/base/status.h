/*
 * The one status type. The numbers are those of google.rpc.Code (google/rpc/code.proto), so that the wire,
 * HTTP and exit codes are translated at the edge only.
 *
 * Inner layers return a status and, where a person must be told more, fill a struct diag; edges log and
 * translate.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

enum status {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,
    STATUS_UNKNOWN = 2,
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_NOT_FOUND = 5,
    STATUS_ALREADY_EXISTS = 6,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_RESOURCE_EXHAUSTED = 8,
    STATUS_FAILED_PRECONDITION = 9,
    STATUS_ABORTED = 10,
    STATUS_OUT_OF_RANGE = 11,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_INTERNAL = 13,
    STATUS_UNAVAILABLE = 14,
    STATUS_DATA_LOSS = 15,
    STATUS_UNAUTHENTICATED = 16,
};

#define STATUS_COUNT 17

/* The name in google.rpc.Code, "INVALID_ARGUMENT"; "UNKNOWN" for a number that is none of them. Static
 * storage. */
const char *status_name(enum status status);

/* The number as a status; STATUS_UNKNOWN when it is none. */
enum status status_from_code(unsigned code);

/* For people: what was wrong, naming the field or option, and how to mend it. One sentence, no final newline.
 */
struct diag {
    char text[256];
};

/*
 * Writes the text, cut to fit, when diag is not NULL, and returns `status`, so that a failure is one line:
 *     return diag_fail(diag, STATUS_INVALID_ARGUMENT, "location.lat: %g is not between -90 and 90", lat);
 */
enum status diag_fail(struct diag *diag, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
