/* Part of openapi_gen, the build tool: messages and enums as schemas. */
#ifndef SHIM_OPENAPI_SCHEMAS_H
#define SHIM_OPENAPI_SCHEMAS_H

#include <stdio.h>

#include "json/descriptor_table.h"

/* "description: …" so many columns in; nothing for "". */
void openapi_description(FILE *out, int indent, const char *text);

/* Every message and enum that a method of the table's services takes or answers with, by its full name. */
void openapi_schemas(FILE *out, const struct descriptor_table *table);

#endif
