/*
 * rollout.h - how a job goes out: phases, rate, limits, when to stop, when to try again; and the arithmetic of it.
 *
 * One small language, for people and for the store; statements are joined by ";" and all are optional:
 *
 *     phase 1% success 95% ended 80% soak 1h; phase 500 nodes; phase 100%
 *     rate 50/min x1.5 every 1000 succeeded max 1000/min
 *     abort rolled-back 5% min 20 pause; abort any 20% sequential
 *     in-flight 200; bytes 5M/s; retry 3 backoff 10m
 *
 *   phase    how many of the job's nodes may have been offered it, all phases before included.  The next phase begins
 *            when `ended` of this one's nodes have ended (default 80 %), of which `success` succeeded (default 90 %),
 *            and that has held for `soak` (default none).  After the last phase everyone may be.
 *   rate     offers a second, minute or hour; multiplied each time so many nodes were started or have succeeded.
 *   abort    stops the job when failures of that kind reach the share of the nodes that have ended, once `min` have
 *            (default 10).  Kinds: any, failed, rejected, rolled-back, timed-out, and the kinds of error (network,
 *            memory, image, flash, server, other).  `sequential` (Wald's test, 1 % errors) stops sooner when the share
 * is clearly above; `cancel` is the default, `pause` lets people look first. in-flight   nodes at work at a time; bytes
 * of images offered, a second. retry    how often a node that failed is offered the job again (default 2), and after
 * how long at first.
 *
 * Pure, no heap.
 */
#ifndef PLUVIO_FLEET_ROLLOUT_H
#define PLUVIO_FLEET_ROLLOUT_H

#include "fleet/records.h"

#include <stdbool.h>

#define ROLLOUT_PHASES 12
#define ROLLOUT_ABORTS 8

struct rollout_phase {
    int64_t count;     /* nodes; 0: by share */
    unsigned permille; /* of the audience */
    unsigned success_permille, ended_permille;
    int64_t soak_ms;
};

struct rollout_rate {
    int64_t per_hour;        /* 0: no limit */
    unsigned growth_percent; /* 150: half as many again at each step; 100: none */
    int64_t growth_every;    /* nodes */
    bool is_by_success;      /* nodes that succeeded; else nodes that were started */
    int64_t max_per_hour;    /* 0: none */
};

struct rollout_abort {
    uint32_t kinds; /* bit per enum failure_kind */
    unsigned permille;
    int64_t min;
    bool is_pause, is_sequential;
};

struct rollout {
    struct rollout_phase phases[ROLLOUT_PHASES];
    unsigned phase_count;
    struct rollout_rate rate;
    struct rollout_abort aborts[ROLLOUT_ABORTS];
    unsigned abort_count;
    int64_t max_in_flight;    /* 0: none */
    int64_t bytes_per_second; /* 0: none */
    int64_t retries;          /* -1: the policy's */
    int64_t backoff_ms;       /* 0: by the kind of error */
};

/* ERR_FORMAT with a column.  An empty text: everyone at once, nothing stops it. */
enum err rollout_read(struct rollout *r, const char *text, struct why *why);

/* The plan as a text that reads the same.  False when it does not fit. */
bool rollout_write(const struct rollout *r, char *to, size_t size);

/* How many nodes may have been started in the phase with that index; `audience` after the last one. */
int64_t rollout_limit(const struct rollout *r, unsigned phase, int64_t audience);

/* Where in its job's order a node stands, 0 to 999,999,999: the same each time, independent between jobs.  A node may
 * start in a phase when its place is below rollout_reach. */
uint32_t rollout_place(const char *job_id, const char *node_id);
uint32_t rollout_reach(const struct rollout *r, unsigned phase, int64_t audience);
#define ROLLOUT_PLACES 1000000000u

/* Offers an hour now, with `started` and `succeeded` nodes so far; 0: no limit. */
int64_t rollout_rate_now(const struct rollout *r, int64_t started, int64_t succeeded);

/* What has come of the nodes so far. */
struct rollout_score {
    int64_t audience, started, ended, succeeded;
    int64_t failures[FAILURE_KINDS]; /* of the ended */
};

/* Whether the phase's gate holds now (its soak aside). */
bool rollout_gate_holds(const struct rollout *r, unsigned phase, const struct rollout_score *s);

/* The rule that is crossed, NULL when none is; `text` becomes the sentence for people. */
const struct rollout_abort *rollout_crossed(const struct rollout *r, const struct rollout_score *s, char *text,
                                            size_t size);

/* The kind of error behind a report's text, and its word. */
enum failure_kind failure_kind_of(const char *info);
const char *failure_kind_text(enum failure_kind kind);
/* How long to wait before the n-th offer after such failures (n from 1), before jitter. */
int64_t failure_backoff_ms(enum failure_kind kind, unsigned n, int64_t first_ms);

#endif
