/*
 * A peer of panicd that speaks the Scalability Protocols by hand over TCP, and so can also speak them
 * wrongly. The mappings are those of docs/protocol.md: a greeting of 8 bytes each way, then frames of a
 * 64-bit length and a body that begins with the request id.
 */
#ifndef HARNESS_SP_PEER_H
#define HARNESS_SP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SP_REQ 0x30
#define SP_PUB 0x20

/* A connected socket whose reads end after HARNESS_PATIENCE_US, for tcp://127.0.0.1:PORT or ipc://PATH. */
int sp_connect(const char *url);

/* Closes it so that the other side gets a reset (SO_LINGER 0). */
void sp_reset(int fd);

/* What the peer has to say may find nobody any more; that is no failure. */
void sp_send(int fd, const void *data, size_t length);

/* Sends a greeting for `protocol` and reads the other side's; false when it hung up instead. */
bool sp_greet(int fd, uint16_t protocol);

/* A connection that has exchanged greetings as a REQ peer. */
int sp_connect_req(const char *url);

/* The head of a frame that announces `length` bytes. */
void sp_send_head(int fd, uint64_t length);

/* A whole frame: request id and body. */
void sp_send_request(int fd, uint32_t request_id, const void *body, size_t length);

/* The body of the answer behind its request id. -1 when the other side has hung up; fails the test on
 * silence. */
ssize_t sp_receive_answer(int fd, uint32_t request_id, void *body, size_t size);

/* Fails the test unless the other side hangs up. */
void sp_expect_hang_up(int fd);

#endif
