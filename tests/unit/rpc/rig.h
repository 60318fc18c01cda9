/*
 * A server with handlers that do what a test wants, and peers that speak the protocol by hand.
 *
 * GetPanic answers at once; what it does is in the request's id (see rig_get). CreatePanic holds its call
 * until the test lets it go. Waits end after RIG_PATIENCE_S with a failed assertion.
 */
#ifndef UNIT_RPC_RIG_H
#define UNIT_RPC_RIG_H

#include "harness/test.h"

#include <stdbool.h>

#include "base/arena.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "rpc/v1/rpc.pb-c.h"
#include "unit/rpc/wire.h"

#define RIG_PATIENCE_S 20
#define RIG_GET "/panic.v1.PanicService/GetPanic"
#define RIG_CREATE "/panic.v1.PanicService/CreatePanic"

struct rig {
    char folder[64];
    struct rpc_router *router;
    struct rpc_health health;
    struct rpc_server *server;
};

/* A new rig with a folder of its own and no server yet. cmocka set-up and tear-down, the rig in *state. */
int rig_set_up(void **state);
int rig_tear_down(void **state);

/* In the list of a group's tests. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

/* "ipc://FOLDER/name" in a buffer that the next call with the same rig overwrites. */
const char *rig_ipc(const struct rig *rig, const char *name);

/* Starts rig->server with this many contexts on `url`; rig_url() is where it listens. */
void rig_start(struct rig *rig, const char *url, unsigned contexts);
const char *rig_url(const struct rig *rig);
void rig_stop(struct rig *rig);

/* Waits until CreatePanic holds n calls. */
void rig_wait_held(size_t n);
/* Finishes all held calls, on a thread of its own. */
void rig_release_held(void);

/* Sends bytes as a REQ peer on a connection of its own and gives back the answer, to be freed with
 * rig_free_answer. */
Rpc__V1__Response *rig_exchange(const char *url, const void *bytes, size_t length);
void rig_free_answer(Rpc__V1__Response *answer);
/* The same with an envelope around: the id goes to GetPanic. Gives the status; the answer's text or id goes
 * to `text`. */
enum status rig_get(const char *url, const char *id, char *text, size_t size);

/* A plain socket, connected, that has shaken hands when `greet`. URL tcp:// (IPv4) or ipc://. */
int rig_connect(const char *url, bool greet);
/* A plain socket that listens on a free port of the loopback interface; its tcp:// URL goes to `url`. */
int rig_listen(char *url, size_t size);
int rig_accept(int listening);
void rig_close(int fd);
/* Exactly `length` bytes; false when the peer closes or is silent for RIG_PATIENCE_S. */
bool rig_read(int fd, void *bytes, size_t length);
/* Waits until the peer has closed. */
bool rig_peer_closes(int fd);
void rig_write(int fd, const void *bytes, size_t length);
/* One SP frame with a request id before the body. */
void rig_write_request(int fd, uint32_t id, const void *body, size_t length);

#endif
