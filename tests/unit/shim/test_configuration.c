/* What a shim is started with, and what it says of itself. */
#include "unit/shim/rig.h"

#include <string.h>

static void test_ready_follows_the_health_flag(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct http_answer answer;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    http_call(rig.url, "GET", "/readyz", "", NULL, &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_expect(&answer, 503, "status", "NOT_SERVING");
    http_call(rig.url, "GET", "/livez", "", NULL, &answer);
    http_expect(&answer, 200, "status", "OK");
    atomic_store(&rig.health.serving, true);
    http_call(rig.url, "GET", "/readyz", "", NULL, &answer);
    http_expect(&answer, 200, "status", "OK");
    shim_rig_end(&rig);
}

static void test_method_without_handler_is_unimplemented(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct http_answer answer;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    http_call(rig.url, "POST", "/panic.v1.PanicService/ListPanics", HTTP_JSON_TYPE, "{}", &answer);
    http_expect(&answer, 501, "code", "unimplemented");
    shim_rig_end(&rig);
}

static void test_address_in_use_is_refused(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct shim *second;
    struct diag diag;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    struct shim_config config = {.address = rig.url + strlen("http://"),
                                 .router = rig.router,
                                 .health = &rig.health,
                                 .tenant = "test",
                                 .loops = 2,
                                 .calls_max = 2};
    assert_status(shim_start(&config, &second, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "in use"));
    shim_rig_end(&rig);
}

static void test_configuration_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct shim *second;
    struct diag diag;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    const struct shim_config good = {.address = "127.0.0.1:0",
                                     .router = rig.router,
                                     .health = &rig.health,
                                     .tenant = "t",
                                     .loops = 1,
                                     .calls_max = 1};
    struct shim_config config = good;
    config.address = "nowhere";
    assert_status(shim_start(&config, &second, &diag), STATUS_INVALID_ARGUMENT);
    config = good;
    config.loops = 0;
    assert_status(shim_start(&config, &second, &diag), STATUS_INVALID_ARGUMENT);
    config = good;
    config.tls_cert_file = "/dev/null";
    assert_status(shim_start(&config, &second, &diag), STATUS_INVALID_ARGUMENT);
    config.tls_key_file = "/dev/null";
    assert_status(shim_start(&config, &second, &diag), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(diag.text, "/dev/null"));
    shim_rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready_follows_the_health_flag),
        cmocka_unit_test(test_method_without_handler_is_unimplemented),
        cmocka_unit_test(test_address_in_use_is_refused),
        cmocka_unit_test(test_configuration_that_cannot_be_used_is_refused),
    };
    return cmocka_run_group_tests_name("configuration", tests, NULL, NULL);
}
