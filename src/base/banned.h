/*
 * Functions that this code does not call, with what to call instead. Included before every file by the build.
 *
 * The headers that declare them come first, so that only uses are hit, not declarations.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok atoi atol atoll atof strncpy strncat

#endif
