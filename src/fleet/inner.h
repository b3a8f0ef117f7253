/* inner.h - what the fleet's own files share. */
#ifndef PLUVIO_FLEET_INNER_H
#define PLUVIO_FLEET_INNER_H

#include "codec/json.h"
#include "fleet/fleet.h"
#include "fleet/query.h"

#include <stdatomic.h>

/* A store as an organisation, or who looks after some of its nodes, sees it (view.c). */
struct view_store {
    struct fleet_store port;
    struct fleet_store *raw;
    const struct fleet_view *view;
};

struct fleet_store *view_store_init(struct view_store *v, struct fleet_store *raw, const struct fleet_view *view);

/* One call of the mind: between tx_begin and tx_end the store is ours. */
struct tx {
    struct fleet *f;
    struct fleet_store *s;
    const struct fleet_store_ops *db;
    time_ms now;
    struct why *why;
    bool is_ringing;        /* rows were written that somebody waits for */
    bool changes_people;    /* users, sessions or API tokens */
    struct view_store seen; /* what of the store this call sees, when that is not all */
    bool has_checked;       /* the memory is that of the store at the begin of this call */
};

/* An active job with all that deciding about it needs, ready to use. */
struct active {
    struct job job;
    struct image image;
    struct image variants[JOB_VARIANTS_MAX]; /* the image as each of several keys has signed it */
    unsigned variant_count;
    bool has_image, has_exclude, has_query;
    struct rollout plan;
    struct query query, exclude, scope;
};

/* What the mind remembers of the store, as long as its version stays.  Used between begin and commit of writing
 * transactions alone, so by one thread at a time. */
struct fleet_memory {
    atomic_llong orgs_at; /* when it was looked whether there are organisations */
    atomic_bool has_orgs;
    atomic_llong people; /* counts changes of users, sessions and tokens */
    time_ms tidy_at;     /* when to look for old cards again */
    int64_t version;
    bool is_filled;
    struct active **jobs;
    unsigned count, room;
    struct active spare; /* a job that is not active */
};

enum err tx_begin(struct tx *tx, struct fleet *f, time_ms now, struct why *why);
enum err tx_begin_reading(struct tx *tx, struct fleet *f, struct why *why);

/* A hint: the node ids that this call asks about next. */
enum err tx_expect(struct tx *tx, const char *const *ids, unsigned count);

/* Commits when `err` is ERR_NONE, rolls back otherwise; returns what the caller should. */
enum err tx_end(struct tx *tx, enum err err);

/* ERR_NOT_FOUND of the store turned into the noun's own code and story. */
enum err tx_node(struct tx *tx, const char *id, struct node *to);
enum err tx_image(struct tx *tx, const char *id, struct image *to);
enum err tx_job(struct tx *tx, const char *id, struct job *to);
enum err tx_group(struct tx *tx, const char *id, struct group *to);

/* The card's text on the heap; ERR_NONE and NULL when there is none. */
enum err tx_card(struct tx *tx, enum card_kind kind, const char *key, char **to);
enum err tx_card_put(struct tx *tx, enum card_kind kind, const char *key, const struct buf *text);

/* Keys "a/b" of cards that belong to two things. */
void card_key(char to[CARD_KEY_SIZE], const char *a, const char *b);

#define KEYS_MAX 32

/* What stands behind "before/" in the keys of a kind, the first KEYS_MAX. */
struct key_list {
    struct card_visitor v;
    char ids[KEYS_MAX][ID_LEN + 1];
    unsigned count;
};

enum err tx_keys(struct tx *tx, enum card_kind kind, const char *before, struct key_list *to);

/* Images and files that have these bytes. */
enum err blob_users(struct tx *tx, const char *sha256, int64_t *count);
enum err files_drop(struct tx *tx, const struct file *file);

