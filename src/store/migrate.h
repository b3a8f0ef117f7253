/*
 * migrate.h - moves what a store holds into another one, of the other kind or of the same.
 *
 * Row by row, table by table, in one transaction of the target: it is there whole or not at all.  Both are brought to
 * the present schema first.
 */
#ifndef PLUVIO_STORE_MIGRATE_H
#define PLUVIO_STORE_MIGRATE_H

#include "base/log.h"
#include "fleet/port.h"

struct migrated {
    int64_t rows, nodes, images, jobs, executions;
};

/* `from`, `to`: the path of a SQLite database, or postgres://...  The target must be empty (ERR_EXISTS), and nobody may
 * work with the source (ERR_BUSY where that can be seen: a PostgreSQL whose servers are alive). */
enum err store_migrate(const char *from, const char *to, struct log *log, struct migrated *count, struct why *why);

/* Calls `v` with the SHA-256 of all bytes that rows of the store name: of images, and of their files. */
struct digest_visitor {
    enum err (*visit)(struct digest_visitor *v, const char *sha256, struct why *why);
};
enum err store_digests(const char *path, struct digest_visitor *v, struct why *why);

#endif
