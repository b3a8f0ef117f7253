/*
 * sqlite_store.h - the fleet mind's rows in one SQLite file.
 *
 * WAL with full synchronisation: a commit survives a crash and a power cut.  One connection writes and one reads, each
 * taken by one thread at a time between begin and commit.
 */
#ifndef PLUVIO_STORE_SQLITE_STORE_H
#define PLUVIO_STORE_SQLITE_STORE_H

#include "base/log.h"
#include "fleet/port.h"

struct sqlite_store;

/* Opens or creates the file (mode 0600) and brings its schema up to date.  ERR_STORE with SQLite's own words. */
enum err sqlite_store_open(struct sqlite_store **store, const char *path, struct log *log, struct why *why);
void sqlite_store_close(struct sqlite_store *store);

/* For tests: the store fails with ERR_STORE before its n-th write from now on (begin and commit count too), and stays
 * broken; closed and opened again it is as a crash at that point would have left it. */
void sqlite_store_cut_after(struct sqlite_store *store, int64_t n);

/* The port; valid until close. */
struct fleet_store *sqlite_store_port(struct sqlite_store *store);

#endif
