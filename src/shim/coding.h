/*
 * Content codings (RFC 9110, sections 8.4 and 12.5.3): bodies that come in gzip, answers that go out in it.
 * Known are gzip and identity.
 */
#ifndef SHIM_CODING_H
#define SHIM_CODING_H

#include "shim/answer.h"
#include "shim/request.h"

/* What is told to those who use another coding. */
#define CODING_SUPPORTED "gzip, identity"

/* Answers below this length are sent as they are, unless the client cannot take that. */
#define CODING_ANSWER_MIN 1024

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_UNKNOWN };

/* By the value of Content-Encoding; CODING_IDENTITY for NULL. */
enum coding coding_of(const char *content_encoding);

enum coding_wish {
    /* As it is: gzip is not taken, or less liked. */
    CODING_WISH_IDENTITY,
    CODING_WISH_GZIP,
    /* Nothing but gzip: "identity;q=0". */
    CODING_WISH_ONLY_GZIP
};

/* By the value of Accept-Encoding, which is NULL when there is none. */
enum coding_wish coding_wish_of(const char *accept_encoding);
/* By all such lines of a request. */
enum coding_wish coding_wish_of_request(const struct request *request);

/*
 * Packs the body of a success when the client wishes that and it is worth it, and says in the headers what
 * was done and that the wish decided it. With no memory for it the answer stays as it is: better in another
 * coding than none.
 */
void coding_pack_answer(struct answer *answer, enum coding_wish wish, struct arena *arena);

#endif
