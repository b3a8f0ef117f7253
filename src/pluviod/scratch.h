/* scratch.h - stores in memory for dry runs, one at a time. */
#ifndef PLUVIO_PLUVIOD_SCRATCH_H
#define PLUVIO_PLUVIOD_SCRATCH_H

#include "sim/plan.h"
#include "store/memory/memory_store.h"

#include <pthread.h>

struct scratch {
    struct sim_scratch port;
    struct memory_store *store;
    pthread_mutex_t lock;
};

void scratch_init(struct scratch *s);

#endif
