#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define GROUPS_OF_NODE_MAX 64  /* groups that name a node; more are not looked at */
#define SUBGROUPS_MAX      100 /* RainMaker's limit */

/* --- membership ------------------------------------------------------------------------------- */

/* Whether `from` is `group_id` or lies in it. */
static bool lies_in(struct tx *tx, const char *from, const char *group_id)
{
    struct group g;
    char id[ID_LEN + 1];
    text_copy(id, sizeof id, from);
    for (int depth = 0; depth <= GROUP_DEPTH_MAX && id[0]; depth++) {
        if (strcmp(id, group_id) == 0)
            return true;
        if (tx->db->group_get(tx->s, id, &g, NULL) != ERR_NONE)
            return false;
        text_copy(id, sizeof id, g.parent_id);
    }
    return false;
}

static bool is_named(struct tx *tx, const char *group_id, const struct node *node, time_ms *since)
{
    struct membership m[GROUPS_OF_NODE_MAX];
    unsigned count = 0;
    if (tx->db->groups_of_node(tx->s, node->id, m, GROUPS_OF_NODE_MAX, &count, NULL) != ERR_NONE)
        return false;
    bool is_there = false;
    for (unsigned i = 0; i < count; i++)
        if (lies_in(tx, m[i].group_id, group_id) && (!is_there || m[i].joined_at < *since)) {
            is_there = true;
            *since = m[i].joined_at;
        }
    return is_there;
}

bool group_has_node(struct tx *tx, const char *group_id, const struct node *node, unsigned depth, time_ms *since)
{
    struct group g;
    struct query q;
    struct group_asker asker;
    if (tx->db->group_get(tx->s, group_id, &g, NULL) != ERR_NONE)
        return false;
    if (g.query[0] == '\0')
        return is_named(tx, group_id, node, since);
    if (depth >= GROUP_DEPTH_MAX || query_read(&q, g.query, NULL) != ERR_NONE)
        return false;
    group_asker_init(&asker, tx);
    asker.depth = depth + 1;
    *since = 0;
    return query_matches(&q, node, &asker.port, tx->now);
}

static bool asker_has(struct query_groups *port, const struct node *node, const char *group)
{
    struct group_asker *g = (struct group_asker *)port;
    struct group found;
    time_ms since;
    if (strcmp(group, GROUP_EVERYONE) == 0)
        return true;
    if (g->tx->db->group_get(g->tx->s, group, &found, NULL) != ERR_NONE &&
        g->tx->db->group_find_name(g->tx->s, node->org, group, &found, NULL) != ERR_NONE)
        return false;
    return group_has_node(g->tx, found.id, node, g->depth, &since);
}

void group_asker_init(struct group_asker *g, struct tx *tx)
{
    *g = (struct group_asker){{asker_has}, tx, 0};
}

/* --- changes ---------------------------------------------------------------------------------- */

/* A group of somebody else is not there. */
static enum err own_group(struct tx *tx, const char *owner, const char *id, struct group *to)
{
    enum err err = tx_group(tx, id, to);
    return err || strcmp(to->owner, owner) == 0 ? err
                                                : why_set(tx->why, ERR_GROUP_NOT_FOUND, "there is no group %.40s", id);
}

static enum err check_name(struct tx *tx, const char *owner, const char *name, const char *own_id)
{
    struct group other;
    if (name == NULL || *name == '\0' || strlen(name) >= NAME_SIZE)
        return why_set(tx->why, ERR_GROUP_NAME, "group_name must have 1 to %d characters", NAME_SIZE - 1);
    enum err err = tx->db->group_find_name(tx->s, owner, name, &other, tx->why);
    if (err == ERR_NONE && strcmp(other.id, own_id) != 0)
        return why_set(tx->why, ERR_GROUP_EXISTS, "a group named %s exists already", name);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static enum err check_parent(struct tx *tx, const char *owner, const char *parent_id)
{
    struct group parent, above, children[SUBGROUPS_MAX];
    unsigned count = 0, depth = 1;
    enum err err = own_group(tx, owner, parent_id, &parent);
    if (err != ERR_NONE)
        return err;
    if (parent.query[0])
        return why_set(tx->why, ERR_GROUP_RULE_PARENT, "%s is a dynamic group: no group can lie in it", parent.name);
    err = tx->db->group_children(tx->s, parent_id, children, SUBGROUPS_MAX, &count, tx->why);
    if (err == ERR_NONE && count == SUBGROUPS_MAX)
        return why_set(tx->why, ERR_GROUP_CHILDREN, "%s has %d groups in it already", parent.name, SUBGROUPS_MAX);
    for (above = parent; err == ERR_NONE && above.parent_id[0]; depth++)
        err = tx_group(tx, above.parent_id, &above);
    if (err == ERR_NONE && depth >= GROUP_DEPTH_MAX)
        return why_set(tx->why, ERR_GROUP_DEPTH, "groups lie in each other %d deep at most", GROUP_DEPTH_MAX);
    return err;
}

/* RainMaker makes no two groups of the same rule. */
static enum err check_rule(struct tx *tx, const char *text)
{
    struct query q;
    struct group page[16];
    char after[ID_LEN + 1] = "";
    unsigned count = 16;
    enum err err = query_read(&q, text, tx->why);
    if (err != ERR_NONE)
        return why_add(tx->why, ERR_QUERY, "query");
    if (strlen(text) >= QUERY_SIZE)
        return why_set(tx->why, ERR_QUERY, "a query has at most %d characters", QUERY_SIZE - 1);
    while (err == ERR_NONE && count == 16) {
        err = tx->db->group_list(tx->s, "", after, page, 16, &count, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            if (strcmp(page[i].query, text) == 0)
                return why_set(tx->why, ERR_GROUP_SAME_RULE, "group %s has the same rule", page[i].name);
            text_copy(after, sizeof after, page[i].id);
        }
    }
    return err;
}

static enum err add_nodes(struct tx *tx, const char *group_id, const char *const *nodes, unsigned count)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct node node;
        if ((err = tx_node(tx, nodes[i], &node)) == ERR_NONE)
            err = tx->db->member_add(tx->s, group_id, nodes[i], tx->now, tx->why);
    }
    return err;
}

