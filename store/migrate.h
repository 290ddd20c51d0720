/*
 * Inside store/ only: brings a database to the newest schema. The files of migrations/ are compiled in, see
 * embed_migrations.cmake; gln_store_open applies them.
 */
#ifndef GLN_STORE_MIGRATE_H
#define GLN_STORE_MIGRATE_H

#include "store/store.h"

#include <stddef.h>

typedef struct gln_migration {
    const char *name; /* "0001_initial" */
    const char *sql;
} gln_migration;

/* The n-th one (from 1) leads from schema version n - 1 to n. Generated. */
extern const gln_migration gln_migrations[];
extern const size_t gln_n_migrations;

/*
 * Applies what is missing, each in a transaction with its version number: afterwards a migration is applied whole or
 * not at all. A database of version 0 gets our application id with the first one. Sets the store's schema version.
 * Errors: GLN_E_UNSUPPORTED for a version above `n`, GLN_E_CORRUPT when rows refer to missing ones afterwards.
 */
gln_status gln_migrate(gln_store *store, const gln_migration *migrations, size_t n);

/* "glnr" in ASCII, in the header of the file: `file gleaner.db` and we ourselves know whose it is. */
#define GLN_STORE_APPLICATION_ID 0x676c6e72

#endif
