/* contract.h - what every store promises, as tests; each adapter's own test file gives them a store. */
#ifndef PLUVIO_TESTS_STORE_CONTRACT_H
#define PLUVIO_TESTS_STORE_CONTRACT_H

#include "fleet/port.h"
#include "test.h"

struct contract {
    struct fleet_store *store;
    void (*close)(struct contract *c);
    void *adapter;
};

/* Runs all of them; `open` makes a fresh, empty store. */
int contract_run(const char *name, int (*open)(struct contract *c));

#endif
