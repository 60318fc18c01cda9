/*
 * The log, read back through a pipe in packet mode: each read gives what one write(2) wrote, so a line that
 * took two writes, or shared one, shows. Jansson says what is valid JSON and UTF-8.
 */
#include "harness/test.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LINES_MAX 4096
#define THREADS 4
/* Together they fit into the pipe, so that none is dropped however late its reader comes. */
#define PIPE_SIZE (1 << 20)
#define LINES_A_THREAD 60
#define ROUNDS 10

static struct {
    int stderr_before;
    int read_end;
    pthread_t reader;
    /* Owned; one for each write. */
    char *lines[LINES_MAX];
    size_t n_lines;
} capture;

static void *read_lines(void *arg)
{
    (void)arg;
    char text[PIPE_BUF + 1];
    ssize_t length = read(capture.read_end, text, PIPE_BUF);
    while (length > 0 && capture.n_lines < LINES_MAX) {
        text[length] = 0;
        capture.lines[capture.n_lines++] = strdup(text);
        length = read(capture.read_end, text, PIPE_BUF);
    }
    return NULL;
}

static void capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_DIRECT | O_CLOEXEC), 0);
    capture.read_end = ends[0];
    capture.stderr_before = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(ends[1]);
    assert_int_equal(pthread_create(&capture.reader, NULL, read_lines, NULL), 0);
}

/* Nothing may be asserted between begin and end: a failure would be written into the pipe. */
static void capture_end(void)
{
    (void)dup2(capture.stderr_before, STDERR_FILENO);
    (void)close(capture.stderr_before);
    pthread_join(capture.reader, NULL);
    (void)close(capture.read_end);
}

static int tear_down(void **state)
{
    (void)state;
    log_set_level(LOG_INFO);
    for (size_t i = 0; i < capture.n_lines; i++) {
        free(capture.lines[i]);
    }
    capture.n_lines = 0;
    return 0;
}

/* One whole line of valid JSON; the caller's to decref. */
static json_t *parse_line(const char *line)
{
    size_t length = strlen(line);
    assert_in_range(length, 3, LOG_LINE_MAX);
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(object);
    assert_true(json_is_object(object));
    return object;
}

/* The only line there is. */
static json_t *parse_only(void)
{
    assert_int_equal(capture.n_lines, 1);
    return parse_line(capture.lines[0]);
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    return text;
}

static void assert_logged_as(const char *value, const char *expected)
{
    capture_begin();
    log_info("event", log_str("value", value));
    capture_end();
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "value"), expected);
    json_decref(line);
    (void)tear_down(NULL);
}

static void test_a_line_has_time_level_event_and_fields(void **state)
{
    (void)state;
    capture_begin();
    log_warn("listening", log_str("url", "tcp://h:1"), log_int("least", INT64_MIN), log_int("n", 64));
    capture_end();
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "level"), "warn");
    assert_string_equal(text_of(line, "event"), "listening");
    assert_string_equal(text_of(line, "url"), "tcp://h:1");
    assert_int_equal(json_integer_value(json_object_get(line, "least")), INT64_MIN);
    assert_int_equal(json_integer_value(json_object_get(line, "n")), 64);
    assert_int_equal(json_object_size(line), 6);
    json_decref(line);
}

static void test_a_line_may_have_no_fields(void **state)
{
    (void)state;
    capture_begin();
    log_error("failed");
    capture_end();
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "level"), "error");
    assert_int_equal(json_object_size(line), 3);
    json_decref(line);
}

/* Not time(), which may be a few milliseconds behind the clock that the log reads. */
static time_t now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static void test_the_time_is_utc_to_the_microsecond(void **state)
{
    (void)state;
    time_t before = now_s();
    capture_begin();
    log_info("event");
    capture_end();
    time_t after = now_s();
    json_t *line = parse_only();
    struct tm utc = {0};
    const char *rest = strptime(text_of(line, "ts"), "%Y-%m-%dT%H:%M:%S", &utc);
    assert_non_null(rest);
    assert_int_equal(strlen(rest), strlen(".000000Z"));
    assert_int_equal(strspn(rest + 1, "0123456789"), 6);
    assert_int_equal(rest[7], 'Z');
    assert_in_range(timegm(&utc), before, after);
    json_decref(line);
}

