#include "harness/edge.h"

#include "harness/test.h"
#include "panic/v1/panic_service.pb-c.h"

static struct panicd *panicd;

void edge_start(const char *const *extra)
{
    panicd = panicd_start(extra);
}

int edge_set_up(void **state)
{
    (void)state;
    edge_start(NULL);
    return 0;
}

int edge_tear_down(void **state)
{
    (void)state;
    panicd_end(panicd);
    panicd = NULL;
    return 0;
}

struct panicd *edge_panicd(void)
{
    return panicd;
}

const char *edge_url(void)
{
    return panicd_http(panicd);
}

json_t *edge_create(const char *url, const char *headers, const char *body)
{
    struct http_answer answer;
    http_call(url, "POST", "/panic", headers, body, &answer);
    return http_take_json(&answer, 202);
}

void edge_expect_binary_panic(struct http_answer *answer, const char *id)
{
    assert_int_equal(answer->status, 200);
    assert_string_equal(http_header(answer, "Content-Type"), "application/proto");
    Panic__V1__GetPanicResponse *response =
        panic__v1__get_panic_response__unpack(NULL, answer->length, (const uint8_t *)answer->body);
    assert_non_null(response);
    assert_string_equal(response->panic->id, id);
    panic__v1__get_panic_response__free_unpacked(response, NULL);
    http_answer_free(answer);
}
