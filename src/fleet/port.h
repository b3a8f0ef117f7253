/*
 * port.h - what the fleet mind needs from outside: a store for its rows, a place for image bytes, a bell.
 *
 * Synchronous and transactional: every public fleet function is one transaction, or part of one batch.  `begin` takes
 * the store for the calling thread alone until commit or rollback; a commit that returned ERR_NONE survives a crash of
 * the process.  After a failed commit everything is as before `begin`.
 *
 * Lists are read in pages: rows after `after` (exclusive, "" from the start) in rising order of their key.  Scans call
 * `visit` row by row until it returns false; it must not write.
 */
#ifndef PLUVIO_FLEET_PORT_H
#define PLUVIO_FLEET_PORT_H

#include "fleet/records.h"

struct fleet_store;

struct node_visitor {
    bool (*visit)(struct node_visitor *v, const struct node *node);
};

/* `node`: what so many nodes have in common; nothing else of it means anything. */
struct alike_visitor {
    void (*visit)(struct alike_visitor *v, const struct node *node, int64_t count);
};

struct job_visitor {
    bool (*visit)(struct job_visitor *v, const struct job *job);
};

struct card_visitor {
    bool (*visit)(struct card_visitor *v, const char *key, const char *text);
};

struct membership {
    char group_id[ID_LEN + 1];
    time_ms joined_at;
};

struct fleet_store_ops {
    /* `*tx` becomes the store as this transaction sees it: what the other functions are called with.  A reading
     * transaction sees the last commit, may run beside a writing one, and must not write. */
    enum err (*begin)(struct fleet_store *s, bool is_reading, struct fleet_store **tx, struct why *why);
    enum err (*commit)(struct fleet_store *tx, struct why *why);
    void (*rollback)(struct fleet_store *tx);
    /* How many rows the transaction wrote so far. */
    int64_t (*changes)(struct fleet_store *tx);
    /* Changes whenever a job, image or group may have changed; what a mind remembers of them is valid while it stays.
     */
    enum err (*version)(struct fleet_store *s, int64_t *version, struct why *why);

    /* _get: ERR_NOT_FOUND (without a story) when the row is absent.  _put: writes the whole row, new or old. */
    enum err (*node_get)(struct fleet_store *s, const char *id, struct node *to, struct why *why);
    enum err (*node_put)(struct fleet_store *s, const struct node *node, struct why *why);
    /* Nothing happens when it is absent.  What else names the node stays. */
    enum err (*node_delete)(struct fleet_store *s, const char *id, struct why *why);
    enum err (*node_list)(struct fleet_store *s, const char *after, struct node *to, unsigned max, unsigned *count,
                          struct why *why);
    enum err (*node_scan)(struct fleet_store *s, const char *after, struct node_visitor *v, struct why *why);
    enum err (*node_count)(struct fleet_store *s, int64_t *count, struct why *why);
    /* All nodes of an organisation (NULL: of all), gathered by fw_version, model, project_name, platform, is_online,
     * is_deactivated, is_astray and whether activated_at is 0 (else it is 1).  The same group may come more than once.
     */
    enum err (*nodes_alike)(struct fleet_store *s, const char *org, struct alike_visitor *v, struct why *why);
    /* After a start of a broker nobody is known to be connected to it.  Costs the same however many nodes there are. */
    enum err (*nodes_all_offline)(struct fleet_store *s, unsigned broker, time_ms now, struct why *why);
    /* A hint, NULL where nobody wants it: this transaction will ask for these nodes and what they work on, so that a
     * store that is far away may read all of it at once. */
    enum err (*nodes_expected)(struct fleet_store *s, const char *const *ids, unsigned count, struct why *why);

    enum err (*group_get)(struct fleet_store *s, const char *id, struct group *to, struct why *why);
    enum err (*group_find_name)(struct fleet_store *s, const char *owner, const char *name, struct group *to,
                                struct why *why);
    enum err (*group_put)(struct fleet_store *s, const struct group *group, struct why *why);
    /* With its memberships. */
    enum err (*group_delete)(struct fleet_store *s, const char *id, struct why *why);
    enum err (*group_list)(struct fleet_store *s, const char *owner, const char *after, struct group *to, unsigned max,
                           unsigned *count, struct why *why);
    enum err (*group_children)(struct fleet_store *s, const char *id, struct group *to, unsigned max, unsigned *count,
                               struct why *why);
    /* Joining again keeps the first time. */
    enum err (*member_add)(struct fleet_store *s, const char *group_id, const char *node_id, time_ms now,
                           struct why *why);
    enum err (*member_remove)(struct fleet_store *s, const char *group_id, const char *node_id, struct why *why);
    enum err (*member_list)(struct fleet_store *s, const char *group_id, const char *after, char (*to)[NODE_ID_SIZE],
                            unsigned max, unsigned *count, struct why *why);
    /* Groups that name the node. */
    enum err (*groups_of_node)(struct fleet_store *s, const char *node_id, struct membership *to, unsigned max,
                               unsigned *count, struct why *why);