static void test_quotes_backslashes_and_control_bytes_are_escaped(void **state)
{
    (void)state;
    assert_logged_as("say \"no\" \\ / now", "say \"no\" \\ / now");
    char control[0x21];
    for (int i = 0; i < 0x20; i++) {
        control[i] = (char)(i + 1);
    }
    control[0x20] = 0;
    assert_logged_as(control, control);
    assert_logged_as("\x7F", "\x7F");
    assert_logged_as("one\n{\"forged\":true}", "one\n{\"forged\":true}");
}

static void test_null_is_logged_as_an_empty_string(void **state)
{
    (void)state;
    assert_logged_as(NULL, "");
}

static void test_valid_utf8_passes_unchanged(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\xC2\x80\xDF\xBF",                                 /* shortest and longest of two bytes */
        "\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF", /* around the surrogates */
        "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF",                 /* shortest and last of four bytes */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_logged_as(texts[i], texts[i]);
    }
}

#define BAD "\xEF\xBF\xBD" /* U+FFFD */

static void test_every_byte_that_is_not_utf8_is_replaced(void **state)
{
    (void)state;
    assert_logged_as("a\x80z", "a" BAD "z");
    assert_logged_as("\xC0\xAF", BAD BAD);         /* overlong */
    assert_logged_as("\xC1\xBF", BAD BAD);         /* overlong */
    assert_logged_as("\xE0\x9F\xBF", BAD BAD BAD); /* overlong */
    assert_logged_as("\xF0\x8F\xBF\xBF", BAD BAD BAD BAD);
    assert_logged_as("\xED\xA0\x80", BAD BAD BAD); /* surrogate */
    assert_logged_as("\xF4\x90\x80\x80", BAD BAD BAD BAD);
    assert_logged_as("\xF5\xFF\xFE", BAD BAD BAD);
    assert_logged_as("\xE2\x82", BAD BAD);         /* ends early */
    assert_logged_as("\xF0\x9F\x98", BAD BAD BAD); /* ends early */
    assert_logged_as("\xC3(", BAD "(");
    assert_logged_as("\xE2\x82\xC3\xA4", BAD BAD "\xC3\xA4");
}

static void test_event_and_names_are_escaped_too(void **state)
{
    (void)state;
    capture_begin();
    log_info("a\"b", log_int("c\nd", 1));
    capture_end();
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "event"), "a\"b");
    assert_int_equal(json_integer_value(json_object_get(line, "c\nd")), 1);
    json_decref(line);
}

/* `unit` repeated to `length` bytes and no further. Owned by the caller. */
static char *repeated(const char *unit, size_t length)
{
    char *text = malloc(length + 1);
    assert_non_null(text);
    for (size_t i = 0; i < length; i++) {
        text[i] = unit[i % strlen(unit)];
    }
    text[length] = 0;
    return text;
}

static void test_a_field_that_does_not_fit_goes_whole_with_those_behind_it(void **state)
{
    (void)state;
    char *text = repeated("x", 5000);
    capture_begin();
    log_info("event", log_str("first", "kept"), log_str("long", text), log_int("last", 1));
    capture_end();
    free(text);
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "first"), "kept");
    assert_null(json_object_get(line, "long"));
    assert_null(json_object_get(line, "last"));
    assert_true(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
}

static void test_a_long_event_is_cut_and_stays_valid(void **state)
{
    (void)state;
    char *text = repeated("x", 5000);
    capture_begin();
    log_info(text, log_int("n", 1));
    capture_end();
    json_t *line = parse_only();
    const char *event = text_of(line, "event");
    assert_in_range(strlen(event), LOG_LINE_MAX - 200, LOG_LINE_MAX);
    assert_memory_equal(event, text, strlen(event));
    assert_true(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
    free(text);
}

static void test_lines_of_every_length_around_the_limit_are_valid(void **state)
{
    (void)state;
    /* An escape, an invalid byte and a sequence of three, so that the limit falls into each. */
    static const char *const units[] = {"x", "\n", "\xFF", "\xE2\x82\xAC"};
    unsigned cuts = 0;
    unsigned whole = 0;
    for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
        for (size_t length = 280; length < 2060; length += length < 360 || length > 1880 ? 1 : 97) {
            char *text = repeated(units[unit], length);
            capture_begin();
            log_info("event", log_str("value", text));
            log_info(text, log_int("value", 1));
            capture_end();
            free(text);
            assert_int_equal(capture.n_lines, 2);
            for (size_t i = 0; i < 2; i++) {
                json_t *line = parse_line(capture.lines[i]);
                bool cut = json_object_get(line, "cut") != NULL;
                assert_true(cut != (json_object_get(line, "value") != NULL));
                *(cut ? &cuts : &whole) += 1;
                json_decref(line);
            }
            (void)tear_down(NULL);
        }
    }
    assert_true(cuts > 100 && whole > 100);
}

