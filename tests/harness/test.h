/* What every cmocka test includes: cmocka wants these headers before its own. */
#ifndef HARNESS_TEST_H
#define HARNESS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"

#define assert_ok(expression) assert_int_equal((expression), STATUS_OK)
#define assert_status(expression, expected) assert_int_equal((expression), (expected))

#endif