/* Reads plan, queries and image of a job. */
enum err active_fill(struct tx *tx, const struct job *job, struct active *to);
/* The job's image for that node, by the digests of the keys that it trusts; NULL when it is gone. */
const struct image *active_image(const struct active *a, const struct node *node);
/* Active jobs in the order they are offered; valid until the end of this call.  In writing transactions. */
enum err active_list(struct tx *tx, struct active ***to, unsigned *count);
/* One of them, or another job in the memory's spare place; ERR_JOB_NOT_FOUND.  In writing transactions. */
enum err active_find(struct tx *tx, const char *job_id, struct active **to);
void memory_free(struct fleet_memory *m);
/* Whether there are organisations beside the house. */
bool memory_has_orgs(struct tx *tx);
/* Writes the job, and what the memory has of it. */
enum err active_write(struct tx *tx, const struct job *job);

enum err tx_event(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *image_id);
enum err tx_event_told(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *info);

/* A fresh state of a job when it has none. */
enum err tx_state(struct tx *tx, const char *job_id, struct job_state *to);

#define NODE_USERS_MAX 32 /* users of one node */

struct mapping_users {
    struct card_visitor v;
    char ids[NODE_USERS_MAX][ID_LEN + 1];
    bool are_primary[NODE_USERS_MAX];
    unsigned count;
};

/* A mapping is kept twice, by node and by user; `via`: the group that brought it, "" when none did. */
enum err mapping_put(struct tx *tx, const char *user_id, const char *node_id, bool is_primary, const char *via);
enum err mapping_drop(struct tx *tx, const char *user_id, const char *node_id);
/* ERR_NOT_THE_USERS. */
enum err mapping_get(struct tx *tx, const char *user_id, const char *node_id, struct own_node *to);
enum err mapping_users(struct tx *tx, const char *node_id, struct mapping_users *to);

/* What sharing has to do when a group of a user gets or loses a node, or goes itself (`node_id` NULL). */
enum err sharing_group_changed(struct tx *tx, const char *group_id, const char *node_id, bool is_added);

/* Whether somebody else's group is shared with the user. */
bool sharing_has_group(struct tx *tx, const char *user_id, const char *group_id);
/* A node has told its parameters, `params` all of them. */
enum err automations_see(struct tx *tx, const char *node_id, const struct json *params);
enum err automations_forget_node(struct tx *tx, const char *node_id);
enum err automations_forget_user(struct tx *tx, const char *user_id);
/* Parameters to a node. */
enum err params_send(struct tx *tx, const char *node_id, const char *params);

/* Some of the cards whose time is long over go, once an hour; `*is_more`: there are others. */
enum err tidy_when_due(struct tx *tx, bool *is_more);
/* A request to share, answered or not; what it brought stays. */
enum err sharing_drop(struct tx *tx, const char *id);

/* Requests and shared groups of a user who goes. */
enum err sharing_forget_user(struct tx *tx, const char *user_id);

/* Takes all nodes and groups from a user who goes. */
enum err mapping_forget_user(struct tx *tx, const char *user_id);

/* --- executions ------------------------------------------------------------------------------- */

enum execution_event {
    EX_OFFER,      /* the server offers the job */
    EX_PROMISE,    /* it asked and is given a later slot */
    EX_UNSENT,     /* the offer never left: the job was stopped before */
    EX_R_PROGRESS, /* reports of the node */
    EX_R_REBOOTING,
    EX_R_INSTALLED, /* success before the reboot: a node without rollback */
    EX_R_DELAYED,
    EX_R_ATTEMPT_FAILED, /* it says so and tries again at once */
    EX_R_FAILED,
    EX_R_FAILED_LAST, /* failed once too often */
    EX_R_REJECTED,
    EX_R_ROLLED_BACK,
    EX_R_SUCCESS,
    EX_TARGET_CONFIRMED, /* it asks for updates from the new version, so it is not on trial any more */
    EX_TARGET_SEEN,      /* it booted the new version */
    EX_OTHER_SEEN,       /* it booted another version after it said it would reboot into the new one */
    EX_STRAYED,          /* after its success it was found on another version */
    EX_SILENT,           /* nothing was heard for too long */
    EX_LOST,             /* nothing was heard after the reboot, for far too long */
    EX_TIME_OVER,        /* the job's time is over */
    EX_CANCEL,           /* the job was cancelled */
    EX_EXCLUDE,          /* the job leaves the node out */
    EX_RETRY,            /* a person wants it tried again */
    EX_EVENTS
};

