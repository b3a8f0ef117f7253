/* inner.h - what the simulator's own files share. */
#ifndef PLUVIO_SIM_INNER_H
#define PLUVIO_SIM_INNER_H

#include "sim/node.h"
#include "sim/queue.h"
#include "sim/sim.h"

#include <stdarg.h>

#define HOUR 3600000

enum {
    SIM_WAKE, /* of a node */
    SIM_TO_SERVER,
    SIM_TO_NODE,
    SIM_ACK,
    SIM_LISTENS,
    SIM_GONE,
    SIM_AWAY,
    SIM_POWER,
    SIM_TICK, /* of the server */
    SIM_PERSON,
    SIM_BROKER_STOPS,
    SIM_BROKER_BACK,
    SIM_SERVER_STOPS,
    SIM_SERVER_BACK,
};

/* What is true of a node, whatever the server believes. */
struct sim_truth {
    uint32_t confirmed; /* bit per image */
    int64_t wakes_at;
    uint8_t states[SIM_JOBS_MAX]; /* of its executions, as the events told them */
    uint32_t begun;               /* bit per job that it was offered */
};

struct sim_entropy {
    struct entropy port;
    struct sim_random random;
};

struct sim {
    struct sim_world world;
    struct sim_config config;
    struct sim_random random;
    struct sim_entropy entropy;
    struct fleet_store *store;
    struct fleet fleet;
    struct ota_options options;
    struct sim_queue queue;
    struct sim_node *nodes;
    struct sim_truth *truths;
    int64_t now, broker_back_at, server_back_at; /* 0: they are up */
    uint32_t tick;
    struct image images[SIM_IMAGE_MAX];
    unsigned image_count;
    struct {
        struct job job;
        bool is_stopped; /* no document may go out */
        struct rollout plan;
        int64_t at_work;
    } jobs[SIM_JOBS_MAX];
    unsigned job_count;
    int64_t last_event, checked_at, sampled_at;
    unsigned sample_every, sample_skipped;
    int64_t at_work; /* of all jobs */
    bool is_over;
    struct sim_result result;
};

static inline time_ms sim_server_now(const struct sim *s)
{
    return (time_ms)SIM_EPOCH_S * 1000 + s->now;
}

void sim_put(struct sim *s, struct sim_event event);
void sim_mix(struct sim *s, const void *at, size_t len);
/* The first one counts. */
void sim_violated(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The server is gone, and back after a while. */
void sim_server_crashes(struct sim *s);

/* server.c */
void sim_server_takes(struct sim *s, struct sim_node *n, enum topic_kind topic, const char *payload);
void sim_server_notices(struct sim *s, struct sim_node *n, bool is_listening);
void sim_server_ticks(struct sim *s);
void sim_tick_later(struct sim *s, int64_t at);

/* story.c: images, jobs, and what people do with them */
enum err sim_prepare(struct sim *s, struct why *why);
void sim_person_acts(struct sim *s);

/* check.c: after each step of the server, and at the end */
void sim_check_step(struct sim *s);
void sim_check_end(struct sim *s);

#endif
