/*
 * fleet.h - the server's mind: nodes, images, jobs, executions, and every rule about them.
 *
 * Promises:
 *  F1  one call is one transaction; what a call reported as done survives a crash
 *  F2  a message to a node is a row, written with the state it belongs to, removed when the broker has it
 *  F3  execution states change in one function, by one table; a pair that is not in it changes nothing
 *  F4  an execution succeeds only by its node's word after its trial boot: a report, or that it asks from the new
 * version F5  reports may come twice, late, cut off or out of order: an end is not undone by an older word Refuses to
 * know: sockets, files, clocks, JSON, RainMaker's REST.
 *
 * All functions may be called from any thread; the store serialises them.  `now` is the present.
 */
#ifndef PLUVIO_FLEET_FLEET_H
#define PLUVIO_FLEET_FLEET_H

#include "base/log.h"
#include "fleet/decide.h"
#include "fleet/port.h"
#include "image/image.h"

struct fleet_memory;
struct fleet_batch;

struct fleet {
    struct fleet_store *store;
    struct entropy *entropy;
    struct log *log;
    struct fleet_bell *bell;
    struct fleet_policy policy; /* decide.h; changed before the first call only */
    struct fleet_memory *memory;
    struct fleet_batch *batch; /* NULL: each call is its own transaction */
};

/* Ports stay the caller's; `log` and `bell` may be NULL. */
void fleet_init(struct fleet *f, struct fleet_store *store, struct entropy *entropy, struct log *log,
                struct fleet_bell *bell);
void fleet_deinit(struct fleet *f);

/* Many calls in one transaction, for what comes in numbers: between begin and end the calls go to `fleet` of the batch,
 * from this thread alone.  A call that fails before it has written anything just fails; one that fails half-way spoils
 * the batch: later calls and the end answer ERR_BUSY, nothing is written, and the caller makes the calls again one by
 * one. */
struct fleet_batch {
    struct fleet fleet, *of;
    struct fleet_store *tx;
    int64_t changes; /* when the present call began */
    bool is_spoilt, is_ringing;
};

enum err fleet_batch_begin(struct fleet_batch *b, struct fleet *f, struct why *why);
enum err fleet_batch_end(struct fleet_batch *b, struct why *why);

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

/* Nodes that fit a query (query.h), in pages.  ERR_FORMAT with a column. */
enum err fleet_node_find(struct fleet *f, const char *query, const char *after, time_ms now, struct node *to,
                         unsigned max, unsigned *count, struct why *why);
/* `tags`: "key:value" each, `count` of them.  ERR_NODE_TAGS. */
enum err fleet_node_tags(struct fleet *f, const char *id, const char *const *tags, unsigned count, bool is_add,
                         struct node *to, struct why *why);

/* --- groups ----------------------------------------------------------------------------------- */

struct group_order {
    const char *name, *parent_id, *type, *description, *custom_data, *query; /* NULL: none */
    const char *const *nodes;
    unsigned node_count;
};

enum err fleet_group_add(struct fleet *f, const struct group_order *order, time_ms now, struct group *to,
                         struct why *why);
/* NULL members of the order stay as they are; parent, query and nodes are not changed here. */
enum err fleet_group_edit(struct fleet *f, const char *id, const struct group_order *order, struct group *to,
                          struct why *why);
enum err fleet_group_get(struct fleet *f, const char *id, struct group *to, struct why *why);
enum err fleet_group_find(struct fleet *f, const char *name, struct group *to, struct why *why);
enum err fleet_group_list(struct fleet *f, const char *after, struct group *to, unsigned max, unsigned *count,
                          struct why *why);
enum err fleet_group_children(struct fleet *f, const char *id, struct group *to, unsigned max, unsigned *count,
                              struct why *why);
enum err fleet_group_nodes(struct fleet *f, const char *id, const char *const *nodes, unsigned count, bool is_add,
                           time_ms now, struct why *why);
/* Node ids in the group, those of groups in it aside; a dynamic group's by its query. */
enum err fleet_group_members(struct fleet *f, const char *id, const char *after, time_ms now, char (*to)[NODE_ID_SIZE],
                             unsigned max, unsigned *count, struct why *why);
