/* nouns.h - the functions of the store's port over a SQL driver, and what their files share.  Of store alone. */
#ifndef PLUVIO_STORE_NOUNS_H
#define PLUVIO_STORE_NOUNS_H

#include "store/sql/sql.h"

enum err db_node_get(struct fleet_store *tx, const char *id, struct node *to, struct why *why);
enum err db_node_put(struct fleet_store *tx, const struct node *node, struct why *why);
enum err db_node_delete(struct fleet_store *tx, const char *id, struct why *why);
enum err db_node_list(struct fleet_store *tx, const char *after, struct node *to, unsigned max, unsigned *count,
                      struct why *why);
enum err db_node_scan(struct fleet_store *tx, const char *after, struct node_visitor *v, struct why *why);
enum err db_nodes_alike(struct fleet_store *tx, const char *org, struct alike_visitor *v, struct why *why);
enum err db_node_count(struct fleet_store *tx, int64_t *count, struct why *why);
enum err db_nodes_all_offline(struct fleet_store *tx, unsigned broker, time_ms now, struct why *why);
enum err db_group_get(struct fleet_store *tx, const char *id, struct group *to, struct why *why);
enum err db_group_find_name(struct fleet_store *tx, const char *owner, const char *name, struct group *to,
                            struct why *why);
enum err db_group_put(struct fleet_store *tx, const struct group *group, struct why *why);
enum err db_group_delete(struct fleet_store *tx, const char *id, struct why *why);
enum err db_group_list(struct fleet_store *tx, const char *owner, const char *after, struct group *to, unsigned max,
                       unsigned *count, struct why *why);
enum err db_group_children(struct fleet_store *tx, const char *id, struct group *to, unsigned max, unsigned *count,
                           struct why *why);
enum err db_member_add(struct fleet_store *tx, const char *group_id, const char *node_id, time_ms now, struct why *why);
enum err db_member_remove(struct fleet_store *tx, const char *group_id, const char *node_id, struct why *why);
enum err db_member_list(struct fleet_store *tx, const char *group_id, const char *after, char (*to)[NODE_ID_SIZE],
                        unsigned max, unsigned *count, struct why *why);
enum err db_groups_of_node(struct fleet_store *tx, const char *node_id, struct membership *to, unsigned max,
                           unsigned *count, struct why *why);
enum err db_image_get(struct fleet_store *tx, const char *id, struct image *to, struct why *why);
enum err db_image_find_name(struct fleet_store *tx, const char *org, const char *name, struct image *to,
                            struct why *why);
enum err db_image_put(struct fleet_store *tx, const struct image *image, struct why *why);
enum err db_image_delete(struct fleet_store *tx, const char *id, struct why *why);
enum err db_image_list(struct fleet_store *tx, const char *after, struct image *to, unsigned max, unsigned *count,
                       struct why *why);
enum err db_image_uses(struct fleet_store *tx, const char *id, int64_t *jobs, int64_t *active_jobs, struct why *why);
enum err db_blob_uses(struct fleet_store *tx, const char *sha256, int64_t *images, struct why *why);
enum err db_job_get(struct fleet_store *tx, const char *id, struct job *to, struct why *why);
enum err db_job_find_name(struct fleet_store *tx, const char *org, const char *name, struct job *to, struct why *why);
enum err db_job_put(struct fleet_store *tx, const struct job *job, struct why *why);
enum err db_job_list(struct fleet_store *tx, const char *after, struct job *to, unsigned max, unsigned *count,
                     struct why *why);
enum err db_job_scan_active(struct fleet_store *tx, struct job_visitor *v, struct why *why);
enum err db_job_target_add(struct fleet_store *tx, const char *job_id, const char *node_id, struct why *why);
enum err db_job_target_list(struct fleet_store *tx, const char *job_id, const char *after, char (*to)[NODE_ID_SIZE],
                            unsigned max, unsigned *count, struct why *why);
enum err db_job_has_target(struct fleet_store *tx, const char *job_id, const char *node_id, bool *has, struct why *why);
enum err db_job_state_get(struct fleet_store *tx, const char *job_id, struct job_state *to, struct why *why);
enum err db_job_state_put(struct fleet_store *tx, const struct job_state *state, struct why *why);
enum err db_jobs_busy(struct fleet_store *tx, char (*to)[ID_LEN + 1], unsigned max, unsigned *count, struct why *why);
enum err db_execution_get(struct fleet_store *tx, const char *job_id, const char *node_id, struct execution *to,
                          struct why *why);
