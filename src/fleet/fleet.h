/*
 * fleet.h - the server's mind: nodes, images, jobs, executions, and every rule about them.
 *
 * Promises:
 *  F1  one call is one transaction; what a call reported as done survives a crash
 *  F2  a message to a node is a row, written with the state it belongs to, removed when the broker has it
 *  F3  execution states change in one function, by one table; a pair that is not in it changes nothing
 *  F4  an execution succeeds only when its node said so after its trial boot, or is seen on the new version later
 *  F5  reports may come twice, late, cut off or out of order: an end is not undone by an older word
 * Refuses to know: sockets, files, clocks, JSON, RainMaker's REST.
 *
 * All functions may be called from any thread; the store serialises them.  `now` is the present.
 */
#ifndef PLUVIO_FLEET_FLEET_H
#define PLUVIO_FLEET_FLEET_H

#include "base/log.h"
#include "fleet/port.h"
#include "image/image.h"

struct fleet_policy {
    unsigned failures_max; /* reports of `failed` until a node is given up for a job */
    time_ms trial_ms;      /* a new version that was seen but not confirmed counts as success after this */
    time_ms repeat_ms;     /* an offer is not repeated on the same connection within this time */
    time_ms
        reboot_grace_ms; /* a node that said it reboots and asks again with its old version after this: rolled back */
    unsigned push_batch; /* nodes pushed to in one transaction */
};

extern const struct fleet_policy fleet_default_policy;

struct fleet {
    struct fleet_store *store;
    struct entropy *entropy;
    struct log *log;
    struct fleet_bell *bell;
    struct fleet_policy policy;
};

/* Ports stay the caller's; `log` and `bell` may be NULL. */
void fleet_init(struct fleet *f, struct fleet_store *store, struct entropy *entropy, struct log *log,
                struct fleet_bell *bell);

/* At start and whenever the broker was lost, before messages: presence is unknown again. */
enum err fleet_start(struct fleet *f, time_ms now, struct why *why);

/* --- users ------------------------------------------------------------------------------------ */

enum err fleet_user_count(struct fleet *f, int64_t *count, struct why *why);
/* ERR_EXISTS.  `hash` is finished; hashing takes long and belongs outside of a transaction. */
enum err fleet_user_add(struct fleet *f, const char *name, const char *hash, bool is_admin, time_ms now,
                        struct user *to, struct why *why);
enum err fleet_user_get(struct fleet *f, const char *name, struct user *to, struct why *why);
enum err fleet_user_get_id(struct fleet *f, const char *id, struct user *to, struct why *why);
enum err fleet_token_add(struct fleet *f, const char *digest, const char *user_id, time_ms expires_at, struct why *why);
/* ERR_REFRESH when unknown or expired; the token stays valid. */
enum err fleet_token_user(struct fleet *f, const char *digest, time_ms now, struct user *to, struct why *why);
enum err fleet_tokens_drop(struct fleet *f, const char *user_id, struct why *why);

/* --- nodes ------------------------------------------------------------------------------------ */

/* `id` NULL or "": one is made.  ERR_EXISTS, ERR_NODE_ID. */
enum err fleet_node_add(struct fleet *f, const char *id, time_ms now, struct node *to, struct why *why);
enum err fleet_node_get(struct fleet *f, const char *id, struct node *to, struct why *why);
enum err fleet_node_list(struct fleet *f, const char *after, struct node *to, unsigned max, unsigned *count,
                         struct why *why);
/* The last config the node sent, as it sent it; freed by the caller.  ERR_NODE_NOT_FOUND; ERR_NOT_FOUND when it has
 * sent none. */
enum err fleet_node_config(struct fleet *f, const char *id, char **to, struct why *why);

/* What the broker link and the nodes' HTTPS listener bring.  ERR_NODE_NOT_FOUND for nodes that were never added. */
enum err fleet_on_config(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why);
enum err fleet_on_fetch(struct fleet *f, const char *node_id, const struct fetch_message *m, time_ms now,
                        struct why *why);
enum err fleet_on_report(struct fleet *f, const char *node_id, const struct status_report *r, time_ms now,
                         struct why *why);
enum err fleet_on_presence(struct fleet *f, const char *node_id, bool is_online, time_ms now, struct why *why);
enum err fleet_on_subscribed(struct fleet *f, const char *node_id, time_ms now, struct why *why);

/* The same decision as on a fetch, answered instead of sent: for nodes that ask over HTTPS.  ERR_NO_JOB. */
enum err fleet_fetch_now(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                         struct why *why);

/* --- images ----------------------------------------------------------------------------------- */

struct image_upload {
    const char *name, *fw_version, *model, *type; /* "" or NULL: taken from the image */
    const char *uploader;
    const struct image_facts *facts;
};

/* Announces an upload: makes the row, not ready.  An existing image of that name that no job uses gives way. */
enum err fleet_image_announce(struct fleet *f, const char *name, const char *uploader, time_ms now, struct image *to,
                              struct why *why);