    enum err (*image_get)(struct fleet_store *s, const char *id, struct image *to, struct why *why);
    /* Names are unique in an organisation, those of users everywhere. */
    enum err (*image_find_name)(struct fleet_store *s, const char *org, const char *name, struct image *to,
                                struct why *why);
    enum err (*image_put)(struct fleet_store *s, const struct image *image, struct why *why);
    enum err (*image_delete)(struct fleet_store *s, const char *id, struct why *why);
    /* Newest first; `after` is the id of the last row of the page before. */
    enum err (*image_list)(struct fleet_store *s, const char *after, struct image *to, unsigned max, unsigned *count,
                           struct why *why);
    /* How many images have these bytes, and how many jobs use the image, in any status or active alone. */
    enum err (*image_uses)(struct fleet_store *s, const char *id, int64_t *jobs, int64_t *active_jobs, struct why *why);
    enum err (*blob_uses)(struct fleet_store *s, const char *sha256, int64_t *images, struct why *why);

    enum err (*job_get)(struct fleet_store *s, const char *id, struct job *to, struct why *why);
    enum err (*job_find_name)(struct fleet_store *s, const char *org, const char *name, struct job *to,
                              struct why *why);
    enum err (*job_put)(struct fleet_store *s, const struct job *job, struct why *why);
    /* Newest first. */
    enum err (*job_list)(struct fleet_store *s, const char *after, struct job *to, unsigned max, unsigned *count,
                         struct why *why);
    /* Active jobs in the order in which they are offered: priority, then the latest. */
    enum err (*job_scan_active)(struct fleet_store *s, struct job_visitor *v, struct why *why);
    /* Nodes that the job names. */
    enum err (*job_target_add)(struct fleet_store *s, const char *job_id, const char *node_id, struct why *why);
    enum err (*job_target_list)(struct fleet_store *s, const char *job_id, const char *after, char (*to)[NODE_ID_SIZE],
                                unsigned max, unsigned *count, struct why *why);
    enum err (*job_has_target)(struct fleet_store *s, const char *job_id, const char *node_id, bool *has,
                               struct why *why);
    enum err (*job_state_get)(struct fleet_store *s, const char *job_id, struct job_state *to, struct why *why);
    enum err (*job_state_put)(struct fleet_store *s, const struct job_state *state, struct why *why);
    /* Ids of jobs of which a sweep or a push is under way, whatever their status. */
    enum err (*jobs_busy)(struct fleet_store *s, char (*to)[ID_LEN + 1], unsigned max, unsigned *count,
                          struct why *why);

    enum err (*execution_get)(struct fleet_store *s, const char *job_id, const char *node_id, struct execution *to,
                              struct why *why);
    /* `row` is added to its timeline; NULL: nothing is. */
    enum err (*execution_put)(struct fleet_store *s, const struct execution *e, const struct timeline_row *row,
                              struct why *why);
    enum err (*execution_list)(struct fleet_store *s, const char *job_id, const char *after_node, struct execution *to,
                               unsigned max, unsigned *count, struct why *why);
    /* Executions of a node that are not over, of any job. */
    enum err (*executions_open)(struct fleet_store *s, const char *node_id, struct execution *to, unsigned max,
                                unsigned *count, struct why *why);
    /* Whose deadline has come, the oldest first; `*next_at` becomes the deadline of the first that is not due, 0 when
     * there is none. */
    enum err (*executions_due)(struct fleet_store *s, time_ms now, struct execution *to, unsigned max, unsigned *count,
                               time_ms *next_at, struct why *why);
    /* EX_WAITING with a deadline, in the order of their slots. */
    enum err (*executions_waiting)(struct fleet_store *s, const char *job_id, struct execution *to, unsigned max,
                                   unsigned *count, struct why *why);
    /* Executions at work (EX_OFFERED to EX_PROVISIONAL) whose node was on the network when it was offered, at `since`
     * or later; of one job, or of all when `job_id` is "". */
    enum err (*network_load)(struct fleet_store *s, const char *network, const char *job_id, time_ms since,
                             int64_t *count, struct why *why);
    enum err (*timeline_list)(struct fleet_store *s, const char *job_id, const char *node_id, struct timeline_row *to,
                              unsigned max, unsigned *count, struct why *why);

