/*
 * port.h - what the fleet mind needs from outside: a store for its rows, a place for image bytes, a bell.
 *
 * Synchronous and transactional: every public fleet function is one transaction.  `begin` takes the store for the
 * calling thread alone until commit or rollback; a commit that returned ERR_NONE survives a crash of the process.
 * Lists are read in pages: rows after `after` (exclusive, "" from the start) in rising order of their key.
 */
#ifndef PLUVIO_FLEET_PORT_H
#define PLUVIO_FLEET_PORT_H

#include "fleet/records.h"

struct fleet_store;

struct fleet_store_ops {
    enum err (*begin)(struct fleet_store *s, struct why *why);
    enum err (*commit)(struct fleet_store *s, struct why *why);
    void (*rollback)(struct fleet_store *s);

    /* _get: ERR_NOT_FOUND (without a story) when the row is absent.  _put: writes the whole row, new or old. */
    enum err (*node_get)(struct fleet_store *s, const char *id, struct node *to, struct why *why);
    enum err (*node_put)(struct fleet_store *s, const struct node *node, struct why *why);
    enum err (*node_list)(struct fleet_store *s, const char *after, struct node *to, unsigned max, unsigned *count,
                          struct why *why);
    enum err (*node_count)(struct fleet_store *s, int64_t *count, struct why *why);
    /* After a start of the server nobody is known to be connected. */
    enum err (*nodes_all_offline)(struct fleet_store *s, time_ms now, struct why *why);
    /* The node's last config document, as it came.  `to` is on the heap, NULL when there is none. */
    enum err (*node_config_put)(struct fleet_store *s, const char *id, struct bytes config, struct why *why);
    enum err (*node_config_get)(struct fleet_store *s, const char *id, char **to, struct why *why);

    enum err (*image_get)(struct fleet_store *s, const char *id, struct image *to, struct why *why);
    enum err (*image_find_name)(struct fleet_store *s, const char *name, struct image *to, struct why *why);
    enum err (*image_put)(struct fleet_store *s, const struct image *image, struct why *why);
    enum err (*image_delete)(struct fleet_store *s, const char *id, struct why *why);
    /* Newest first; `after` is the id of the last row of the page before. */
    enum err (*image_list)(struct fleet_store *s, const char *after, struct image *to, unsigned max, unsigned *count,
                           struct why *why);
    /* How many images have these bytes, and how many jobs use the image, in any status or active alone. */
    enum err (*image_uses)(struct fleet_store *s, const char *id, int64_t *jobs, int64_t *active_jobs, struct why *why);
    enum err (*blob_uses)(struct fleet_store *s, const char *sha256, int64_t *images, struct why *why);

    enum err (*job_get)(struct fleet_store *s, const char *id, struct job *to, struct why *why);
    enum err (*job_find_name)(struct fleet_store *s, const char *name, struct job *to, struct why *why);
    enum err (*job_put)(struct fleet_store *s, const struct job *job, struct why *why);
    /* Newest first. */
    enum err (*job_list)(struct fleet_store *s, const char *after, struct job *to, unsigned max, unsigned *count,
                         struct why *why);
    enum err (*job_target_add)(struct fleet_store *s, const char *job_id, const char *node_id, struct why *why);
    /* Node ids that the job names, also true for nodes of a job for everyone. */
    enum err (*job_target_list)(struct fleet_store *s, const struct job *job, const char *after,
                                char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why);
    enum err (*job_target_count)(struct fleet_store *s, const struct job *job, int64_t *count, struct why *why);
    enum err (*job_has_target)(struct fleet_store *s, const struct job *job, const char *node_id, bool *has,
                               struct why *why);
    /* Active jobs that target the node, in the order they are offered: priority, then the latest. */
    enum err (*jobs_of_node)(struct fleet_store *s, const char *node_id, struct job *to, unsigned max, unsigned *count,
                             struct why *why);
    enum err (*jobs_pushing)(struct fleet_store *s, struct job *to, unsigned max, unsigned *count, struct why *why);

    enum err (*execution_get)(struct fleet_store *s, const char *job_id, const char *node_id, struct execution *to,
                              struct why *why);
    enum err (*execution_put)(struct fleet_store *s, const struct execution *e, struct why *why);
    enum err (*execution_list)(struct fleet_store *s, const char *job_id, const char *after_node, struct execution *to,
                               unsigned max, unsigned *count, struct why *why);
    /* Executions of a node that are not over. */
    enum err (*executions_open)(struct fleet_store *s, const char *node_id, struct execution *to, unsigned max,
                                unsigned *count, struct why *why);
    enum err (*executions_due)(struct fleet_store *s, time_ms now, struct execution *to, unsigned max, unsigned *count,
                               struct why *why);
    /* Rows in each state. */
    enum err (*execution_counts)(struct fleet_store *s, const char *job_id, int64_t counts[EX_STATES], struct why *why);
    enum err (*timeline_add)(struct fleet_store *s, const char *job_id, const char *node_id,
                             const struct timeline_row *row, struct why *why);
    enum err (*timeline_list)(struct fleet_store *s, const char *job_id, const char *node_id, struct timeline_row *to,
                              unsigned max, unsigned *count, struct why *why);

    enum err (*outbox_add)(struct fleet_store *s, const struct outbox_row *row, struct why *why);
    enum err (*outbox_list)(struct fleet_store *s, int64_t after, struct outbox_row *to, unsigned max, unsigned *count,
                            struct why *why);
    enum err (*outbox_delete)(struct fleet_store *s, int64_t id, struct why *why);

    enum err (*event_add)(struct fleet_store *s, const struct event *e, struct why *why);
    enum err (*event_list)(struct fleet_store *s, int64_t after, struct event *to, unsigned max, unsigned *count,
                           struct why *why);
    enum err (*event_bounds)(struct fleet_store *s, int64_t *first, int64_t *last,
                             struct why *why); /* 0 and 0 when empty */

    enum err (*user_get)(struct fleet_store *s, const char *name, struct user *to, struct why *why);
    enum err (*user_get_id)(struct fleet_store *s, const char *id, struct user *to, struct why *why);
    enum err (*user_put)(struct fleet_store *s, const struct user *user, struct why *why);
    enum err (*user_count)(struct fleet_store *s, int64_t *count, struct why *why);
    /* Refresh tokens are kept as digests. */
    enum err (*token_put)(struct fleet_store *s, const char *digest, const char *user_id, time_ms expires_at,
                          struct why *why);
    enum err (*token_get)(struct fleet_store *s, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at,
                          struct why *why);
    enum err (*token_delete)(struct fleet_store *s, const char *digest, struct why *why);
    enum err (*tokens_delete_user)(struct fleet_store *s, const char *user_id, struct why *why);
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
};

struct blob_store {
    const struct blob_store_ops *ops;
};

/* Rung after a commit that left outbox or event rows; it must return at once and call nothing of the fleet. */
struct fleet_bell {
    void (*ring)(struct fleet_bell *bell);
};

#endif
