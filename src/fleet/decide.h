/*
 * decide.h - whether a node is offered a job now, and why not: one pure function for offers and for questions.
 *
 * The rules stand in one table, in their order; the first that holds is the answer.  What an answer does to the
 * execution stands beside it: some end it, some give it a later slot, some let jobs behind it pass.
 */
#ifndef PLUVIO_FLEET_DECIDE_H
#define PLUVIO_FLEET_DECIDE_H

#include "fleet/rollout.h"

enum decision {
    DECIDE_OFFER,
    DECIDE_JOB_OVER,        /* the job is not active */
    DECIDE_NOT_TARGET,      /* the job is not for the node */
    DECIDE_ENDED,           /* the node is done with the job */
    DECIDE_EXCLUDED,        /* the job leaves it out */
    DECIDE_EXPIRED,         /* the job's time or validity is over */
    DECIDE_IMAGE_GONE,      /* the image is gone */
    DECIDE_OTHER_CHIP,      /* the image is for another chip */
    DECIDE_OTHER_PROJECT,   /* the image is of another project: the node would refuse it */
    DECIDE_SECURE_VERSION,  /* the node's eFuses ask for a higher secure version */
    DECIDE_SLOT_TOO_SMALL,  /* the image does not fit */
    DECIDE_NOT_SIGNED,      /* the node takes only images that one of its keys has signed */
    DECIDE_ON_VERSION,      /* the node runs that version already */
    DECIDE_JOB_PAUSED,      /* the job is paused */
    DECIDE_NOT_YET,         /* its validity has not begun */
    DECIDE_AWAITS_APPROVAL, /* its user has to say yes */
    DECIDE_OTHER_JOB_FIRST, /* another job of the node goes first */
    DECIDE_JUST_OFFERED,    /* it was offered a moment ago on this connection */
    DECIDE_WORKING,         /* the node is working on it */
    DECIDE_OFFLINE,         /* there is something for it when it connects */
    DECIDE_BACKOFF,         /* it failed and is left in peace for a while */
    DECIDE_SLOT_NOT_COME,   /* its slot has been promised and has not come */
    DECIDE_NOT_COUNTED,     /* the job's nodes are still being counted */
    DECIDE_PHASE,           /* its phase has not begun */
    DECIDE_NO_NETWORK,      /* the job goes network by network, and the node's is not known */
    DECIDE_NETWORK,         /* enough nodes of its network are at work */
    DECIDE_JOB_BUDGET,      /* enough nodes of the job are at work */
    DECIDE_GLOBAL_BUDGET,   /* enough nodes of all jobs are at work */
    DECIDE_RATE,            /* the job or the server goes no faster */
    DECISIONS
};

/* What brings the question up.  ON_PUSH and ON_SLOT speak first and reach nodes that are connected alone. */
enum occasion { ON_FETCH, ON_SUBSCRIBE, ON_PUSH, ON_SLOT, ON_QUESTION };

struct fleet_policy {
    unsigned retries;        /* offers after the first to a node that fails; a job's plan may say otherwise */
    time_ms trial_ms;        /* a node that is back since its last word, and says nothing for so long, is asked */
    time_ms repeat_ms;       /* an offer is not repeated on the same connection within this time */
    time_ms reboot_grace_ms; /* a node that said it reboots and asks with its old version after this: rolled back */
    time_ms silence_ms;      /* nothing heard for so long after an offer: its place is given to others */
    time_ms lost_ms;         /* nothing heard for so long after it said it reboots: timed out */
    time_ms recheck_ms;      /* how long at most until a waiting node is looked at again */
    time_ms delayed_ms;      /* a node that said "delayed" is offered the job again after this, should it stay silent */
    unsigned push_batch;     /* nodes pushed to in one transaction */
    bool reoffers_strayed;   /* a node found on another version after its success is offered the job again */
    /* Budgets over all jobs; 0: none. */
    int64_t max_in_flight, per_hour, bytes_per_second;
    unsigned network_max;  /* nodes of one network at work at a time */
    unsigned broker_count; /* among which nodes are divided */
    bool needs_two;        /* a job waits, from its start and after each change, until a second person says yes */
};

extern const struct fleet_policy fleet_default_policy;

struct facts {
    const struct node *node;
    const struct job *job;
    const struct image *image; /* NULL: gone */
    const struct execution *e; /* NULL: the node has none of the job */
    const struct rollout *plan;
    const struct job_state *state, *all;
    const struct fleet_policy *policy;
    enum occasion occasion;
    time_ms now;
    bool is_target, is_excluded;
    int64_t on_network, on_network_all; /* others at work on the node's network: of this job, of all */
    const char *ahead;                  /* name of the job that goes first, NULL: none */
};

struct verdict {
    enum decision decision;
    time_ms next_at; /* when the answer may change by itself; 0: not by time */
    char text[STATUS_INFO_SIZE];
};

void fleet_decide(const struct facts *facts, struct verdict *to);

/* What the answer means for the execution. */
enum consequence { KEEPS, ENDS_REJECTED, ENDS_EXCLUDED, ENDS_TIMED_OUT, ENDS_CANCELLED, WAITS, OFFERS };
enum consequence decision_consequence(enum decision decision);
/* Whether jobs behind this one in the node's order have to wait for it. */
bool decision_blocks(enum decision decision);
const char *decision_text(enum decision decision); /* "on-version" */

/* Whether the image carries a signature by a key that the node trusts. */
bool image_is_signed_for(const struct image *image, const struct node *node);

/* Where a node is: its network id, else the address that the broker saw; "" when neither is known. */
const char *node_network(const struct node *node);

/* Executions at work in those counts. */
int64_t counts_in_flight(const int64_t counts[EX_STATES]);
int64_t counts_ended(const int64_t counts[EX_STATES]);

#endif
