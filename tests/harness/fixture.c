#include "harness/fixture.h"

#include <stdlib.h>

#include "harness/test.h"

#define ANSWERS_MAX ((size_t)16 * 1024 * 1024)

void fixture_init(struct fixture *fixture)
{
    fixture->panicd = panicd_start(NULL);
    fixture->client = calls_connect(panicd_ipc(fixture->panicd));
    arena_init(&fixture->arena, NULL, 0, ANSWERS_MAX);
}

void fixture_release(struct fixture *fixture)
{
    panic_client_close(fixture->client);
    panicd_end(fixture->panicd);
    arena_reset(&fixture->arena);
}

int fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture_init(fixture);
    *state = fixture;
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}
