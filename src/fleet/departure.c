/* A node that goes for good: what is kept of it goes too, and jobs do not wait for it. */
#include "fleet/inner.h"

#define GROUPS_MAX 64
#define GONE_TEXT  "The node was deleted"

/* The first of these that the execution's state takes ends it. */
static enum err end_execution(struct tx *tx, struct active *a, struct execution *e)
{
    static const enum execution_event ends[] = {EX_EXCLUDE, EX_CANCEL, EX_LOST};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct execution tried = *e;
        if (execution_step(&tried, ends[i]))
            return execution_apply(tx, a, e, ends[i], GONE_TEXT, false);
    }
    return ERR_NONE;
}

static enum err leave_job(struct tx *tx, struct active *a, const struct node *node)
{
    struct execution e;
    bool is_target = true;
    enum err err = tx->db->execution_get(tx->s, a->job.id, node->id, &e, tx->why);
    if (err == ERR_NOT_FOUND) {
        execution_init(&e, a->job.id, node->id);
        err = job_is_for(tx, a, node, &is_target);
    }
    return err || !is_target || execution_is_over(e.state) ? err : end_execution(tx, a, &e);
}

static enum err leave_jobs(struct tx *tx, const struct node *node)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(tx, &jobs, &count);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = leave_job(tx, jobs[i], node);
    return err;
}

static enum err leave_people(struct tx *tx, const char *id)
{
    struct mapping_users users;
    struct membership groups[GROUPS_MAX];
    unsigned count = 0;
    enum err err = mapping_users(tx, id, &users);
    for (unsigned i = 0; err == ERR_NONE && i < users.count; i++)
        err = mapping_drop(tx, users.ids[i], id);
    if (err == ERR_NONE)
        err = automations_forget_node(tx, id);
    if (err == ERR_NONE)
        err = tx->db->groups_of_node(tx->s, id, groups, GROUPS_MAX, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = tx->db->member_remove(tx->s, groups[i].group_id, id, tx->why);
    return err;
}

static enum err drop_cards(struct tx *tx, const char *id)
{
    static const enum card_kind own[] = {CARD_CONFIG, CARD_PARAMS, CARD_METADATA, CARD_NODE_KEY, CARD_DENIED};
    static const enum card_kind waiting[] = {CARD_COMMAND_WAITING, CARD_MAP_WAITING};
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < sizeof own / sizeof own[0]; i++)
        err = tx->db->card_delete(tx->s, own[i], id, tx->why);
    for (size_t k = 0; err == ERR_NONE && k < sizeof waiting / sizeof waiting[0]; k++) {
        struct key_list l;
        char key[CARD_KEY_SIZE];
        err = tx_keys(tx, waiting[k], id, &l);
        for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
            card_key(key, id, l.ids[i]);
            err = tx->db->card_delete(tx->s, waiting[k], key, tx->why);
        }
    }
    return err;
}

static enum err delete_node(struct tx *tx, const char *id)
{
    struct node node;
    enum err err;
    if ((err = tx_node(tx, id, &node)) != ERR_NONE || (err = leave_jobs(tx, &node)) != ERR_NONE ||
        (err = leave_people(tx, id)) != ERR_NONE || (err = drop_cards(tx, id)) != ERR_NONE ||
        (err = tx->db->node_delete(tx->s, id, tx->why)) != ERR_NONE)
        return err;
    return tx_event(tx, EVENT_NODE, id, NULL, NULL);
}

enum err fleet_node_delete(struct fleet *f, const char *id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, delete_node(&tx, id));
}