/* The one writer of execution states (F3).  Returns false when the pair is not in the table. */
bool execution_step(struct execution *e, enum execution_event event);

/* A new one, not stored yet. */
void execution_init(struct execution *e, const char *job_id, const char *node_id);

/* Steps, sets the deadline of the new state, writes row, timeline, counts and event, and reviews the job.  `info` NULL
 * keeps the last one. */
enum err execution_apply(struct tx *tx, struct active *a, struct execution *e, enum execution_event event,
                         const char *info, bool is_from_node);

/* The same, and what a success means for its node. */
enum err execution_apply_of(struct tx *tx, struct active *a, struct node *node, struct execution *e,
                            enum execution_event event, const char *info, bool is_from_node);

/* --- nodes ------------------------------------------------------------------------------------ */

/* A new row.  ERR_EXISTS, ERR_NODE_ID. */
enum err node_add(struct tx *tx, const char *id, struct node *to);
/* A sign of life; writes the node when `is_changed`, or when there is something worth writing. */
enum err node_mark_seen(struct tx *tx, struct node *node, bool is_changed);
/* What the version that the node shows settles.  `is_confirmed`: nothing is on trial there. */
enum err node_settle(struct tx *tx, struct node *node, bool is_confirmed);

/* --- jobs ------------------------------------------------------------------------------------- */

enum job_sweep {
    SWEEP_NONE,
    SWEEP_CANCEL,
    SWEEP_TIME_OVER,
    SWEEP_EXCLUDE,
    SWEEP_RETRY,
    SWEEP_RETRY_ALL,
    SWEEP_WAKE /* who waits is looked at again: the job goes on, perhaps by another plan */
};

/* What the job's plan says after an execution moved: next phase, stop, end. */
enum err job_review(struct tx *tx, struct active *a, struct job_state *state);
enum err job_summarise(struct tx *tx, struct job_summary *to);

/* Whether the job is for the node by its targets, exclusions aside. */
enum err job_is_for(struct tx *tx, const struct active *a, const struct node *node, bool *is_target);
bool job_excludes(struct tx *tx, const struct active *a, const struct node *node);
/* How many nodes the job is for. */
enum err job_count_audience(struct tx *tx, const struct active *a, int64_t *count);
bool job_is_cheap_to_count(struct tx *tx, const struct active *a);
enum err job_stop(struct tx *tx, struct job *job, bool is_pause, const char *reason);

/* --- groups ----------------------------------------------------------------------------------- */

/* Queries ask it which groups a node is in, by membership or by the groups' own queries. */
struct group_asker {
    struct query_groups port;
    struct tx *tx;
    unsigned depth; /* a query of a group may ask for a group */
};

void group_asker_init(struct group_asker *g, struct tx *tx);
/* Since when the node has been in the group or one of the groups in it; false when it is not.  A dynamic group has its
 * nodes since ever. */
bool group_has_node(struct tx *tx, const char *group_id, const struct node *node, unsigned depth, time_ms *since);

/* --- offers ----------------------------------------------------------------------------------- */

struct chosen {
    struct active *active;  /* NULL: nothing is offered */
    struct verdict verdict; /* of the first job that did not let others pass */
    char job_id[ID_LEN + 1];
};

/* Looks for a job to offer the node and books the outcome. */
enum err offer_find(struct tx *tx, struct node *node, enum occasion occasion, struct chosen *to);
/* Decides about one job, with the jobs before it in mind, and books the outcome. */
enum err offer_consider(struct tx *tx, struct node *node, struct active *a, enum occasion occasion,
                        struct verdict *verdict);
/* The same without booking anything: a question.  `is_approved`: as if the user had said yes. */
enum err offer_ask(struct tx *tx, const struct node *node, struct active *a, bool is_approved, struct verdict *verdict);
enum err offer_send(struct tx *tx, const char *node_id, const char *job_id);

#endif
