/*
 * Looking things up in the side tables. They are sorted by full name when generated, so a look-up is a binary
 * search; it happens once for each message that is printed or parsed, as the entries point at one another
 * from there on.
 *
 * Names and not addresses of descriptors are the key because Any names its content by full name, and because
 * the order of addresses is known to the linker only.
 */
#include "json/descriptor_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_MAX 5

static const struct descriptor_table *tables[TABLES_MAX] = {&descriptor_table_builtin};
static size_t n_tables = 1;

void descriptor_table_add(const struct descriptor_table *table)
{
    assert(n_tables < TABLES_MAX);
    tables[n_tables++] = table;
}

static int compare_message(const void *name, const void *entry)
{
    const struct descriptor_message *message = entry;
    return strcmp(name, message->descriptor->name);
}

static int compare_service(const void *name, const void *entry)
{
    const struct descriptor_service *service = entry;
    return strcmp(name, service->name);
}

const struct descriptor_message *descriptor_table_message(const char *name)
{
    for (size_t i = 0; i < n_tables; i++) {
        const struct descriptor_message *found =
            bsearch(name, tables[i]->messages, tables[i]->n_messages, sizeof(*found), compare_message);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

const struct descriptor_service *descriptor_table_service(const char *name)
{
    for (size_t i = 0; i < n_tables; i++) {
        if (tables[i]->n_services == 0) {
            continue;
        }
        const struct descriptor_service *found =
            bsearch(name, tables[i]->services, tables[i]->n_services, sizeof(*found), compare_service);
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

enum descriptor_idempotency descriptor_table_idempotency(const char *service, const char *method)
{
    const struct descriptor_service *found = descriptor_table_service(service);
    if (found == NULL) {
        return DESCRIPTOR_IDEMPOTENCY_UNKNOWN;
    }
    for (size_t i = 0; i < found->n_methods; i++) {
        if (strcmp(found->methods[i].name, method) == 0) {
            return found->methods[i].idempotency;
        }
    }
    return DESCRIPTOR_IDEMPOTENCY_UNKNOWN;
}