/* ERR_GROUP_HAS_GROUPS while groups lie in it; ERR_GROUP_IN_USE while an active job is for it. */
enum err fleet_group_delete(struct fleet *f, const char *id, struct why *why);

/* --- what nodes bring ------------------------------------------------------------------------- */

/* What the broker link and the nodes' HTTPS listener bring.  ERR_NODE_NOT_FOUND for nodes that were never added. */
enum err fleet_on_config(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why);
enum err fleet_on_fetch(struct fleet *f, const char *node_id, const struct fetch_message *m, time_ms now,
                        struct why *why);
enum err fleet_on_report(struct fleet *f, const char *node_id, const struct status_report *r, time_ms now,
                         struct why *why);
enum err fleet_on_presence(struct fleet *f, const char *node_id, bool is_online, time_ms now, struct why *why);
/* `address`: where the broker sees the node; NULL or "" when it does not tell. */
enum err fleet_on_subscribed(struct fleet *f, const char *node_id, const char *address, time_ms now, struct why *why);

/* The same decision as on a fetch, answered instead of sent: for nodes that ask over HTTPS.  ERR_NO_JOB;
 * ERR_NO_NETWORK; ERR_NONE with `verdict->decision` other than DECIDE_OFFER: the node has to wait until
 * verdict->next_at. */
enum err fleet_fetch_now(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                         struct verdict *verdict, struct why *why);

/* The image of a job's stream, for a node that has been offered the job or works on it.  ERR_NO_JOB. */
enum err fleet_stream_image(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct image *to,
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

struct job_order {
    const char *name, *image_id, *description, *owner, *metadata; /* metadata: JSON object text or NULL */
    const char *nodes[JOB_NODES_MAX], *groups[JOB_GROUPS_MAX];
    unsigned node_count, group_count;
    const char *query, *exclude, *plan; /* NULL: none */
    bool is_for_everyone, is_force_push, is_continuous, needs_approval, notifies, gives_image, is_host_mcu,
        skips_project;
    int priority;                    /* 0: the default, 5 */
    int64_t timeout_s;               /* 0: none */
    time_ms valid_from, valid_until; /* of its metadata; 0: none */
    bool is_serial;
    unsigned serial_max; /* 0: three */
    int64_t serial_task_s, serial_min_wait_s, serial_max_wait_s;
};

struct job_summary {
    struct job job;
    struct job_state state;
    int64_t total, counts[EX_STATES]; /* counts[EX_TRIGGERED] are the targets without execution */
};

/* What the job's plan judges it by. */
void job_score(const struct job_state *s, struct rollout_score *to);

/* Who a job would be for. */
struct audience {
    int64_t total, online, on_version, other_chip, other_project, never_seen, excluded;
    struct audience_part {
        char platform[33], model[65], fw_version[FW_VERSION_SIZE];
        int64_t count;
    } parts[20]; /* the largest kinds of nodes; the rest is in no part */
    unsigned part_count;
};

/* Counts without starting anything; the errors of fleet_job_start. */
enum err fleet_job_audience(struct fleet *f, const struct job_order *order, time_ms now, struct audience *to,
                            struct why *why);

enum err fleet_job_start(struct fleet *f, const struct job_order *order, time_ms now, struct job *to, struct why *why);
enum err fleet_job_get(struct fleet *f, const char *id, struct job_summary *to, struct why *why);
enum err fleet_job_list(struct fleet *f, const char *after, struct job_summary *to, unsigned max, unsigned *count,
                        struct why *why);
enum err fleet_job_cancel(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why);
enum err fleet_job_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct job_summary *to,
                           struct why *why);
/* Pushes again to the nodes that have not ended. */
enum err fleet_job_retrigger(struct fleet *f, const char *id, time_ms now, struct why *why);
/* ERR_JOB_INACTIVE.  Resuming is refused while a rule that stops the job is still crossed (ERR_JOB_CROSSED): change the
 * plan, or leave out who fails. */
enum err fleet_job_pause(struct fleet *f, const char *id, const char *reason, time_ms now, struct job_summary *to,
                         struct why *why);