static bool is_given(const char *text)
{
    return text != NULL && *text;
}

static enum err take_texts(struct tx *tx, const struct group_order *o, struct group *g)
{
    const struct {
        char *to;
        size_t size;
        const char *from, *what;
    } texts[] = {{g->name, sizeof g->name, o->name, "group_name"},
                 {g->type, sizeof g->type, o->type, "type"},
                 {g->description, sizeof g->description, o->description, "description"},
                 {g->custom_data, sizeof g->custom_data, o->custom_data, "custom_data"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].from != NULL && !text_copy(texts[i].to, texts[i].size, texts[i].from))
            return why_set(tx->why, ERR_GROUP_NAME, "%s has more than %zu characters", texts[i].what,
                           texts[i].size - 1);
    return ERR_NONE;
}

static enum err add_group(struct tx *tx, const char *owner, const struct group_order *o, struct group *to)
{
    enum err err = check_name(tx, owner, o->name, "");
    if (err == ERR_NONE && is_given(o->query) && *owner)
        err = why_set(tx->why, ERR_BODY, "users' groups name their nodes: give no query");
    if (err == ERR_NONE && is_given(o->query) && o->node_count > 0)
        err = why_set(tx->why, ERR_GROUP_RULE_NODES, "a dynamic group finds its nodes itself: give no nodes");
    if (err == ERR_NONE && is_given(o->query) && is_given(o->parent_id))
        err = why_set(tx->why, ERR_GROUP_RULE_PARENT, "a dynamic group lies in no other group");
    if (err == ERR_NONE && is_given(o->query))
        err = check_rule(tx, o->query);
    if (err == ERR_NONE && is_given(o->parent_id))
        err = check_parent(tx, owner, o->parent_id);
    if (err != ERR_NONE)
        return err;
    *to = (struct group){.created_at = tx->now};
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    text_copy(to->parent_id, sizeof to->parent_id, o->parent_id);
    text_copy(to->query, sizeof to->query, o->query);
    text_copy(to->owner, sizeof to->owner, owner);
    if ((err = take_texts(tx, o, to)) != ERR_NONE || (err = tx->db->group_put(tx->s, to, tx->why)) != ERR_NONE ||
        (err = add_nodes(tx, to->id, o->nodes, o->node_count)) != ERR_NONE)
        return err;
    to->total = o->node_count;
    return tx_event_told(tx, EVENT_GROUP, NULL, NULL, to->id);
}

enum err fleet_group_add(struct fleet *f, const char *owner, const struct group_order *order, time_ms now,
                         struct group *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add_group(&tx, owner, order, to));
}

static enum err edit_group(struct tx *tx, const char *owner, const char *id, const struct group_order *o,
                           struct group *to)
{
    enum err err = own_group(tx, owner, id, to);
    if (err == ERR_NONE && o->name != NULL)
        err = check_name(tx, owner, o->name, id);
    if (err != ERR_NONE || (err = take_texts(tx, o, to)) != ERR_NONE ||
        (err = tx->db->group_put(tx->s, to, tx->why)) != ERR_NONE)
        return err;
    return tx_event_told(tx, EVENT_GROUP, NULL, NULL, id);
}

enum err fleet_group_edit(struct fleet *f, const char *owner, const char *id, const struct group_order *order,
                          struct group *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, edit_group(&tx, owner, id, order, to));
}