/* Turns what was read from the bytes into an image row.  `id` NULL: a new one.  ERR_IMAGE_VERSION, ERR_IMAGE_MODEL when
 * neither the image nor the upload tells them; the reasons of image_check_update. */
enum err fleet_image_add(struct fleet *f, const char *id, const struct image_upload *upload, time_ms now,
                         struct image *to, struct why *why);
enum err fleet_image_get(struct fleet *f, const char *id, struct image *to, struct why *why);
enum err fleet_image_list(struct fleet *f, const char *after, struct image *to, unsigned max, unsigned *count,
                          struct why *why);
enum err fleet_image_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct why *why);
/* `*sha256` names bytes that no image uses any more and may go, "" when others do. */
enum err fleet_image_delete(struct fleet *f, const char *id, bool is_forced, time_ms now, char sha256[SHA256_TEXT],
                            struct why *why);

/* Whether any image row names these bytes; what none names may be removed. */
enum err fleet_blob_is_used(struct fleet *f, const char *sha256, bool *is_used, struct why *why);

/* --- jobs ------------------------------------------------------------------------------------- */

#define JOB_NODES_MAX  100
#define JOB_GROUPS_MAX 10
#define GROUP_EVERYONE "FFFF-FFFF"

struct job_order {
    const char *name, *image_id, *description, *owner, *metadata; /* metadata: JSON object text or NULL */
    const char *nodes[JOB_NODES_MAX];
    unsigned node_count;
    bool is_for_everyone, is_force_push, is_continuous;
    int priority; /* 0: the default, 5 */
};

struct job_summary {
    struct job job;
    int64_t total, counts[EX_STATES]; /* counts[EX_TRIGGERED] are the targets without execution */
};

enum err fleet_job_start(struct fleet *f, const struct job_order *order, time_ms now, struct job *to, struct why *why);
enum err fleet_job_get(struct fleet *f, const char *id, struct job_summary *to, struct why *why);
enum err fleet_job_list(struct fleet *f, const char *after, struct job_summary *to, unsigned max, unsigned *count,
                        struct why *why);
enum err fleet_job_cancel(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why);
enum err fleet_job_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct job_summary *to,
                           struct why *why);
/* Pushes again to the nodes that have not ended. */
enum err fleet_job_retrigger(struct fleet *f, const char *id, time_ms now, struct why *why);

/* The job's executions in the order of node ids; targets without a row appear as EX_TRIGGERED. */
enum err fleet_job_executions(struct fleet *f, const char *job_id, const char *after, struct execution *to,
                              unsigned max, unsigned *count, struct why *why);
enum err fleet_execution(struct fleet *f, const char *job_id, const char *node_id, struct execution *to,
                         struct why *why);
enum err fleet_timeline(struct fleet *f, const char *job_id, const char *node_id, struct timeline_row *to, unsigned max,
                        unsigned *count, struct why *why);

/* --- decisions -------------------------------------------------------------------------------- */

enum decision {
    DECIDE_OFFER,        /* the update is offered */
    DECIDE_JOB_OVER,     /* the job is not active */
    DECIDE_IMAGE_GONE,   /* the image is archived or gone */
    DECIDE_ENDED,        /* the node is done with the job */
    DECIDE_ON_VERSION,   /* the node runs that version already */
    DECIDE_OTHER_CHIP,   /* the image is for another chip */
    DECIDE_JUST_OFFERED, /* it was offered a moment ago on this connection */
    DECIDE_WORKING,      /* the node is working on it */
};

enum occasion { ON_FETCH, ON_SUBSCRIBE, ON_PUSH };

/* Whether a node is offered a job now, and why not: one pure function for offers and for questions.  `e` NULL: the node
 * has no execution of the job. */
enum decision fleet_decide(const struct node *node, const struct job *job, const struct image *image,
                           const struct execution *e, enum occasion occasion, const struct fleet_policy *policy,
                           time_ms now);

/* --- what is due, and what goes out ----------------------------------------------------------- */

/* Does what time or a big push makes due; `*next_at` becomes when to call again at the latest. */
enum err fleet_tick(struct fleet *f, time_ms now, time_ms *next_at, struct why *why);

struct outgoing {
    struct outbox_row row;
    struct job job;
    struct image image;
    bool is_stale; /* the node has moved on since; drop it */
};

enum err fleet_outbox_list(struct fleet *f, int64_t after, struct outgoing *to, unsigned max, unsigned *count,
                           struct why *why);
enum err fleet_outbox_done(struct fleet *f, int64_t id, struct why *why);

/* Events after `after`.  `*is_gap` says that older ones were dropped, so the reader has to load its picture anew. */
enum err fleet_events(struct fleet *f, int64_t after, struct event *to, unsigned max, unsigned *count, bool *is_gap,
                      struct why *why);
enum err fleet_event_last(struct fleet *f, int64_t *id, struct why *why);

#endif
