/*
 * google.protobuf.Timestamp and Duration as text: RFC 3339 ("2026-01-31T12:00:00.5Z") and seconds ("1.5s").
 */
#ifndef JSON_TIME_TEXT_H
#define JSON_TIME_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Fits every such text, the NUL included. */
#define TIME_TEXT_SIZE 80

/* Fraction of 0, 3, 6 or 9 digits, whichever is enough. OUT_OF_RANGE outside the years 1 to 9999 or of nanos.
 */
MUST_USE enum status timestamp_print(int64_t seconds, int32_t nanos, char text[TIME_TEXT_SIZE]);

/* Fraction of at most 9 digits; offset "Z" or "+hh:mm". INVALID_ARGUMENT malformed; OUT_OF_RANGE as above. */
MUST_USE enum status timestamp_parse(const char *text, size_t length, int64_t *ret_seconds,
                                     int32_t *ret_nanos);

/* Fraction as above. OUT_OF_RANGE beyond ±315,576,000,000 s, or when the signs of the parts differ. */
MUST_USE enum status duration_print(int64_t seconds, int32_t nanos, char text[TIME_TEXT_SIZE]);
MUST_USE enum status duration_parse(const char *text, size_t length, int64_t *ret_seconds,
                                    int32_t *ret_nanos);

#endif
