/* TLS of the shim: one context for all loops. */
#ifndef SHIM_TLS_H
#define SHIM_TLS_H

#include <openssl/ssl.h>

#include "base/status.h"

/*
 * TLS 1.2 or newer, HTTP/1.1 only (ALPN). The files are PEM; the certificate's may hold a chain.
 * INVALID_ARGUMENT, naming the file, when one cannot be used. The caller owns *ret_context (SSL_CTX_free).
 */
MUST_USE enum status tls_context_new(const char *cert_file, const char *key_file, SSL_CTX **ret_context,
                                     struct diag *diag);

#endif
