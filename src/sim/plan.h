/*
 * plan.h - the dry run of a job: how long it takes, what it costs, and what happens when the image is bad.
 *
 * A simulation of as many nodes as the job is for, or of a sample with the plan scaled to it.  Two runs: as expected,
 * and with an image that half of the nodes refuse, so that one sees what the plan's limits would let through.
 */
#ifndef PLUVIO_SIM_PLAN_H
#define PLUVIO_SIM_PLAN_H

#include "sim/sim.h"

#define SIM_PLAN_NODES 3000 /* more are simulated by a sample of so many */
#define SIM_PLAN_RISKS 8

/* A store for a run; it is empty, and gone after close. */
struct sim_scratch {
    struct fleet_store *(*open)(struct sim_scratch *s);
    void (*close)(struct sim_scratch *s);
};

struct sim_plan_request {
    const struct audience *audience;
    const char *rollout;
    int64_t image_bytes;
    bool is_force_push;
    int64_t flaky;            /* of a million downloads, how many break */
    int64_t node_bytes_per_s; /* 0: 100,000 */
};

struct sim_plan {
    int64_t nodes, simulated, finish_ms, bytes, most_at_work; /* finish 0: not within 60 days */
    int64_t states[EX_STATES];
    struct sim_point curve[SIM_CURVE]; /* in nodes of the job */
    unsigned points;
    int64_t hit_if_bad; /* nodes that would have booted a bad image before the plan stops it; all when it does not */
    char stopped_if_bad[160];
    char risks[SIM_PLAN_RISKS][200];
    unsigned risk_count;
};

enum err sim_plan_run(const struct sim_plan_request *request, struct sim_scratch *scratch, struct sim_plan *to,
                      struct why *why);

#endif
