/*
 * The kinds of store behind store.h, for store_open() only.
 */
#ifndef STORE_KINDS_H
#define STORE_KINDS_H

#include "store/store.h"

/* An empty store in memory; the caller owns it. RESOURCE_EXHAUSTED. */
MUST_USE enum status memory_store_open(struct store **ret_store);

/* The SQLite database at `path`; statuses as of store_open(). The caller owns it. */
MUST_USE enum status sqlite_store_open(const char *path, struct store **ret_store, struct diag *diag);

#endif