static void test_lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        log_set_level((enum log_level)level);
        capture_begin();
        log_debug("debug");
        log_info("info");
        log_warn("warn");
        log_error("error");
        capture_end();
        assert_int_equal(capture.n_lines, LOG_ERROR - level + 1);
        static const char *const names[] = {"debug", "info", "warn", "error"};
        for (size_t i = 0; i < capture.n_lines; i++) {
            json_t *line = parse_line(capture.lines[i]);
            assert_string_equal(text_of(line, "level"), names[(size_t)level + i]);
            json_decref(line);
        }
        (void)tear_down(NULL);
    }
}

static void test_until_set_the_level_is_info(void **state)
{
    (void)state;
    capture_begin();
    log_debug("debug");
    log_info("info");
    capture_end();
    json_t *line = parse_only();
    assert_string_equal(text_of(line, "event"), "info");
    json_decref(line);
}

static void test_level_parse_knows_the_four_names_only(void **state)
{
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_ok(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_ok(log_level_parse("warn", &level));
    assert_int_equal(level, LOG_WARN);
    assert_ok(log_level_parse("info", &level));
    assert_int_equal(level, LOG_INFO);
    assert_ok(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    static const char *const wrong[] = {"", "INFO", "warning", "inf", "infos", " info", "1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_status(log_level_parse(wrong[i], &level), STATUS_INVALID_ARGUMENT);
        assert_int_equal(level, LOG_DEBUG);
    }
}

static void *log_many(void *arg)
{
    const char *text = arg;
    for (int i = 0; i < LINES_A_THREAD; i++) {
        log_info("stress", log_str("text", text), log_int("i", i));
    }
    return NULL;
}

static void log_from_all(char *const *texts)
{
    capture_begin();
    /* In packet mode each line takes a page. */
    bool fits = fcntl(STDERR_FILENO, F_SETPIPE_SZ, PIPE_SIZE) >= THREADS * LINES_A_THREAD * PIPE_BUF;
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        (void)pthread_create(&threads[i], NULL, log_many, texts[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    capture_end();
    assert_true(fits);
    assert_int_equal(capture.n_lines, THREADS * LINES_A_THREAD);
    int next[THREADS] = {0};
    for (size_t i = 0; i < capture.n_lines; i++) {
        json_t *line = parse_line(capture.lines[i]);
        const char *text = text_of(line, "text");
        size_t thread = (size_t)(text[0] - 'a');
        assert_in_range(thread, 0, THREADS - 1);
        assert_string_equal(text, texts[thread]);
        assert_int_equal(json_integer_value(json_object_get(line, "i")), next[thread]++);
        json_decref(line);
    }
}

static void test_lines_of_several_threads_never_mix(void **state)
{
    (void)state;
    char *texts[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        const char unit[] = {(char)('a' + i), 0};
        texts[i] = repeated(unit, 1 + 400 * i);
    }
    for (int round = 0; round < ROUNDS; round++) {
        log_from_all(texts);
        (void)tear_down(NULL);
    }
    for (size_t i = 0; i < THREADS; i++) {
        free(texts[i]);
    }
}

static void test_a_closed_standard_error_stops_nothing(void **state)
{
    (void)state;
    int before = dup(STDERR_FILENO);
    (void)close(STDERR_FILENO);
    log_error("nobody hears this");
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    (void)close(before);
}

int main(void)
{
#define test(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_until_set_the_level_is_info),
        test(test_a_line_has_time_level_event_and_fields),
        test(test_a_line_may_have_no_fields),
        test(test_the_time_is_utc_to_the_microsecond),
        test(test_quotes_backslashes_and_control_bytes_are_escaped),
        test(test_null_is_logged_as_an_empty_string),
        test(test_valid_utf8_passes_unchanged),
        test(test_every_byte_that_is_not_utf8_is_replaced),
        test(test_event_and_names_are_escaped_too),
        test(test_a_field_that_does_not_fit_goes_whole_with_those_behind_it),
        test(test_a_long_event_is_cut_and_stays_valid),
        test(test_lines_of_every_length_around_the_limit_are_valid),
        test(test_lines_below_the_level_are_not_written),
        test(test_level_parse_knows_the_four_names_only),
        test(test_lines_of_several_threads_never_mix),
        test(test_a_closed_standard_error_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
