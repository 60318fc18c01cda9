/* The small readers: media types, query strings, trace headers, addresses to listen on. */
#include "harness/test.h"

#include <string.h>

#include "shim/cors.h"
#include "shim/listen.h"
#include "shim/media_type.h"
#include "shim/query.h"
#include "shim/trace.h"

static void test_media_types(void **state)
{
    (void)state;
    assert_int_equal(media_type_of(NULL), MEDIA_NONE);
    assert_int_equal(media_type_of("application/json"), MEDIA_JSON);
    assert_int_equal(media_type_of(" Application/JSON ; charset=UTF-8"), MEDIA_JSON);
    assert_int_equal(media_type_of("application/json; a=b; charset=\"utf-8\""), MEDIA_JSON);
    assert_int_equal(media_type_of("application/json; charset=utf-16"), MEDIA_OTHER);
    assert_int_equal(media_type_of("application/json, text/plain"), MEDIA_OTHER);
    assert_int_equal(media_type_of("application/json+x"), MEDIA_OTHER);
    assert_int_equal(media_type_of("application/proto"), MEDIA_PROTO);
    assert_int_equal(media_type_of("application/protobuf"), MEDIA_OTHER);
    assert_int_equal(media_type_of(""), MEDIA_OTHER);
}

static void test_accepting_problem_json(void **state)
{
    (void)state;
    assert_true(media_accepts_problem("application/problem+json"));
    assert_true(media_accepts_problem("application/json, application/problem+json;q=0.5"));
    assert_false(media_accepts_problem("application/json, application/problem+json;q=0"));
    assert_false(media_accepts_problem("application/problem+json; q=0.000, */*"));
    assert_false(media_accepts_problem("*/*"));
    assert_false(media_accepts_problem(NULL));
}

static void expect_parameter(const char *query, const char *name, const char *expected)
{
    struct arena arena;
    struct json_text value;
    arena_init(&arena, NULL, 0, 4096);
    assert_ok(query_find(query, name, &arena, &value));
    assert_int_equal(value.length, strlen(expected));
    assert_memory_equal(value.data, expected, value.length);
    arena_reset(&arena);
}

static void test_query_parameters(void **state)
{
    (void)state;
    expect_parameter("a=1&b=2", "b", "2");
    expect_parameter("a=1&a=2", "a", "1");
    expect_parameter("ab=1&a=2", "a", "2");
    expect_parameter("a=", "a", "");
    expect_parameter("a=%7b+%7D%2B", "a", "{ }+");
    expect_parameter("&&a=x=y&", "a", "x=y");
    struct arena arena;
    struct json_text value;
    arena_init(&arena, NULL, 0, 4096);
    assert_status(query_find(NULL, "a", &arena, &value), STATUS_NOT_FOUND);
    assert_status(query_find("a&b=1", "a", &arena, &value), STATUS_NOT_FOUND);
    static const char *const broken[] = {"a=%", "a=%4", "a=%4g", "a=%4&b=1", "a=x%"};
    for (size_t i = 0; i < 5; i++) {
        assert_status(query_find(broken[i], "a", &arena, &value), STATUS_INVALID_ARGUMENT);
    }
    arena_reset(&arena);
}

static void expect_new_trace(struct trace_ids *ids, const char *traceparent)
{
    char text[TRACEPARENT_SIZE];
    trace_continue(ids, traceparent, text);
    assert_int_equal(strlen(text), 55);
    assert_memory_equal(text, "00-", 3);
    if (strlen(traceparent) >= 35) {
        assert_memory_not_equal(text + 3, traceparent + 3, 32);
    }
}

static void test_bad_traceparents_begin_a_new_trace(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
    };
    (void)state;
    struct trace_ids ids;
    trace_ids_init(&ids);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_new_trace(&ids, bad[i]);
    }
}

static void test_no_traceparent_stays_none(void **state)
{
    (void)state;
    struct trace_ids ids;
    char text[TRACEPARENT_SIZE] = "x";
    trace_ids_init(&ids);
    trace_continue(&ids, NULL, text);
    assert_string_equal(text, "");
}

static void test_later_versions_of_traceparent_are_read_as_far_as_known(void **state)
{
    (void)state;
    struct trace_ids ids;
    char text[TRACEPARENT_SIZE];
    trace_ids_init(&ids);
    trace_continue(&ids, "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", text);
    assert_memory_equal(text, "00-0af7651916cd43dd8448eb211c80319c-", 36);
}

static void test_addresses_to_listen_on(void **state)
{
    static const char *const good[][2] = {{"127.0.0.1:8080", "127.0.0.1:8080"},
                                          {"localhost:0", "127.0.0.1:0"},
                                          {"0.0.0.0:80", "0.0.0.0:80"},
                                          {"[::1]:65535", "[::1]:65535"}};
    static const char *const bad[] = {
        "",      ":80",     "127.0.0.1",       "127.0.0.1:",     "127.0.0.1:http", "::1:8080",
        "[::1]", "[::1]80", "127.0.0.1:70000", "example.org:80", "[]:80",          "127.0.0.1:-1"};
    (void)state;
    struct listen_address address;
    struct diag diag;
    char text[LISTEN_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_ok(listen_parse(good[i][0], &address, &diag));
        listen_format(&address, text);
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_status(listen_parse(bad[i], &address, &diag), STATUS_INVALID_ARGUMENT);
    }
}

/* It would never match; but null is what any page in a sandbox sends. */
static void test_origins_that_no_page_of_ones_own_sends(void **state)
{
    static const char *const wrong[] = {"*",
                                        "",
                                        "null",
                                        "console.example",
                                        "https://",
                                        "https://console.example/",
                                        "https://Console.example",
                                        "https://console.example ",
                                        "://x",
                                        "https://:8443",
                                        "https://user@console.example"};
    static const char *const right[] = {"https://console.example", "http://localhost:3000", "http://[::1]:80",
                                        "capacitor://localhost"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(cors_is_origin(wrong[i]));
    }
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_true(cors_is_origin(right[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_accepting_problem_json),
        cmocka_unit_test(test_query_parameters),
        cmocka_unit_test(test_bad_traceparents_begin_a_new_trace),
        cmocka_unit_test(test_no_traceparent_stays_none),
        cmocka_unit_test(test_later_versions_of_traceparent_are_read_as_far_as_known),
        cmocka_unit_test(test_addresses_to_listen_on),
        cmocka_unit_test(test_origins_that_no_page_of_ones_own_sends),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
