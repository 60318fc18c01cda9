/*
 * A hash table with open addressing that is at most half full. An entry whose count falls to 0 is taken out
 * by moving back those that probing had pushed past it (Knuth, The Art of Computer Programming, volume
 * 3, 6.4, algorithm R), so that no tombstones pile up. The hash has a random seed: addresses are chosen by
 * strangers.
 */
#include "shim/addresses.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct address_key key;
    /* 0 = free. */
    unsigned count;
};

struct addresses {
    pthread_mutex_t lock;
    size_t mask;
    size_t n_used;
    uint64_t seed;
    struct entry entries[];
};

enum status addresses_new(size_t addresses_max, struct addresses **ret_addresses)
{
    size_t size = 16;
    while (size < 2 * addresses_max) {
        size *= 2;
    }
    struct addresses *addresses = calloc(1, sizeof(*addresses) + size * sizeof(struct entry));
    if (addresses == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    pthread_mutex_init(&addresses->lock, NULL);
    addresses->mask = size - 1;
    arc4random_buf(&addresses->seed, sizeof(addresses->seed));
    *ret_addresses = addresses;
    return STATUS_OK;
}

void addresses_free(struct addresses *addresses)
{
    if (addresses != NULL) {
        pthread_mutex_destroy(&addresses->lock);
        free(addresses);
    }
}

struct address_key address_key_of(const struct sockaddr *address)
{
    struct address_key key = {{0}};
    if (address->sa_family == AF_INET) {
        /* As an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2). */
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        key.bytes[10] = 0xFF;
        key.bytes[11] = 0xFF;
        memcpy(key.bytes + 12, &in->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        size_t length = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 16 : 8;
        memcpy(key.bytes, &in6->sin6_addr, length);
    }
    return key;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
}

static size_t home_of(const struct addresses *addresses, const struct address_key *key)
{
    uint64_t halves[2];
    memcpy(halves, key->bytes, sizeof(halves));
    return (size_t)mix(mix(halves[0] ^ addresses->seed) + halves[1]) & addresses->mask;
}

/* Where the key is, or else the free place where it would go. Under lock. */
static size_t find(const struct addresses *addresses, const struct address_key *key)
{
    size_t at = home_of(addresses, key);
    while (addresses->entries[at].count > 0 && memcmp(&addresses->entries[at].key, key, sizeof(*key)) != 0) {
        at = (at + 1) & addresses->mask;
    }
    return at;
}

/* Under lock. */
static void take_out(struct addresses *addresses, size_t hole)
{
    size_t mask = addresses->mask;
    addresses->n_used--;
    for (size_t at = (hole + 1) & mask; addresses->entries[at].count > 0; at = (at + 1) & mask) {
        size_t home = home_of(addresses, &addresses->entries[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            addresses->entries[hole] = addresses->entries[at];
            hole = at;
        }
    }
    addresses->entries[hole].count = 0;
}

bool addresses_enter(struct addresses *addresses, const struct address_key *key, unsigned count_max)
{
    pthread_mutex_lock(&addresses->lock);
    struct entry *entry = &addresses->entries[find(addresses, key)];
    bool is_new = entry->count == 0;
    bool may_enter = is_new ? 2 * addresses->n_used <= addresses->mask : entry->count < count_max;
    if (may_enter) {
        entry->key = *key;
        entry->count++;
        addresses->n_used += is_new ? 1 : 0;
    }
    pthread_mutex_unlock(&addresses->lock);
    return may_enter;
}

void addresses_leave(struct addresses *addresses, const struct address_key *key)
{
    pthread_mutex_lock(&addresses->lock);
    size_t at = find(addresses, key);
    if (addresses->entries[at].count > 1) {
        addresses->entries[at].count--;
    } else if (addresses->entries[at].count == 1) {
        take_out(addresses, at);
    }
    pthread_mutex_unlock(&addresses->lock);
}
