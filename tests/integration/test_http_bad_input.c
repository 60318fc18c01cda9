/* Each way to get the seed's routes wrong: the right status, and the field named. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/edge.h"

#define PRESS                                                                                                \
    "{\"location\":{\"lat\":-33.9,\"lng\":18.4},\"metadata\":{\"triggerSource\":\"mobile-app\",\"level\":2}" \
    "}"

static void post(const char *headers, const char *body, struct http_answer *answer)
{
    http_call(edge_url(), "POST", "/panic", headers, body, answer);
}

static void expect_refused(const char *body, int status, const char *text)
{
    struct http_answer answer;
    post(HTTP_JSON_TYPE, body, &answer);
    http_expect(&answer, status, "error", text);
}

static json_t *create(const char *headers, const char *body)
{
    return edge_create(edge_url(), headers, body);
}

static void test_text_that_is_not_json_is_refused_with_its_place(void **state)
{
    (void)state;
    expect_refused("", 400, "not valid JSON");
    expect_refused("{\"location\":", 400, "not valid JSON at line 1");
    expect_refused("{'a':1}", 400, "not valid JSON at line 1, column 2");
    expect_refused("lat=1&lng=2", 400, "not valid JSON");
    expect_refused("[]", 400, "expected object");
}

static void test_wrong_types_name_the_field(void **state)
{
    (void)state;
    expect_refused("{\"location\":{\"lat\":\"north\",\"lng\":1}}", 400, "location.lat");
    expect_refused("{\"location\":7}", 400, "location");
    expect_refused("{\"metadata\":[]}", 400, "metadata");
    expect_refused("{\"mode\":\"LOUD\"}", 400, "mode");
    expect_refused("{\"pressedAt\":\"yesterday\"}", 400, "pressedAt");
}

static void test_unknown_and_repeated_fields_are_refused_by_name(void **state)
{
    (void)state;
    expect_refused("{\"loc\":{}}", 400, "loc");
    expect_refused("{\"location\":{\"lat\":1,\"lng\":2,\"alt\":3}}", 400, "location.alt");
    expect_refused("{\"mode\":1,\"mode\":2}", 400, "mode");
    expect_refused("{\"subjectId\":\"a\",\"subject_id\":\"b\"}", 400, "subject");
}

static void test_impossible_place_is_left_out_with_a_warning(void **state)
{
    (void)state;
    json_t *json = create(HTTP_JSON_TYPE, "{\"location\":{\"lat\":91,\"lng\":18.4}}");
    const char *warning = json_string_value(json_array_get(json_object_get(json, "warnings"), 0));
    assert_non_null(warning);
    assert_non_null(strstr(warning, "location: lat 91"));
    assert_true(json_is_null(json_object_get(json, "location")));
    json_decref(json);
}

static void test_impossible_place_is_refused_when_strict(void **state)
{
    (void)state;
    expect_refused("{\"strict\":true,\"location\":{\"lat\":91,\"lng\":18.4}}", 400, "location: lat 91");
}

static void test_huge_numbers(void **state)
{
    (void)state;
    expect_refused("{\"location\":{\"lat\":1e400,\"lng\":2}}", 400, "location.lat");
    expect_refused("{\"location\":{\"lat\":NaN,\"lng\":2}}", 400, "not valid JSON");
    json_t *json = create(HTTP_JSON_TYPE, "{\"location\":{\"lat\":1e300,\"lng\":2}}");
    assert_int_equal(json_array_size(json_object_get(json, "warnings")), 1);
    json_decref(json);
}

static void test_id_that_is_no_uuid_is_refused(void **state)
{
    (void)state;
    expect_refused("{\"id\":\"7\"}", 400, "id:");
}

static void test_other_content_types_are_415(void **state)
{
    (void)state;
    static const char *const types[] = {"text/plain", "application/x-www-form-urlencoded",
                                        "application/json; charset=latin1", "application/jsonx"};
    for (size_t i = 0; i < 4; i++) {
        char headers[128];
        struct http_answer answer;
        snprintf(headers, sizeof(headers), "Content-Type: %s\r\n", types[i]);
        post(headers, PRESS, &answer);
        assert_string_equal(http_header(&answer, "Accept-Post"), "application/json");
        http_expect(&answer, 415, "error", "Content-Type");
    }
    json_decref(create("Content-Type: Application/JSON; charset=UTF-8\r\n", PRESS));
}

static void test_unknown_content_coding_is_415(void **state)
{
    (void)state;
    struct http_answer answer;
    post(HTTP_JSON_TYPE "Content-Encoding: br\r\n", PRESS, &answer);
    http_expect(&answer, 415, "error", "identity");
}

static void test_wrong_method_is_405_and_says_which_are_right(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        const char *allow;
    } wrong[] = {{"GET", "/panic", "POST"},
                 {"DELETE", "/panic", "POST"},
                 {"BREW", "/panic", "POST"},
                 {"POST", "/health", "GET, HEAD"},
                 {"PUT", "/panic/x", "GET, HEAD"}};
    for (size_t i = 0; i < 5; i++) {
        struct http_answer answer;
        http_call(edge_url(), wrong[i].method, wrong[i].target, "", NULL, &answer);
        assert_string_equal(http_header(&answer, "Allow"), wrong[i].allow);
        http_expect(&answer, 405, "code", "unimplemented");
    }
}

static void test_unknown_panic_is_404_with_the_promised_body(void **state)
{
    (void)state;
    static const char *const ids[] = {"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff", "unknown", "1"};
    for (size_t i = 0; i < 3; i++) {
        char target[64];
        struct http_answer answer;
        snprintf(target, sizeof(target), "/panic/%s", ids[i]);
        http_call(edge_url(), "GET", target, "", NULL, &answer);
        assert_int_equal(answer.status, 404);
        assert_string_equal(answer.body, "{\"error\":\"Panic not found\",\"code\":\"not_found\"}");
        http_answer_free(&answer);
    }
}

static void test_unknown_path_is_404(void **state)
{
    (void)state;
    static const char *const targets[] = {"/", "/panics", "/Panic", "/panic/", "/panic/a/b", "/health/"};
    for (size_t i = 0; i < 6; i++) {
        struct http_answer answer;
        http_call(edge_url(), "GET", targets[i], "", NULL, &answer);
        http_expect(&answer, 404, "code", "not_found");
    }
}

static void test_problem_json_when_asked_for(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(edge_url(), "GET", "/panic/unknown", "Accept: application/problem+json\r\n", NULL, &answer);
    assert_string_equal(http_header(&answer, "Content-Type"), "application/problem+json");
    json_t *json = http_take_json(&answer, 404);
    assert_string_equal(http_text_of(json, "title"), "Not Found");
    assert_string_equal(http_text_of(json, "detail"), "Panic not found");
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 404);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_that_is_not_json_is_refused_with_its_place),
        cmocka_unit_test(test_wrong_types_name_the_field),
        cmocka_unit_test(test_unknown_and_repeated_fields_are_refused_by_name),
        cmocka_unit_test(test_impossible_place_is_left_out_with_a_warning),
        cmocka_unit_test(test_impossible_place_is_refused_when_strict),
        cmocka_unit_test(test_huge_numbers),
        cmocka_unit_test(test_id_that_is_no_uuid_is_refused),
        cmocka_unit_test(test_other_content_types_are_415),
        cmocka_unit_test(test_unknown_content_coding_is_415),
        cmocka_unit_test(test_wrong_method_is_405_and_says_which_are_right),
        cmocka_unit_test(test_unknown_panic_is_404_with_the_promised_body),
        cmocka_unit_test(test_unknown_path_is_404),
        cmocka_unit_test(test_problem_json_when_asked_for),
    };
    return cmocka_run_group_tests_name("http_bad_input", tests, edge_set_up, edge_tear_down);
}
