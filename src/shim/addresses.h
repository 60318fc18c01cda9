/*
 * How many connections each peer address has open, for the limit per address. Shared by all loops; one lock,
 * taken when a connection opens and closes, not for requests.
 */
#ifndef SHIM_ADDRESSES_H
#define SHIM_ADDRESSES_H

#include <stddef.h>
#include <sys/socket.h>

#include "base/status.h"

struct addresses;

/* Room for `addresses_max` different addresses at once. */
MUST_USE enum status addresses_new(size_t addresses_max, struct addresses **ret_addresses);
/* NULL is fine. */
void addresses_free(struct addresses *addresses);

/* What counts as one address: of IPv4 all of it, of IPv6 the /64, which is what one subscriber has. */
struct address_key {
    unsigned char bytes[16];
};

struct address_key address_key_of(const struct sockaddr *address);

/* Counts one more connection; false, and not counted, when the address has `count_max` already. */
bool addresses_enter(struct addresses *addresses, const struct address_key *key, unsigned count_max);
/* One connection less, of one that entered. */
void addresses_leave(struct addresses *addresses, const struct address_key *key);

#endif
