#include "fleet/inner.h"

#include "base/text.h"

static enum err add_node(struct tx *tx, const char *id, struct node *to)
{
    struct id made = {{0}};
    if (id == NULL || *id == '\0') {
        made = id_new(tx->f->entropy);
        id = made.text;
    }
    if (!text_is_plain_id(id, NODE_ID_SIZE - 1))
        return why_set(tx->why, ERR_NODE_ID, "node id \"%.80s\" must have 1 to %d of A-Z a-z 0-9 _ - .", id,
                       NODE_ID_SIZE - 1);
    enum err err = tx->db->node_get(tx->s, id, to, tx->why);
    if (err == ERR_NONE)
        return why_set(tx->why, ERR_EXISTS, "node %s exists already", id);
    if (err != ERR_NOT_FOUND)
        return err;
    *to = (struct node){.registered_at = tx->now};
    text_copy(to->id, sizeof to->id, id);
    err = tx->db->node_put(tx->s, to, tx->why);
    return err ? err : tx_event(tx, EVENT_NODE, id, NULL, NULL);
}

enum err fleet_node_add(struct fleet *f, const char *id, time_ms now, struct node *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add_node(&tx, id, to));
}

enum err fleet_node_get(struct fleet *f, const char *id, struct node *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx_node(&tx, id, to));
}

enum err fleet_node_list(struct fleet *f, const char *after, struct node *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->node_list(tx.s, after, to, max, count, why));
}

enum err fleet_node_config(struct fleet *f, const char *id, char **to, struct why *why)
{
    struct tx tx;
    struct node node;
    enum err err = tx_begin(&tx, f, 0, why);
    if (err != ERR_NONE)
        return err;
    err = tx_node(&tx, id, &node);
    return tx_end(&tx, err ? err : tx.db->node_config_get(tx.s, id, to, why));
}

static enum err set_presence(struct tx *tx, const char *node_id, bool is_online)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    bool is_changed = node.is_online != is_online;
    node.is_online = is_online;
    node.seen_at = tx->now;
    if (!is_online)
        node.subscribed_at = 0;
    if (is_changed)
        node.presence_at = tx->now;
    err = tx->db->node_put(tx->s, &node, tx->why);
    return err == ERR_NONE && is_changed ? tx_event(tx, EVENT_NODE, node_id, NULL, NULL) : err;
}

enum err fleet_on_presence(struct fleet *f, const char *node_id, bool is_online, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, set_presence(&tx, node_id, is_online));
}

/* A document sent while the node was away is lost (clean session), so a node that begins to listen is told of pending
 * work at once; its own fetch, which follows within seconds of a boot, then finds it offered on this connection. */
static enum err take_subscription(struct tx *tx, const char *node_id)
{
    struct node node;
    struct job job;
    struct image image;
    bool is_offered = false;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    bool was_online = node.is_online;
    node.subscribed_at = node.seen_at = tx->now;
    node.is_online = true;
    if (!was_online)
        node.presence_at = tx->now;
    if ((err = tx->db->node_put(tx->s, &node, tx->why)) != ERR_NONE ||
        (!was_online && (err = tx_event(tx, EVENT_NODE, node_id, NULL, NULL)) != ERR_NONE))
        return err;
    err = offer_find(tx, &node, ON_SUBSCRIBE, &job, &image, &is_offered);
    return err == ERR_NONE && is_offered ? offer_send(tx, node_id, job.id) : err;
}

enum err fleet_on_subscribed(struct fleet *f, const char *node_id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_subscription(&tx, node_id));
}
