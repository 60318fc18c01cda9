/*
 * Days and civil dates are turned into one another by counting from 1 March, so that the leap day is the last
 * of the year, in eras of 400 years or 146,097 days (H. Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). Not with gmtime_r and timegm: glibc takes a lock for the time zone in both, which every
 * thread that prints would share.
 *
 * A second of 60 is refused: Unix time has none.
 */
#include "json/time_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TIMESTAMP_MIN (-62135596800LL) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX 253402300799LL   /* 9999-12-31T23:59:59Z */
#define DURATION_MAX 315576000000LL    /* about 10,000 years */
#define NANOS_PER_S 1000000000
#define S_PER_DAY 86400
#define DAYS_PER_ERA 146097
/* From 0000-03-01 to 1970-01-01. */
#define DAYS_TO_EPOCH 719468

struct date {
    int64_t year;
    int month;
    int day;
};

static struct date date_of_days(int64_t days)
{
    days += DAYS_TO_EPOCH;
    int64_t era = days / DAYS_PER_ERA; /* days ≥ 0 from the year 1 on */
    int64_t day_of_era = days % DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (struct date){.year = era * 400 + year_of_era + (month <= 2),
                         .month = month,
                         .day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1)};
}

static int64_t days_of_date(struct date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t era = year / 400; /* year ≥ 0 from the year 1 on */
    int64_t year_of_era = year % 400;
    int64_t month_from_march = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + date.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

/* ".5" as ".500": the shortest of 0, 3, 6 and 9 digits that is exact. */
static void print_fraction(int32_t nanos, char *text, size_t size)
{
    if (nanos == 0) {
        text[0] = 0;
    } else if (nanos % 1000000 == 0) {
        snprintf(text, size, ".%03d", (int)nanos / 1000000);
    } else if (nanos % 1000 == 0) {
        snprintf(text, size, ".%06d", (int)nanos / 1000);
    } else {
        snprintf(text, size, ".%09d", (int)nanos);
    }
}

enum status timestamp_print(int64_t seconds, int32_t nanos, char text[TIME_TEXT_SIZE])
{
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX || nanos < 0 || nanos >= NANOS_PER_S) {
        return STATUS_OUT_OF_RANGE;
    }
    int64_t days = (seconds - TIMESTAMP_MIN) / S_PER_DAY + TIMESTAMP_MIN / S_PER_DAY;
    int second_of_day = (int)(seconds - days * S_PER_DAY);
    struct date date = date_of_days(days);
    char fraction[16];
    print_fraction(nanos, fraction, sizeof(fraction));
    snprintf(text, TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)date.year, date.month, date.day,
             second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60, fraction);
    return STATUS_OK;
}

enum status duration_print(int64_t seconds, int32_t nanos, char text[TIME_TEXT_SIZE])
{
    if (seconds < -DURATION_MAX || seconds > DURATION_MAX || nanos <= -NANOS_PER_S || nanos >= NANOS_PER_S ||
        (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0)) {
        return STATUS_OUT_OF_RANGE;
    }
    bool negative = seconds < 0 || nanos < 0;
    char fraction[16];
    print_fraction(negative ? -nanos : nanos, fraction, sizeof(fraction));
    snprintf(text, TIME_TEXT_SIZE, "%s%lld%ss", negative ? "-" : "",
             (long long)(negative ? -seconds : seconds), fraction);
    return STATUS_OK;
}

/* Text that is still to be read. Each read_…() steps on, or says that the text does not go on like that. */
struct cursor {
    const char *next;
    const char *end;
};

static bool read_char(struct cursor *cursor, char c)
{
    if (cursor->next == cursor->end || *cursor->next != c) {
        return false;
    }
    cursor->next++;
    return true;
}

/* From n_min to n_max digits; n_max at most 18, so that nothing overflows. Returns how many, 0 when there are
 * too few. */
static int read_digits(struct cursor *cursor, int n_min, int n_max, int64_t *ret_value)
{
    int64_t value = 0;
    int n = 0;
    while (n < n_max && cursor->next + n < cursor->end && cursor->next[n] >= '0' && cursor->next[n] <= '9') {
        value = value * 10 + (cursor->next[n] - '0');
        n++;
    }
    if (n < n_min) {
        return 0;
    }
    cursor->next += n;
    *ret_value = value;
    return n;
}

