/*
 * sim.h - server and fleet in one thread: both minds over a modelled network, clock and flash, from one seed.
 *
 * Promises: the same seed and settings give the same run, event by event (its hash says so); after every step of the
 * server what must always hold is checked, and the first thing that does not ends the run with a sentence.
 *
 *     struct sim_config config = sim_calm(1000);      or sim_wild(seed): a whole story, faults and all, out of a number
 *     struct sim *s;
 *     sim_new(&s, &config, store, &why);
 *     sim_run(s, &why);                               ERR_NONE: the time is over and nothing was violated
 *     sim_result(s)->...
 *     sim_free(s);
 *
 * What is always held true (S1 to S6):
 *   S1  no execution succeeds without its node having confirmed the job's version
 *   S2  no offer while as many nodes are at work as job or server allow, or when the phase is full
 *   S3  nothing is offered or sent for a job after it was paused, cancelled or stopped
 *   S4  the counts of a job equal its executions
 *   S5  at the end each node has ended, or there is a reason and a time or occasion for what comes next
 *   S6  a job whose plan says stop has stopped with the report that said so
 * Knows nothing of stores but the port, nor of sockets and files.
 */
#ifndef PLUVIO_SIM_SIM_H
#define PLUVIO_SIM_SIM_H

#include "fleet/fleet.h"

#define SIM_JOBS_MAX  6
#define SIM_CURVE     200 /* points of the curve of a run */
#define SIM_IMAGE_MAX 4

/* Chances are in millionths. */
struct sim_config {
    uint64_t seed;
    unsigned nodes;
    int64_t duration_ms;
    bool is_wild;    /* jobs, their plans, people and faults come from the seed */
    bool ends_early; /* when all jobs are over */
    /* the network */
    int64_t latency_ms, jitter_ms, loss, duplicates;
    int64_t node_bytes_per_s, server_bytes_per_s; /* the server's are shared by who downloads; 0: no limit */
    /* nodes */
    int64_t offline;                        /* nodes that are never there */
    int64_t away_ms;                        /* mean time until a node loses its connection; 0: never */
    int64_t power_cut_ms;                   /* mean time until the power of a node goes; 0: never */
    int64_t broker_down_ms, server_down_ms; /* mean times until they go; 0: never */
    int64_t fetch_period_ms;                /* of nodes, 0: once per boot */
    int64_t bad_image, flaky_image;         /* nodes on which the image dies on trial; attempts that fail */
    unsigned networks;
    int64_t image_bytes;
    /* one job for everyone, when it is not wild */
    const char *plan;
    bool is_force_push;
    struct fleet_policy policy;
    /* What opens the store again after it failed, as a crash of the server does; NULL: a failure ends the run. */
    struct fleet_store *(*reopen)(void *opener);
    void *opener;
    struct log *log; /* the server's, and every message at LOG_DEBUG; NULL: nothing */
};

/* An even day: a good network, no faults. */
struct sim_config sim_calm(unsigned nodes);
/* Everything from the seed. */
struct sim_config sim_wild(uint64_t seed);

struct sim_point {
    int64_t at_ms, offered, ended, succeeded;
};

struct sim_result {
    uint64_t hash, steps, messages, documents;
    int64_t now_ms, bytes;     /* simulated time that passed; bytes of images that went out */
    int64_t most_at_work;      /* at one time */
    int64_t states[EX_STATES]; /* executions of all jobs at the end */
    unsigned jobs, jobs_over, power_cuts, broker_restarts, server_restarts;
    struct sim_point curve[SIM_CURVE];
    unsigned points;
    char stopped[160];   /* why the (first) job stopped, "" when it did not */
    char violation[240]; /* "" when there is none */
    uint64_t ends;       /* of how each node ended, whatever happened on the way */
};

struct sim;

/* `store` is empty and the caller's.  ERR_NO_MEMORY and the store's. */
enum err sim_new(struct sim **sim, const struct sim_config *config, struct fleet_store *store, struct why *why);
/* ERR_JOB_FAILED with the violation in `why`. */
enum err sim_run(struct sim *sim, struct why *why);
const struct sim_result *sim_result(const struct sim *sim);
void sim_free(struct sim *sim);

#endif
