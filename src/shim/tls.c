#include "shim/tls.h"

#include <openssl/err.h>

static enum status fail_file(const char *file, const char *what, struct diag *diag)
{
    char reason[128];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    ERR_clear_error();
    return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: not usable as a %s: %s", file, what, reason);
}

/* A client that speaks only something else, HTTP/2 say, is told so in the handshake. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_length,
                           const unsigned char *offered, unsigned offered_length, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    int found = SSL_select_next_proto((unsigned char **)ret_chosen, ret_length, ours, sizeof(ours) - 1,
                                      offered, offered_length);
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum status load(SSL_CTX *context, const char *cert_file, const char *key_file, struct diag *diag)
{
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
        return fail_file(cert_file, "certificate", diag);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return fail_file(key_file, "key for that certificate", diag);
    }
    return STATUS_OK;
}

enum status tls_context_new(const char *cert_file, const char *key_file, SSL_CTX **ret_context,
                            struct diag *diag)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for TLS");
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    enum status status = load(context, cert_file, key_file, diag);
    if (status != STATUS_OK) {
        SSL_CTX_free(context);
        return status;
    }
    *ret_context = context;
    return STATUS_OK;
}
