/*
 * memory_store.h - the fleet's data port in memory: the reference of what a store does, and the simulator's.
 *
 * Every noun is a table of rows in the order of their keys; what a transaction changes is kept until it ends, and put
 * back when it fails.  Nothing survives the process.
 */
#ifndef PLUVIO_STORE_MEMORY_STORE_H
#define PLUVIO_STORE_MEMORY_STORE_H

#include "fleet/port.h"

struct memory_store;

enum err memory_store_open(struct memory_store **store, struct why *why);
void memory_store_close(struct memory_store *store);
struct fleet_store *memory_store_port(struct memory_store *store);

#endif
