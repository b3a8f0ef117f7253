/* load.h - nodes with a connection each: what the processes of `pluvio-fleet load` share. */
#ifndef PLUVIO_FLEET_LOAD_H
#define PLUVIO_FLEET_LOAD_H

#include "wire/job.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_WORKERS_MAX 32
#define LOAD_BUCKETS     400 /* of a histogram: each 5 % wider than the one before, from 0.1 ms on */
#define LOAD_JOBS_MAX    16  /* jobs that a worker remembers */

struct load_settings {
    const char *server, *token, *folder, *prefix, *version, *target, *platform, *model, *project, *ca_file;
    double connect_per_s, bad;
    int64_t seconds, fetch_every_s;
    unsigned nodes, workers;
    bool has_downloads, is_quiet;
};

enum load_latency { LOAD_CONNECT, LOAD_PUBACK, LOAD_DOWNLOAD, LOAD_LATENCIES };

/* One worker's counts, in memory that all processes see. */
struct load_counts {
    atomic_llong registered, connected, connects, refused, lost, messages, acknowledged, documents, repeats, downloads,
        download_failures, bytes, confirmed, on_target;
    atomic_llong latency[LOAD_LATENCIES][LOAD_BUCKETS];
    atomic_bool is_done;
    char jobs[LOAD_JOBS_MAX][JOB_ID_SIZE]; /* whose documents came; those below job_count stay as they are */
    atomic_uint job_count;
};

struct load_shared {
    atomic_bool is_over;
    struct load_counts workers[LOAD_WORKERS_MAX];
};

/* The life of a worker, in its own process: nodes number `index`, `index` + workers, ...  Returns its exit status. */
int load_worker(const struct load_settings *settings, struct load_shared *shared, unsigned index);

#endif
