#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err node_add(struct tx *tx, const char *id, struct node *to)
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
    return err ? err : tx_end(&tx, node_add(&tx, id, to));
}

static enum err change_tag(struct tx *tx, struct node *node, const char *tag, bool is_add);

static bool take_given(char *to, size_t size, const char *from)
{
    return from == NULL || *from == '\0' || text_copy(to, size, from);
}

static enum err register_node(struct tx *tx, const struct node_order *o, struct node *to)
{
    enum err err = tx->db->node_get(tx->s, o->id, to, tx->why);
    if (err == ERR_NOT_FOUND)
        err = node_add(tx, o->id, to);
    else if (err == ERR_NONE && !o->may_exist)
        return why_set(tx->why, ERR_EXISTS, "node %s exists already", o->id);
    if (err != ERR_NONE)
        return err;
    if (!take_given(to->type, sizeof to->type, o->type) || !take_given(to->model, sizeof to->model, o->model) ||
        !take_given(to->subtype, sizeof to->subtype, o->subtype))
        return why_set(tx->why, ERR_TOO_BIG, "type, model or subtype of node %s is longer than %zu characters", o->id,
                       sizeof to->type - 1);
    for (unsigned i = 0; err == ERR_NONE && i < o->tag_count; i++)
        err = change_tag(tx, to, o->tags[i], true);
    if (err == ERR_NONE)
        err = tx->db->node_put(tx->s, to, tx->why);
    if (err == ERR_NONE && o->key_pem != NULL)
        err = tx->db->card_put(tx->s, CARD_NODE_KEY, o->id, bytes_of_text(o->key_pem), tx->why);
    if (err == ERR_NONE && o->group_id != NULL && *o->group_id)
        err = tx->db->member_add(tx->s, o->group_id, o->id, tx->now, tx->why);
    return err;
}

enum err fleet_node_register(struct fleet *f, const struct node_order *order, time_ms now, struct node *to,
                             struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, register_node(&tx, order, to));
}

enum err fleet_node_count(struct fleet *f, int64_t *count, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->node_count(tx.s, count, why));
}

enum err fleet_node_get(struct fleet *f, const char *id, struct node *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx_node(&tx, id, to));
}

enum err fleet_node_list(struct fleet *f, const char *after, struct node *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->node_list(tx.s, after, to, max, count, why));
}

/* --- by query --------------------------------------------------------------------------------- */

struct finder {
    struct node_visitor port;
    const struct query *query;
    struct group_asker *asker;
    time_ms now;
    struct node *to;
    unsigned max, count;
};

static bool take_match(struct node_visitor *v, const struct node *node)
{
    struct finder *f = (struct finder *)v;
    if (query_matches(f->query, node, &f->asker->port, f->now))
        f->to[f->count++] = *node;
    return f->count < f->max;
}

enum err fleet_node_find(struct fleet *f, const char *query, const char *after, time_ms now, struct node *to,
                         unsigned max, unsigned *count, struct why *why)
{
    struct query q;
    struct tx tx;
    struct group_asker asker;
    *count = 0;
    enum err err = query_read(&q, query, why);
    if (err == ERR_NONE)
        err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    tx.now = now;
    group_asker_init(&asker, &tx);
    struct finder finder = {{take_match}, &q, &asker, now, to, max, 0};
    err = max > 0 ? tx.db->node_scan(tx.s, after, &finder.port, why) : ERR_NONE;
    *count = finder.count;
    return tx_end(&tx, err);
}

/* --- tags ------------------------------------------------------------------------------------- */

static bool has_tag(const char *tags, const char *tag)
{
    size_t len = strlen(tag);
    for (const char *at = tags; *at;) {
        size_t line = strcspn(at, "\n");
        if (line == len && memcmp(at, tag, len) == 0)
            return true;
        at += line + (at[line] == '\n');
    }
    return false;
}

static void drop_tag(char *tags, const char *tag)
{
    size_t len = strlen(tag);
    for (char *at = tags; *at;) {
        size_t line = strcspn(at, "\n"), whole = line + (at[line] == '\n');
        if (line == len && memcmp(at, tag, len) == 0)
            memmove(at, at + whole, strlen(at + whole) + 1);
        else
            at += whole;
    }
}

