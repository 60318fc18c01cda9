/* Within json: what printing and parsing google.protobuf.Any share. */
#ifndef JSON_ANY_H
#define JSON_ANY_H

#include "json/descriptor_table.h"

/* The type that a URL names behind its last '/'; NULL when there is no '/' or no table knows it. */
const struct descriptor_message *any_type(const char *type_url);

#endif