/* Two digits from low to high. */
static bool read_pair(struct cursor *cursor, int low, int high, int *ret_value)
{
    int64_t value;
    if (read_digits(cursor, 2, 2, &value) == 0 || value < low || value > high) {
        return false;
    }
    *ret_value = (int)value;
    return true;
}

/* An optional fraction of 1 to 9 digits. */
static bool read_fraction(struct cursor *cursor, int32_t *ret_nanos)
{
    int64_t value = 0;
    if (!read_char(cursor, '.')) {
        *ret_nanos = 0;
        return true;
    }
    int n = read_digits(cursor, 1, 9, &value);
    if (n == 0) {
        return false;
    }
    for (; n < 9; n++) {
        value *= 10;
    }
    *ret_nanos = (int32_t)value;
    return true;
}

static int days_in_month(const struct date *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;
    return days[date->month - 1] + (leap && date->month == 2);
}

static bool read_date(struct cursor *cursor, struct date *ret_date)
{
    struct date date;
    if (read_digits(cursor, 4, 4, &date.year) == 0 || date.year < 1 || !read_char(cursor, '-') ||
        !read_pair(cursor, 1, 12, &date.month) || !read_char(cursor, '-') ||
        !read_pair(cursor, 1, 31, &date.day) || date.day > days_in_month(&date)) {
        return false;
    }
    *ret_date = date;
    return true;
}

static bool read_time(struct cursor *cursor, int *ret_second_of_day)
{
    int hour;
    int minute;
    int second;
    if (!read_pair(cursor, 0, 23, &hour) || !read_char(cursor, ':') || !read_pair(cursor, 0, 59, &minute) ||
        !read_char(cursor, ':') || !read_pair(cursor, 0, 59, &second)) {
        return false;
    }
    *ret_second_of_day = hour * 3600 + minute * 60 + second;
    return true;
}

static bool read_offset(struct cursor *cursor, int *ret_offset)
{
    if (read_char(cursor, 'Z')) {
        *ret_offset = 0;
        return true;
    }
    int sign = read_char(cursor, '-') ? -1 : 1;
    int hour;
    int minute;
    if ((sign > 0 && !read_char(cursor, '+')) || !read_pair(cursor, 0, 23, &hour) ||
        !read_char(cursor, ':') || !read_pair(cursor, 0, 59, &minute)) {
        return false;
    }
    *ret_offset = sign * (hour * 3600 + minute * 60);
    return true;
}

enum status timestamp_parse(const char *text, size_t length, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct cursor cursor = {.next = text, .end = text + length};
    struct date date;
    int second_of_day;
    int32_t nanos;
    int offset;
    if (!read_date(&cursor, &date) || !read_char(&cursor, 'T') || !read_time(&cursor, &second_of_day) ||
        !read_fraction(&cursor, &nanos) || !read_offset(&cursor, &offset) || cursor.next != cursor.end) {
        return STATUS_INVALID_ARGUMENT;
    }
    int64_t seconds = days_of_date(date) * S_PER_DAY + second_of_day - offset;
    if (seconds < TIMESTAMP_MIN || seconds > TIMESTAMP_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return STATUS_OK;
}

enum status duration_parse(const char *text, size_t length, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct cursor cursor = {.next = text, .end = text + length};
    int sign = read_char(&cursor, '-') ? -1 : 1;
    int64_t seconds;
    int32_t nanos;
    if (read_digits(&cursor, 1, 18, &seconds) == 0 || !read_fraction(&cursor, &nanos) ||
        !read_char(&cursor, 's') || cursor.next != cursor.end) {
        return STATUS_INVALID_ARGUMENT;
    }
    if (seconds > DURATION_MAX) {
        return STATUS_OUT_OF_RANGE;
    }
    *ret_seconds = sign * seconds;
    *ret_nanos = sign * nanos;
    return STATUS_OK;
}