enum err fleet_job_resume(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why);

struct job_edit {
    const char *description, *metadata, *plan, *exclude; /* NULL: stays */
    int priority;                                        /* 0: stays */
};

/* Changes a paused job.  ERR_JOB_NOT_PAUSED. */
enum err fleet_job_edit(struct fleet *f, const char *id, const struct job_edit *edit, time_ms now,
                        struct job_summary *to, struct why *why);
/* Leaves out nodes that fit the query, also those that failed already; what was left out before stays out. */
enum err fleet_job_exclude(struct fleet *f, const char *id, const char *query, time_ms now, struct job_summary *to,
                           struct why *why);
/* Offers the job again to nodes that gave up or timed out, with `is_all` also to those that rolled back or rejected it.
 */
enum err fleet_job_retry(struct fleet *f, const char *id, bool is_all, time_ms now, struct job_summary *to,
                         struct why *why);

/* Failures that look alike, the largest first. */
enum err fleet_job_clusters(struct fleet *f, const char *id, struct cluster *to, unsigned max, unsigned *count,
                            struct why *why);
/* The query that fits a cluster's nodes: what fleet_job_exclude takes. */
void cluster_query(const struct cluster *cluster, char to[QUERY_SIZE]);

/* The job's executions in the order of node ids; targets without a row appear as EX_TRIGGERED. */
enum err fleet_job_executions(struct fleet *f, const char *job_id, const char *after, time_ms now, struct execution *to,
                              unsigned max, unsigned *count, struct why *why);
enum err fleet_execution(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct execution *to,
                         struct why *why);
enum err fleet_timeline(struct fleet *f, const char *job_id, const char *node_id, struct timeline_row *to, unsigned max,
                        unsigned *count, struct why *why);

/* Why the node was or was not offered the job, and when next: the decision itself (decide.h), asked without booking
 * anything. */
enum err fleet_why(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct verdict *to,
                   struct why *why);

/* --- users and their nodes -------------------------------------------------------------------- */

enum err fleet_user_node(struct fleet *f, const char *user_id, const char *node_id, bool is_mapped, struct why *why);
/* ERR_NOT_THE_USERS when the node is not the user's. */
enum err fleet_user_has_node(struct fleet *f, const char *user_id, const char *node_id, struct why *why);
/* The update that the node's user may say yes to; `verdict` as in fleet_fetch_now.  ERR_NO_JOB, ERR_NO_NETWORK,
 * ERR_TRAFFIC. */
enum err fleet_approval_get(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                            struct why *why);
/* The user says yes: the node is offered the job.  ERR_JOB_NO_NODE, ERR_NO_JOB (it is not the one on offer),
 * ERR_NODE_OFFLINE. */
enum err fleet_approve(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct why *why);

/* --- what is due, and what goes out ----------------------------------------------------------- */

/* Does what time or a big push makes due; `*next_at` becomes when to call again at the latest. */
enum err fleet_tick(struct fleet *f, time_ms now, time_ms *next_at, struct why *why);

struct outgoing {
    struct outbox_row row;
    bool is_stale; /* the node has moved on since, or the job was stopped: fleet_outbox_drop(); the rest is not set */
    struct image image;
    char metadata[METADATA_MAX + 1]; /* of the job */
};

enum err fleet_outbox_list(struct fleet *f, int64_t after, struct outgoing *to, unsigned max, unsigned *count,
                           struct why *why);
enum err fleet_outbox_done(struct fleet *f, int64_t id, struct why *why);
/* A stale row leaves without having been sent: its node waits again, or is done with a job that was cancelled. */
enum err fleet_outbox_drop(struct fleet *f, const struct outbox_row *row, time_ms now, struct why *why);

/* Events after `after`.  `*is_gap` says that older ones were dropped, so the reader has to load its picture anew. */
enum err fleet_events(struct fleet *f, int64_t after, struct event *to, unsigned max, unsigned *count, bool *is_gap,
                      struct why *why);
enum err fleet_event_last(struct fleet *f, int64_t *id, struct why *why);

#endif
