/*
 * The baseline: what nng itself does. An echo on REP contexts, with nothing in between: no protobuf, no
 * queue, no store. The first two bytes of a request tell how long its answer is.
 *
 *     bench_raw_echo URL      until its standard input ends
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

/* As many as panicd has. */
#define CONTEXTS 1280

struct echo {
    nng_aio *aio;
    nng_ctx ctx;
    bool sending;
};

static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "bench_raw_echo: %s: %s\n", what, nng_strerror(error));
        exit(EXIT_FAILURE);
    }
}

static void make_answer(nng_msg *msg)
{
    const unsigned char *body = nng_msg_body(msg);
    size_t length = nng_msg_len(msg);
    size_t wanted = length >= 2 ? (size_t)body[0] << 8 | body[1] : length;
    if (wanted > length) {
        static const char filling[UINT16_MAX];
        check(nng_msg_append(msg, filling, wanted - length), "answer");
    } else {
        check(nng_msg_chop(msg, length - wanted), "answer");
    }
}

static void on_event(void *arg)
{
    struct echo *echo = arg;
    int error = nng_aio_result(echo->aio);
    if (error == NNG_ECLOSED) {
        return;
    }
    if (error != 0 || echo->sending) {
        echo->sending = false;
        nng_ctx_recv(echo->ctx, echo->aio);
        return;
    }
    make_answer(nng_aio_get_msg(echo->aio));
    echo->sending = true;
    nng_ctx_send(echo->ctx, echo->aio);
}

int main(int argc, char **argv)
{
    static struct echo echoes[CONTEXTS];
    if (argc != 2) {
        fprintf(stderr, "Usage: bench_raw_echo URL\n");
        return 64;
    }
    nng_socket socket;
    check(nng_rep0_open(&socket), "open");
    for (size_t i = 0; i < CONTEXTS; i++) {
        check(nng_ctx_open(&echoes[i].ctx, socket), "context");
        check(nng_aio_alloc(&echoes[i].aio, on_event, &echoes[i]), "aio");
    }
    check(nng_listen(socket, argv[1], NULL, 0), argv[1]);
    for (size_t i = 0; i < CONTEXTS; i++) {
        nng_ctx_recv(echoes[i].ctx, echoes[i].aio);
    }
    printf("ready\n");
    fflush(stdout);
    char end;
    while (read(STDIN_FILENO, &end, 1) > 0) {
    }
    return 0;
}
