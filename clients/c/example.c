/* The smallest useful client: presses the button once, and says what became of it. */
#include <stdio.h>

#include "c/panic_client.h"

static int press(const char *url)
{
    struct panic_client *client = NULL;
    struct diag why = {0};
    if (panic_client_open(url, &client, &why) != STATUS_OK) {
        fprintf(stderr, "%s\n", why.text);
        return 1;
    }
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);

    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = {PROTOBUF_C_MESSAGE_INIT(&panic__v1__location__descriptor), .lat = -33.9,
                                    .lng = 18.4};
    request.location = &location;
    const Panic__V1__CreatePanicResponse *response;
    enum status status = panic_client_create(client, &request, 10 * US_PER_S, &arena, &response, &why);

    if (status == STATUS_OK) {
        printf("%s is durable\n", response->panic->id);
    } else {
        fprintf(stderr, "%s: %s\n", status_name(status), why.text);
    }
    arena_reset(&arena);
    panic_client_close(client);
    return status == STATUS_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    return press(argc > 1 ? argv[1] : "tcp://127.0.0.1:7070");
}
