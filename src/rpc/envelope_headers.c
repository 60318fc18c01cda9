/*
 * A repeated field may stand anywhere in a message, so headers are added behind a request that is complete
 * without them: most callers have none, and are spared the look at them. By appending only: nng 1.5 corrupts
 * the heap when something is inserted.
 */
#include "rpc/envelope_headers.h"

#include <stdint.h>
#include <string.h>

#define REQUEST_HEADERS_TAG 0x22U /* field 4, length-prefixed */
#define HEADER_NAME_TAG 0x0AU     /* field 1 */
#define HEADER_VALUE_TAG 0x12U    /* field 2 */
#define VARINT_MAX 10

static size_t put_varint(uint8_t *at, size_t value)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        at[n++] = (uint8_t)(value | 0x80);
    }
    at[n++] = (uint8_t)value;
    return n;
}

static size_t put_head(uint8_t *at, unsigned tag, size_t length)
{
    at[0] = (uint8_t)tag;
    return 1 + put_varint(at + 1, length);
}

static bool add_header(nng_msg *msg, const struct rpc_header *header)
{
    size_t name_length = strlen(header->name);
    size_t value_length = strlen(header->value);
    uint8_t name_head[1 + VARINT_MAX];
    uint8_t value_head[1 + VARINT_MAX];
    uint8_t head[1 + VARINT_MAX];
    size_t name_head_length = put_head(name_head, HEADER_NAME_TAG, name_length);
    size_t value_head_length = put_head(value_head, HEADER_VALUE_TAG, value_length);
    size_t head_length = put_head(head, REQUEST_HEADERS_TAG,
                                  name_head_length + name_length + value_head_length + value_length);
    return nng_msg_append(msg, head, head_length) == 0 &&
           nng_msg_append(msg, name_head, name_head_length) == 0 &&
           nng_msg_append(msg, header->name, name_length) == 0 &&
           nng_msg_append(msg, value_head, value_head_length) == 0 &&
           nng_msg_append(msg, header->value, value_length) == 0;
}

enum status envelope_add_headers(nng_msg *msg, const struct rpc_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!add_header(msg, &headers[i])) {
            return STATUS_RESOURCE_EXHAUSTED;
        }
    }
    return STATUS_OK;
}
