/* Updates that a node's user has to say yes to (RainMaker's REST notes, C.5). */
#include "fleet/inner.h"

#include "base/text.h"

#include <string.h>

/* The first job in the node's order that waits for its user's word. */
static enum err find(struct tx *tx, const struct node *node, struct active **to)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(tx, &jobs, &count);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct verdict v;
        if (!jobs[i]->job.needs_approval)
            continue;
        err = offer_ask(tx, node, jobs[i], false, &v);
        if (err == ERR_NONE && v.decision == DECIDE_AWAITS_APPROVAL) {
            *to = jobs[i];
            return ERR_NONE;
        }
    }
    return err ? err : why_set(tx->why, ERR_NO_JOB, "there is no update for node %s to say yes to", node->id);
}

/* What would stand in the way of an update right after a yes, as RainMaker tells it. */
static enum err check_way(struct tx *tx, const struct node *node, struct active *a)
{
    struct verdict v;
    enum err err = offer_ask(tx, node, a, true, &v);
    if (err == ERR_NONE && v.decision == DECIDE_NO_NETWORK)
        err = why_set(tx->why, ERR_NO_NETWORK, "node %s tells no network id, and the job goes network by network",
                      node->id);
    if (err == ERR_NONE &&
        (v.decision == DECIDE_NETWORK || v.decision == DECIDE_JOB_BUDGET || v.decision == DECIDE_GLOBAL_BUDGET))
        err = why_set(tx->why, ERR_TRAFFIC, "%s; try again later", v.text);
    return err;
}

static enum err get(struct tx *tx, const char *node_id, struct job *job, struct image *image)
{
    struct node node;
    struct active *a;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = find(tx, &node, &a)) != ERR_NONE ||
        (err = check_way(tx, &node, a)) != ERR_NONE)
        return err;
    *job = a->job;
    *image = a->has_image ? *active_image(a, &node) : a->image;
    return ERR_NONE;
}

enum err fleet_approval_get(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                            struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, get(&tx, node_id, job, image));
}

/* The yes is a row of its own: it stays when the offer is lost on its way. */
static enum err note_yes(struct tx *tx, const struct node *node, struct active *a)
{
    struct execution e;
    enum err err = tx->db->execution_get(tx->s, a->job.id, node->id, &e, tx->why);
    if (err == ERR_NOT_FOUND) {
        execution_init(&e, a->job.id, node->id);
        err = ERR_NONE;
    }
    e.is_approved = true;
    e.deadline_at = tx->now;
    return err ? err : execution_apply(tx, a, &e, EX_PROMISE, "Approved by the user", false);
}

static enum err approve(struct tx *tx, const char *node_id, const char *job_id)
{
    struct node node;
    struct active *asked, *a;
    struct verdict v;
    bool is_target = false;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = active_find(tx, job_id, &asked)) != ERR_NONE ||
        (err = job_is_for(tx, asked, &node, &is_target)) != ERR_NONE)
        return err;
    if (!is_target)
        return why_set(tx->why, ERR_JOB_NO_NODE, "job %s is not for node %.64s", asked->job.name, node_id);
    if ((err = find(tx, &node, &a)) != ERR_NONE)
        return err;
    if (strcmp(a->job.id, job_id) != 0)
        return why_set(tx->why, ERR_NO_JOB, "job %s is not the one on offer, %s is", asked->job.name, a->job.name);
    if (!node.is_online)
        return why_set(tx->why, ERR_NODE_OFFLINE, "node %.64s is not connected; try again when it is", node_id);
    if ((err = note_yes(tx, &node, a)) != ERR_NONE || (err = offer_consider(tx, &node, a, ON_SLOT, &v)) != ERR_NONE)
        return err;
    return v.decision == DECIDE_OFFER ? offer_send(tx, node_id, job_id) : ERR_NONE;
}

enum err fleet_approve(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, approve(&tx, node_id, job_id));
}