enum err db_execution_put(struct fleet_store *tx, const struct execution *e, const struct timeline_row *row,
                          struct why *why);
enum err db_execution_list(struct fleet_store *tx, const char *job_id, const char *after_node, struct execution *to,
                           unsigned max, unsigned *count, struct why *why);
enum err db_executions_open(struct fleet_store *tx, const char *node_id, struct execution *to, unsigned max,
                            unsigned *count, struct why *why);
enum err db_executions_due(struct fleet_store *tx, time_ms now, struct execution *to, unsigned max, unsigned *count,
                           time_ms *next_at, struct why *why);
enum err db_executions_waiting(struct fleet_store *tx, const char *job_id, struct execution *to, unsigned max,
                               unsigned *count, struct why *why);
enum err db_network_load(struct fleet_store *tx, const char *network, const char *job_id, time_ms since, int64_t *count,
                         struct why *why);
enum err db_timeline_list(struct fleet_store *tx, const char *job_id, const char *node_id, struct timeline_row *to,
                          unsigned max, unsigned *count, struct why *why);
enum err db_outbox_add(struct fleet_store *tx, const struct outbox_row *row, const char *text, struct why *why);
enum err db_outbox_text(struct fleet_store *tx, int64_t id, char *to, size_t size, struct why *why);
enum err db_outbox_list(struct fleet_store *tx, int64_t after, struct outbox_row *to, unsigned max, unsigned *count,
                        struct why *why);
enum err db_outbox_delete(struct fleet_store *tx, int64_t id, struct why *why);
enum err db_event_add(struct fleet_store *tx, const struct event *e, struct why *why);
enum err db_event_list(struct fleet_store *tx, int64_t after, struct event *to, unsigned max, unsigned *count,
                       struct why *why);
enum err db_event_bounds(struct fleet_store *tx, int64_t *first, int64_t *last, struct why *why);
enum err db_user_get(struct fleet_store *tx, const char *name, struct user *to, struct why *why);
enum err db_user_get_id(struct fleet_store *tx, const char *id, struct user *to, struct why *why);
enum err db_user_put(struct fleet_store *tx, const struct user *user, struct why *why);
enum err db_user_list(struct fleet_store *tx, const char *after_name, struct user *to, unsigned max, unsigned *count,
                      struct why *why);
enum err db_user_delete(struct fleet_store *tx, const struct user *user, struct why *why);
enum err db_user_count(struct fleet_store *tx, int64_t *count, struct why *why);
enum err db_token_put(struct fleet_store *tx, const char *digest, const char *user_id, time_ms expires_at,
                      struct why *why);
enum err db_token_get(struct fleet_store *tx, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at,
                      struct why *why);
enum err db_token_delete(struct fleet_store *tx, const char *digest, struct why *why);
enum err db_tokens_delete_user(struct fleet_store *tx, const char *user_id, struct why *why);
enum err db_card_get(struct fleet_store *tx, enum card_kind kind, const char *key, char **to, struct why *why);
enum err db_card_put(struct fleet_store *tx, enum card_kind kind, const char *key, struct bytes text, struct why *why);
enum err db_card_delete(struct fleet_store *tx, enum card_kind kind, const char *key, struct why *why);
enum err db_card_scan(struct fleet_store *tx, enum card_kind kind, const char *prefix, const char *after,
                      struct card_visitor *v, struct why *why);

/* Rows of a page of executions; `max` is bound as the last parameter. */
enum err db_read_executions(struct run *r, struct execution *to, unsigned max, unsigned *count, struct why *why);
enum err db_read_outbox(struct run *r, struct outbox_row *to, unsigned max, unsigned *count, struct why *why);
void db_read_node(struct run *r, struct node *n);
void db_read_execution(struct run *r, struct execution *e);

enum err db_ids(struct fleet_store *tx, enum statement statement, const char *first, const char *after,
                char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why);
enum err db_has(struct fleet_store *tx, enum statement statement, const char *a, const char *b, bool *has,
                struct why *why);

#endif
