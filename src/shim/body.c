#include "shim/body.h"

#include "shim/gzip.h"

static void fail_unknown(struct exchange *exchange, const char *name)
{
    answer_add_header(&exchange->answer, "Accept-Encoding", CODING_SUPPORTED);
    /* Connect has its own status for this, other HTTP that of RFC 9110, section 12.5.3. */
    exchange->http_status = exchange->style == ERROR_CONNECT ? 0 : 415;
    rpc_call_fail(&exchange->call, STATUS_UNIMPLEMENTED, "%s: only %s are supported", name, CODING_SUPPORTED);
}

static void fail_content(struct exchange *exchange, const char *name, enum status status,
                         const struct diag *diag)
{
    if (status == STATUS_OUT_OF_RANGE) {
        /* As the gate says of a body that is too long as it comes. */
        status = STATUS_RESOURCE_EXHAUSTED;
        exchange->http_status = 413;
    }
    rpc_call_fail(&exchange->call, status, "%s: %s", name, diag->text);
}

bool body_unpack(struct exchange *exchange, const char *name, enum coding coding, struct json_text packed,
                 struct json_text *ret_content)
{
    if (coding == CODING_UNKNOWN) {
        fail_unknown(exchange, name);
        return false;
    }
    /* What is empty is not in any coding, says the Connect protocol. */
    if (coding == CODING_IDENTITY || packed.length == 0) {
        *ret_content = packed;
        return true;
    }
    struct diag diag;
    enum status status =
        gzip_inflate(packed.data, packed.length, BODY_CONTENT_MAX, &exchange->call.arena,
                     &exchange->answer_arena, &ret_content->data, &ret_content->length, &diag);
    /* The answer needs the room. */
    arena_reset(&exchange->answer_arena);
    if (status != STATUS_OK) {
        fail_content(exchange, name, status, &diag);
    }
    return status == STATUS_OK;
}

bool body_take(struct exchange *exchange, const struct request *request, struct json_text *ret_body)
{
    const struct json_text body = {request->body, request->body_length};
    enum coding coding = coding_of(request_header(request, "Content-Encoding"));
    return body_unpack(exchange, "Content-Encoding", coding, body, ret_body);
}