static enum err change_nodes(struct tx *tx, const char *owner, const char *id, const char *const *nodes, unsigned count,
                             bool is_add)
{
    struct group g;
    enum err err = own_group(tx, owner, id, &g);
    if (err == ERR_NONE && g.query[0])
        err = why_set(tx->why, ERR_GROUP_RULE_NODES, "%s is a dynamic group: its nodes follow its query", g.name);
    if (err == ERR_NONE && is_add)
        err = add_nodes(tx, id, nodes, count);
    for (unsigned i = 0; err == ERR_NONE && !is_add && i < count; i++)
        err = tx->db->member_remove(tx->s, id, nodes[i], tx->why);
    for (unsigned i = 0; err == ERR_NONE && *owner && i < count; i++)
        err = sharing_group_changed(tx, id, nodes[i], is_add);
    return err ? err : tx_event_told(tx, EVENT_GROUP, NULL, NULL, id);
}

enum err fleet_group_nodes(struct fleet *f, const char *owner, const char *id, const char *const *nodes, unsigned count,
                           bool is_add, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, change_nodes(&tx, owner, id, nodes, count, is_add));
}

static enum err delete_group(struct tx *tx, const char *owner, const char *id)
{
    struct group g, child;
    struct active **jobs;
    unsigned count = 0;
    enum err err;
    if ((err = own_group(tx, owner, id, &g)) != ERR_NONE ||
        (err = tx->db->group_children(tx->s, id, &child, 1, &count, tx->why)) != ERR_NONE)
        return err;
    if (count > 0)
        return why_set(tx->why, ERR_GROUP_HAS_GROUPS, "%s has groups in it: delete them first", g.name);
    err = active_list(tx, &jobs, &count);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        for (unsigned k = 0; k < jobs[i]->job.group_count; k++)
            if (strcmp(jobs[i]->job.groups[k], id) == 0)
                return why_set(tx->why, ERR_GROUP_IN_USE, "job %s is for group %s: cancel it first", jobs[i]->job.name,
                               g.name);
    if (err == ERR_NONE && *owner)
        err = sharing_group_changed(tx, id, NULL, false);
    if (err == ERR_NONE)
        err = tx->db->group_delete(tx->s, id, tx->why);
    return err ? err : tx_event_told(tx, EVENT_GROUP, NULL, NULL, id);
}

enum err fleet_group_delete(struct fleet *f, const char *owner, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, delete_group(&tx, owner, id));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* A user's own, or one that is shared with them. */
static enum err see_group(struct tx *tx, const char *owner, const char *id, struct group *to)
{
    enum err err = own_group(tx, owner, id, to);
    if (err != ERR_GROUP_NOT_FOUND || *owner == '\0' || !sharing_has_group(tx, owner, id))
        return err;
    return tx_group(tx, id, to);
}

enum err fleet_group_get(struct fleet *f, const char *owner, const char *id, struct group *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, see_group(&tx, owner, id, to));
}

static enum err find_group(struct tx *tx, const char *owner, const char *name, struct group *to)
{
    enum err err = tx->db->group_find_name(tx->s, owner, name, to, tx->why);
    return err == ERR_NOT_FOUND ? why_set(tx->why, ERR_GROUP_NO_NAME, "there is no group named %s", name) : err;
}

enum err fleet_group_find(struct fleet *f, const char *owner, const char *name, struct group *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, find_group(&tx, owner, name, to));
}

enum err fleet_group_list(struct fleet *f, const char *owner, const char *after, struct group *to, unsigned max,
                          unsigned *count, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->group_list(tx.s, owner, after, to, max, count, why));
}

enum err fleet_group_children(struct fleet *f, const char *id, struct group *to, unsigned max, unsigned *count,
                              struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->group_children(tx.s, id, to, max, count, why));
}

struct lister {
    struct node_visitor port;
    const struct query *query;
    struct group_asker *asker;
    time_ms now;
    char (*to)[NODE_ID_SIZE];
    unsigned max, count;
};

static bool take_id(struct node_visitor *v, const struct node *node)
{
    struct lister *l = (struct lister *)v;
    if (query_matches(l->query, node, &l->asker->port, l->now))
        text_copy(l->to[l->count++], NODE_ID_SIZE, node->id);
    return l->count < l->max;
}

static enum err list_members(struct tx *tx, const char *id, const char *after, char (*to)[NODE_ID_SIZE], unsigned max,
                             unsigned *count)
{
    struct group g;
    struct query q;
    struct group_asker asker;
    enum err err = tx_group(tx, id, &g);
    if (err != ERR_NONE || g.query[0] == '\0' || max == 0)
        return err ? err : tx->db->member_list(tx->s, id, after, to, max, count, tx->why);
    if ((err = query_read(&q, g.query, tx->why)) != ERR_NONE)
        return err;
    group_asker_init(&asker, tx);
    struct lister lister = {{take_id}, &q, &asker, tx->now, to, max, 0};
    err = tx->db->node_scan(tx->s, after, &lister.port, tx->why);
    *count = lister.count;
    return err;
}

enum err fleet_group_members(struct fleet *f, const char *id, const char *after, time_ms now, char (*to)[NODE_ID_SIZE],
                             unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    tx.now = now;
    return err ? err : tx_end(&tx, list_members(&tx, id, after, to, max, count));
}
