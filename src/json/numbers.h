/*
 * Numbers between their JSON text and C, exact both ways and whatever the process's locale is.
 *
 * The text is that of JSON's grammar (RFC 8259, section 6), no blanks around it.
 */
#ifndef JSON_NUMBERS_H
#define JSON_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Fits every number that is printed here, the NUL included. */
#define NUMBER_TEXT_SIZE 32

/* Whether all of the text is one JSON number. */
bool number_is_valid(const char *text, size_t length);

/*
 * The text as an integer, exact: "1", "1.0", "10e-1". INVALID_ARGUMENT: not a JSON number, or it has a
 * fraction; OUT_OF_RANGE: does not fit.
 */
MUST_USE enum status number_parse_int64(const char *text, size_t length, int64_t *ret_value);
MUST_USE enum status number_parse_uint64(const char *text, size_t length, uint64_t *ret_value);

/*
 * The text as the nearest double; the sign of a zero is kept. INVALID_ARGUMENT: not a JSON number;
 * OUT_OF_RANGE: beyond the largest double; RESOURCE_EXHAUSTED: longer than any number needs to be.
 */
MUST_USE enum status number_parse_double(const char *text, size_t length, double *ret_value);

/* The shortest text that reads back as the same value, which must be finite. Return its length. */
size_t number_print_double(double value, char text[NUMBER_TEXT_SIZE]);
size_t number_print_float(float value, char text[NUMBER_TEXT_SIZE]);

#endif
