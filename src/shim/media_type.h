/* Media types in Content-Type and Accept (RFC 9110, sections 8.3 and 12.5.1), as far as this server tells
 * them apart. */
#ifndef SHIM_MEDIA_TYPE_H
#define SHIM_MEDIA_TYPE_H

#include <stdbool.h>

enum media_type { MEDIA_NONE, MEDIA_JSON, MEDIA_PROTO, MEDIA_OTHER };

/* MEDIA_NONE for NULL. A charset other than UTF-8 makes it MEDIA_OTHER. */
enum media_type media_type_of(const char *content_type);

/* Does Accept ask for application/problem+json (RFC 9457)? `accept` may be NULL. */
bool media_accepts_problem(const char *accept);

#endif