    /* `text`: of a message; NULL: none. */
    enum err (*outbox_add)(struct fleet_store *s, const struct outbox_row *row, const char *text, struct why *why);
    /* "" when the row has none, or is not there. */
    enum err (*outbox_text)(struct fleet_store *s, int64_t id, char *to, size_t size, struct why *why);
    /* Those that this server has to send. */
    enum err (*outbox_list)(struct fleet_store *s, int64_t after, struct outbox_row *to, unsigned max, unsigned *count,
                            struct why *why);
    enum err (*outbox_delete)(struct fleet_store *s, int64_t id, struct why *why);
    /* Whether rows that outbox_list gave may be sent still: where several servers share a store, each sends rows of
     * its own, and one that was not heard of for long has lost them to the others.  NULL: they may. */
    bool (*outbox_is_ours)(struct fleet_store *s);
    /* Whether this server is the one of several that does what one of them has to do: what time makes due, webhooks.
     * Another one does soon after it is gone.  NULL: there are no others. */
    bool (*leads)(struct fleet_store *s);

    enum err (*event_add)(struct fleet_store *s, const struct event *e, struct why *why);
    enum err (*event_list)(struct fleet_store *s, int64_t after, struct event *to, unsigned max, unsigned *count,
                           struct why *why);
    enum err (*event_bounds)(struct fleet_store *s, int64_t *first, int64_t *last,
                             struct why *why); /* 0 and 0 when empty */

    enum err (*user_get)(struct fleet_store *s, const char *name, struct user *to, struct why *why);
    enum err (*user_get_id)(struct fleet_store *s, const char *id, struct user *to, struct why *why);
    enum err (*user_put)(struct fleet_store *s, const struct user *user, struct why *why);
    /* In the order of names. */
    enum err (*user_list)(struct fleet_store *s, const char *after_name, struct user *to, unsigned max, unsigned *count,
                          struct why *why);
    enum err (*user_delete)(struct fleet_store *s, const struct user *user, struct why *why);
    enum err (*user_count)(struct fleet_store *s, int64_t *count, struct why *why);
    /* Refresh tokens are kept as digests. */
    enum err (*token_put)(struct fleet_store *s, const char *digest, const char *user_id, time_ms expires_at,
                          struct why *why);
    enum err (*token_get)(struct fleet_store *s, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at,
                          struct why *why);
    enum err (*token_delete)(struct fleet_store *s, const char *digest, struct why *why);
    enum err (*tokens_delete_user)(struct fleet_store *s, const char *user_id, struct why *why);

    /* `to` is on the heap, with a terminator behind it. */
    enum err (*card_get)(struct fleet_store *s, enum card_kind kind, const char *key, char **to, struct why *why);
    enum err (*card_put)(struct fleet_store *s, enum card_kind kind, const char *key, struct bytes text,
                         struct why *why);
    /* Nothing happens when it is absent. */
    enum err (*card_delete)(struct fleet_store *s, enum card_kind kind, const char *key, struct why *why);
    /* Cards whose keys begin with `prefix`, after the key `after`, in rising order. */
    enum err (*card_scan)(struct fleet_store *s, enum card_kind kind, const char *prefix, const char *after,
                          struct card_visitor *v, struct why *why);
};

struct fleet_store {
    const struct fleet_store_ops *ops;
};

struct blob_store;

struct blob_store_ops {
    /* Takes over a finished local file, whose content has that SHA-256; the file is gone afterwards, also on failure.
     */
    enum err (*take)(struct blob_store *b, const char *path, const char *sha256, struct why *why);
    /* Opens for reading; the caller closes `*fd`. */
    enum err (*open)(struct blob_store *b, const char *sha256, int *fd, int64_t *size, struct why *why);
    enum err (*remove)(struct blob_store *b, const char *sha256, struct why *why);
    /* A URL by which anybody can read the bytes, with Range, for `ttl_s` seconds from `now`.  False when there is none:
     * then they come from us.  NULL: there never is. */
    bool (*url)(struct blob_store *b, const char *sha256, time_ms now, int64_t ttl_s, char *to, size_t size);
};

struct blob_store {
    const struct blob_store_ops *ops;
};

/* Rung after a commit that left outbox or event rows; it must return at once and call nothing of the fleet. */
struct fleet_bell {
    void (*ring)(struct fleet_bell *bell);
};

#endif