static enum err change_tag(struct tx *tx, struct node *node, const char *tag, bool is_add)
{
    size_t len = strlen(tag), used = strlen(node->tags);
    if (len < 3 || strchr(tag, ':') == NULL || strchr(tag, '\n') != NULL || tag[0] == ':')
        return why_set(tx->why, ERR_NODE_TAGS, "tag \"%.60s\" is no key:value", tag);
    if (!is_add) {
        drop_tag(node->tags, tag);
        return ERR_NONE;
    }
    if (has_tag(node->tags, tag))
        return ERR_NONE;
    if (used + len + 2 > sizeof node->tags)
        return why_set(tx->why, ERR_NODE_TAGS, "the tags of a node have %d characters at most", TAGS_SIZE - 1);
    snprintf(node->tags + used, sizeof node->tags - used, "%s\n", tag);
    return ERR_NONE;
}

static enum err change_tags(struct tx *tx, const char *id, const char *const *tags, unsigned count, bool is_add,
                            struct node *to)
{
    enum err err = tx_node(tx, id, to);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = change_tag(tx, to, tags[i], is_add);
    if (err == ERR_NONE)
        err = tx->db->node_put(tx->s, to, tx->why);
    return err ? err : tx_event(tx, EVENT_NODE, id, NULL, NULL);
}

enum err fleet_node_tags(struct fleet *f, const char *id, const char *const *tags, unsigned count, bool is_add,
                         struct node *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, change_tags(&tx, id, tags, count, is_add, to));
}

/* --- config ----------------------------------------------------------------------------------- */

enum err fleet_node_config(struct fleet *f, const char *id, char **to, struct why *why)
{
    struct tx tx;
    struct node node;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    err = tx_node(&tx, id, &node);
    return tx_end(&tx, err ? err : tx_card(&tx, CARD_CONFIG, id, to));
}

/* As it came, since people read it; bytes that are no UTF-8 would spoil every answer that shows it. */
static enum err keep_config(struct tx *tx, const char *node_id, struct bytes payload)
{
    char *copy = NULL;
    if (!json_is_utf8(payload)) {
        if ((copy = strndup((const char *)payload.at, payload.len)) == NULL)
            return why_set(tx->why, ERR_NO_MEMORY, "no memory");
        for (char *at = copy; *at; at++)
            *at = (signed char)*at < 0 ? '?' : *at;
        payload = bytes_of_text(copy);
    }
    enum err err = tx->db->card_put(tx->s, CARD_CONFIG, node_id, payload, tx->why);
    free(copy);
    return err;
}

static enum err take_config(struct tx *tx, const char *node_id, const struct node_description *d, struct bytes payload)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    bool is_changed = strcmp(node.fw_version, d->fw_version) != 0 || node.activated_at == 0;
    memcpy(node.name, d->name, sizeof node.name);
    memcpy(node.fw_version, d->fw_version, sizeof node.fw_version);
    memcpy(node.type, d->type, sizeof node.type);
    memcpy(node.subtype, d->subtype, sizeof node.subtype);
    memcpy(node.model, d->model, sizeof node.model);
    memcpy(node.project_name, d->project_name, sizeof node.project_name);
    memcpy(node.platform, d->platform, sizeof node.platform);
    memcpy(node.network_id, d->network_id, sizeof node.network_id);
    memcpy(node.key_digests, d->key_digests, sizeof node.key_digests);
    node.secure_version = d->secure_version;
    node.slot_bytes = d->slot_bytes;
    node.booted_at = tx->now;
    if (node.activated_at == 0)
        node.activated_at = tx->now;
    if ((err = node_mark_seen(tx, &node, true)) != ERR_NONE || (err = keep_config(tx, node_id, payload)) != ERR_NONE ||
        (is_changed && (err = tx_event(tx, EVENT_NODE, node_id, NULL, NULL)) != ERR_NONE))
        return err;
    return node_settle(tx, &node, false);
}

enum err fleet_on_config(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    struct node_description d;
    struct tx tx;
    enum err err = node_description_read(&d, payload, why);
    if (err == ERR_NONE)
        err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_config(&tx, node_id, &d, payload));
}

/* --- fetch ------------------------------------------------------------------------------------ */

static enum err take_version(struct tx *tx, struct node *node, const char *fw_version, const char *network_id)
{
    bool is_changed = (fw_version[0] && strcmp(fw_version, node->fw_version) != 0) ||
                      (network_id[0] && strcmp(network_id, node->network_id) != 0);
    if (fw_version[0])
        text_copy(node->fw_version, sizeof node->fw_version, fw_version);
    if (network_id[0])
        text_copy(node->network_id, sizeof node->network_id, network_id);
    enum err err = node_mark_seen(tx, node, is_changed);
    return err ? err : node_settle(tx, node, true);
}

