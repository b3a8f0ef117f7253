/*
 * limit.h - how often one user, or one address, may ask: a bucket each that fills evenly and holds a burst.
 *
 * The table has a fixed size; who has not asked for longest gives way.  Its owner holds it; any thread may ask.
 */
#ifndef PLUVIO_REST_LIMIT_H
#define PLUVIO_REST_LIMIT_H

#include "base/id.h"

#include <pthread.h>
#include <stdbool.h>

#define LIMIT_SETS 1024
#define LIMIT_WAYS 4

struct limiter {
    pthread_mutex_t lock;
    double per_s, burst; /* per_s 0: no limit */
    struct limit_bucket {
        uint64_t who; /* hash; 0: free */
        double left;
        time_ms at;
    } buckets[LIMIT_SETS][LIMIT_WAYS];
};

void limiter_init(struct limiter *l, double per_s, double burst);

/* False when `who` asks too often; `*wait_ms` then says when the next request is fine. */
bool limiter_ask(struct limiter *l, const char *who, time_ms now, int64_t *wait_ms);

#endif
