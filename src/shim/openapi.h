/* The OpenAPI 3.1 document of this server, made by openapi_gen when it is built. */
#ifndef SHIM_OPENAPI_H
#define SHIM_OPENAPI_H

#include <stddef.h>

extern const char openapi_document[];
/* Without the NUL behind it. */
extern const size_t openapi_document_length;

/* The same in gzip. */
extern const char openapi_packed[];
extern const size_t openapi_packed_length;

#endif
