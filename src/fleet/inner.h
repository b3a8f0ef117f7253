/* inner.h - what the fleet's own files share. */
#ifndef PLUVIO_FLEET_INNER_H
#define PLUVIO_FLEET_INNER_H

#include "fleet/fleet.h"

/* One call of the mind: between tx_begin and tx_end the store is ours. */
struct tx {
    struct fleet *f;
    struct fleet_store *s;
    const struct fleet_store_ops *db;
    time_ms now;
    struct why *why;
    bool is_ringing; /* rows were written that somebody waits for */
};

enum err tx_begin(struct tx *tx, struct fleet *f, time_ms now, struct why *why);

/* Commits when `err` is ERR_NONE, rolls back otherwise; returns what the caller should. */
enum err tx_end(struct tx *tx, enum err err);

/* ERR_NOT_FOUND of the store turned into the noun's own code and story. */
enum err tx_node(struct tx *tx, const char *id, struct node *to);
enum err tx_image(struct tx *tx, const char *id, struct image *to);
enum err tx_job(struct tx *tx, const char *id, struct job *to);

enum err tx_event(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *image_id);

enum err job_summarise(struct tx *tx, struct job_summary *to);
/* Finishes the job when every target has ended. */
enum err job_check_finished(struct tx *tx, const char *job_id);

enum execution_event {
    EX_OFFER,      /* the server offers the job */
    EX_R_PROGRESS, /* reports of the node */
    EX_R_REBOOTING,
    EX_R_INSTALLED, /* success before the reboot: a node without rollback */
    EX_R_DELAYED,
    EX_R_FAILED,
    EX_R_FAILED_LAST, /* failed once too often */
    EX_R_REJECTED,
    EX_R_ROLLED_BACK,
    EX_R_SUCCESS,
    EX_TARGET_CONFIRMED, /* it asks for updates from the new version, so it is not on trial any more */
    EX_TARGET_SEEN,      /* it booted the new version */
    EX_OTHER_SEEN,       /* it booted another version after it said it would reboot into the new one */
    EX_TRIAL_OVER,       /* nothing was heard against the new version for long enough */
    EX_EVENTS
};

/* The one writer of execution states (F3).  Returns false when the pair is not in the table. */
bool execution_step(struct execution *e, enum execution_event event);

/* Steps, writes row, timeline and event, and checks whether the job is finished.  `info` NULL keeps the last one. */
enum err execution_apply(struct tx *tx, struct execution *e, enum execution_event event, const char *info,
                         bool is_from_node);

/* Looks for a job to offer.  `*is_offered` with job, image and execution filled. */
enum err offer_find(struct tx *tx, struct node *node, enum occasion occasion, struct job *job, struct image *image,
                    bool *is_offered);
/* Decides about one job and books the outcome. */
enum err offer_consider(struct tx *tx, struct node *node, struct job *job, enum occasion occasion, struct image *image,
                        bool *is_offered);
enum err offer_send(struct tx *tx, const char *node_id, const char *job_id);

#endif
