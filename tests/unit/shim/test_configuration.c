/* What a shim is started with, and what it says of itself. */
#include "harness/test.h"

#include <string.h>

#include "harness/http_client.h"
#include "panic/v1/panic_service.pb-c.h"
#include "shim/shim.h"

struct fixture {
    struct rpc_health health;
    struct rpc_router *router;
    struct shim *shim;
    const char *url;
};

static void start(struct fixture *f, const struct shim_config *wanted)
{
    const struct rpc_service service = {.descriptor = &panic__v1__panic_service__descriptor};
    struct diag diag;
    memset(f, 0, sizeof(*f));
    assert_ok(rpc_router_new(&service, 1, &f->router));
    struct shim_config config = *wanted;
    config.address = "127.0.0.1:0";
    config.router = f->router;
    config.health = &f->health;
    config.tenant = "test";
    config.loops = 1;
    config.calls_max = 1;
    assert_ok(shim_start(&config, &f->shim, &diag));
    f->url = shim_address(f->shim);
}

static void end(struct fixture *f)
{
    shim_free(f->shim);
    rpc_router_free(f->router);
}

static void test_ready_follows_the_health_flag(void **state)
{
    (void)state;
    struct fixture f;
    struct http_answer answer;
    start(&f, &(struct shim_config){0});
    http_call(f.url, "GET", "/readyz", "", NULL, &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_expect(&answer, 503, "status", "NOT_SERVING");
    http_call(f.url, "GET", "/livez", "", NULL, &answer);
    http_expect(&answer, 200, "status", "OK");
    atomic_store(&f.health.serving, true);
    http_call(f.url, "GET", "/readyz", "", NULL, &answer);
    http_expect(&answer, 200, "status", "OK");
    end(&f);
}

static void test_method_without_handler_is_unimplemented(void **state)
{
    (void)state;
    struct fixture f;
    struct http_answer answer;
    start(&f, &(struct shim_config){0});
    http_call(f.url, "POST", "/panic.v1.PanicService/ListPanics", "Content-Type: application/json\r\n", "{}",
              &answer);
    http_expect(&answer, 501, "code", "unimplemented");
    end(&f);
}

static void test_address_in_use_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct shim *second;
    struct diag diag;
    start(&f, &(struct shim_config){0});
    struct shim_config config = {.address = f.url + strlen("http://"),
                                 .router = f.router,
                                 .health = &f.health,
                                 .tenant = "test",
                                 .loops = 2,
                                 .calls_max = 2};
    assert_status(shim_start(&config, &second, &diag), STATUS_UNAVAILABLE);
    assert_non_null(strstr(diag.text, "in use"));
    end(&f);
}

static void test_configuration_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct shim *second;
    struct diag diag;
    start(&f, &(struct shim_config){0});
    const struct shim_config good = {.address = "127.0.0.1:0",
                                     .router = f.router,
                                     .health = &f.health,
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
    end(&f);
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