static enum err take_fetch(struct tx *tx, const char *node_id, const struct fetch_message *m)
{
    struct node node;
    struct chosen chosen;
    enum err err;
    if (m->node_id[0] && strcmp(m->node_id, node_id) != 0)
        return why_set(tx->why, ERR_FORMAT, "otafetch of node %s names node %s", node_id, m->node_id);
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE ||
        (err = take_version(tx, &node, m->fw_version, m->network_id)) != ERR_NONE ||
        (err = offer_find(tx, &node, ON_FETCH, &chosen)) != ERR_NONE)
        return err;
    return chosen.active != NULL ? offer_send(tx, node_id, chosen.job_id) : ERR_NONE;
}

enum err fleet_on_fetch(struct fleet *f, const char *node_id, const struct fetch_message *m, time_ms now,
                        struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_fetch(&tx, node_id, m));
}

/* What an answer may tell of a job: that it is there, or that the node has to wait. */
static enum err fetch_now(struct tx *tx, const char *node_id, struct job *job, struct image *image,
                          struct verdict *verdict, enum err *told)
{
    struct node node;
    struct chosen chosen;
    struct active *a;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = take_version(tx, &node, "", "")) != ERR_NONE ||
        (err = offer_find(tx, &node, ON_FETCH, &chosen)) != ERR_NONE)
        return err;
    *verdict = chosen.verdict;
    bool is_wait = decision_consequence(chosen.verdict.decision) == WAITS;
    if (chosen.active == NULL && !is_wait) {
        *told = chosen.verdict.decision == DECIDE_NO_NETWORK ? ERR_NO_NETWORK : ERR_NO_JOB;
        return ERR_NONE;
    }
    if ((err = active_find(tx, chosen.job_id, &a)) == ERR_NONE) {
        *job = a->job;
        *image = a->has_image ? *active_image(a, &node) : a->image;
    }
    return err;
}

enum err fleet_fetch_now(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                         struct verdict *verdict, struct why *why)
{
    struct tx tx;
    enum err told = ERR_NONE, err = tx_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, fetch_now(&tx, node_id, job, image, verdict, &told));
    return err || told == ERR_NONE ? err : why_set(why, told, "there is no update for node %s now", node_id);
}

/* --- presence --------------------------------------------------------------------------------- */

static enum err set_presence(struct tx *tx, unsigned broker, const char *node_id, bool is_online)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    /* The end of a connection that another one, begun since, has replaced. */
    if (!is_online && node.is_online && (node.broker != broker || tx->now < node.subscribed_at))
        return ERR_NONE;
    bool is_changed = node.is_online != is_online;
    node.broker = broker;
    node.is_online = is_online;
    node.seen_at = tx->now;
    if (!is_online)
        node.subscribed_at = 0;
    if (is_changed)
        node.presence_at = tx->now;
    err = tx->db->node_put(tx->s, &node, tx->why);
    return err == ERR_NONE && is_changed ? tx_event(tx, EVENT_NODE, node_id, NULL, NULL) : err;
}

enum err fleet_on_presence(struct fleet *f, unsigned broker, const char *node_id, bool is_online, time_ms at,
                           struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, at, why);
    return err ? err : tx_end(&tx, set_presence(&tx, broker, node_id, is_online));
}

/* A document sent while the node was away is lost (clean session), so a node that begins to listen is told of pending
 * work at once; its own fetch, which follows within seconds of a boot, then finds it offered on this connection. */
static enum err take_subscription(struct tx *tx, unsigned broker, const char *node_id, const char *address)
{
    struct node node;
    struct chosen chosen;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    node.subscribed_at = tx->now;
    node.broker = broker;
    if (address != NULL && *address)
        text_copy(node.address, sizeof node.address, address);
    if ((err = node_mark_seen(tx, &node, true)) != ERR_NONE ||
        (err = offer_find(tx, &node, ON_SUBSCRIBE, &chosen)) != ERR_NONE)
        return err;
    return chosen.active != NULL ? offer_send(tx, node_id, chosen.job_id) : ERR_NONE;
}

enum err fleet_on_subscribed(struct fleet *f, unsigned broker, const char *node_id, const char *address, time_ms at,
                             struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, at, why);
    return err ? err : tx_end(&tx, take_subscription(&tx, broker, node_id, address));
}
