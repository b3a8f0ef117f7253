/*
 * Which nodes are whose.  A mapping is kept twice, by node and by user, written together; a request waits until the
 * node brings the same secret (RainMaker's device specification, 3.8), or proves itself by its key.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST_USER "esp-rmaker" /* a node that has forgotten its user names this one, and the secret "failed" */

/* --- mappings --------------------------------------------------------------------------------- */

static void read_mapping(const char *text, struct own_node *to)
{
    struct json *doc;
    int64_t at = 0;
    const char *role;
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return;
    role = json_text(json_get(doc, "role"));
    to->is_primary = role != NULL && strcmp(role, "primary") == 0;
    json_int(json_get(doc, "mapped_at"), &at);
    to->mapped_at = at;
    json_copy_text(doc, "via", to->via, sizeof to->via);
    json_free(doc);
}

enum err mapping_put(struct tx *tx, const char *user_id, const char *node_id, bool is_primary, const char *via)
{
    char by_node[CARD_KEY_SIZE], by_user[CARD_KEY_SIZE], text[160];
    struct bytes card;
    card_key(by_node, node_id, user_id);
    card_key(by_user, user_id, node_id);
    snprintf(text, sizeof text, "{\"role\":\"%s\",\"mapped_at\":%lld,\"via\":\"%s\"}",
             is_primary ? "primary" : "secondary", (long long)tx->now, via);
    card = bytes_of_text(text);
    enum err err = tx->db->card_put(tx->s, CARD_MAP, by_node, card, tx->why);
    return err ? err : tx->db->card_put(tx->s, CARD_MAPPED, by_user, card, tx->why);
}

enum err mapping_drop(struct tx *tx, const char *user_id, const char *node_id)
{
    char by_node[CARD_KEY_SIZE], by_user[CARD_KEY_SIZE];
    card_key(by_node, node_id, user_id);
    card_key(by_user, user_id, node_id);
    enum err err = tx->db->card_delete(tx->s, CARD_MAP, by_node, tx->why);
    return err ? err : tx->db->card_delete(tx->s, CARD_MAPPED, by_user, tx->why);
}

static bool note_user(struct card_visitor *v, const char *key, const char *text)
{
    struct mapping_users *l = (struct mapping_users *)v;
    struct own_node own = {.is_primary = false};
    read_mapping(text, &own);
    text_copy(l->ids[l->count], sizeof l->ids[0], strchr(key, '/') + 1);
    l->are_primary[l->count] = own.is_primary;
    return ++l->count < NODE_USERS_MAX;
}

enum err mapping_users(struct tx *tx, const char *node_id, struct mapping_users *to)
{
    char prefix[CARD_KEY_SIZE];
    *to = (struct mapping_users){.v = {note_user}};
    card_key(prefix, node_id, "");
    return tx->db->card_scan(tx->s, CARD_MAP, prefix, "", &to->v, tx->why);
}

static enum err drop_users(struct tx *tx, const char *node_id)
{
    struct mapping_users l;
    enum err err = mapping_users(tx, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++)
        err = mapping_drop(tx, l.ids[i], node_id);
    return err;
}

static enum err map(struct tx *tx, const char *user_id, const char *node_id)
{
    enum err err;
    if ((err = drop_users(tx, node_id)) != ERR_NONE || (err = mapping_put(tx, user_id, node_id, true, "")) != ERR_NONE)
        return err;
    return tx_event(tx, EVENT_NODE, node_id, NULL, NULL);
}

enum err mapping_get(struct tx *tx, const char *user_id, const char *node_id, struct own_node *to)
{
    char key[CARD_KEY_SIZE], *text;
    *to = (struct own_node){.is_primary = false};
    card_key(key, user_id, node_id);
    enum err err = tx_card(tx, CARD_MAPPED, key, &text);
    if (err == ERR_NONE && text == NULL)
        return why_set(tx->why, ERR_NOT_THE_USERS, "Node does not belong to user");
    if (err == ERR_NONE) {
        text_copy(to->node_id, sizeof to->node_id, node_id);
        read_mapping(text, to);
        free(text);
    }
    return err;
}

/* A primary user who gives a node up gives it up for all whom they let in. */
static enum err unmap_node(struct tx *tx, const char *user_id, const char *node_id)
{
    struct own_node own;
    enum err err = mapping_get(tx, user_id, node_id, &own);
    if (err != ERR_NONE)
        return err == ERR_NOT_THE_USERS ? ERR_NONE : err;
    return own.is_primary ? drop_users(tx, node_id) : mapping_drop(tx, user_id, node_id);
}

static enum err map_node(struct tx *tx, const char *user_id, const char *node_id, bool is_mapped)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    return is_mapped ? map(tx, user_id, node_id) : unmap_node(tx, user_id, node_id);
}

enum err fleet_user_node(struct fleet *f, const char *user_id, const char *node_id, bool is_mapped, time_ms now,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, map_node(&tx, user_id, node_id, is_mapped));
}

enum err fleet_user_node_get(struct fleet *f, const char *user_id, const char *node_id, struct own_node *to,
                             struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, mapping_get(&tx, user_id, node_id, to));
}

enum err fleet_user_has_node(struct fleet *f, const char *user_id, const char *node_id, struct why *why)
{
    struct own_node own;
    return fleet_user_node_get(f, user_id, node_id, &own, why);
}

struct own_list {
    struct card_visitor v;
    struct own_node *to;
    unsigned max, *count;
};

static bool note_own(struct card_visitor *v, const char *key, const char *text)
{
    struct own_list *l = (struct own_list *)v;
    struct own_node *own = &l->to[*l->count];
    *own = (struct own_node){.is_primary = false};
    text_copy(own->node_id, sizeof own->node_id, strchr(key, '/') + 1);
    read_mapping(text, own);
    return ++*l->count < l->max;
}

enum err fleet_user_nodes(struct fleet *f, const char *user_id, const char *after, struct own_node *to, unsigned max,
                          unsigned *count, struct why *why)
{
    struct tx tx;
    struct own_list l = {.v = {note_own}, .to = to, .max = max, .count = count};
    char prefix[CARD_KEY_SIZE], from[CARD_KEY_SIZE];
    *count = 0;
    card_key(prefix, user_id, "");
    card_key(from, user_id, after);
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->card_scan(tx.s, CARD_MAPPED, prefix, from, &l.v, why));
}

enum err mapping_forget_user(struct tx *tx, const char *user_id)
{
    struct own_node page[NODE_USERS_MAX];
    struct group groups[8];
    unsigned count = NODE_USERS_MAX;
    char prefix[CARD_KEY_SIZE];
    enum err err = ERR_NONE;
    card_key(prefix, user_id, "");
    while (err == ERR_NONE && count == NODE_USERS_MAX) {
        struct own_list l = {.v = {note_own}, .to = page, .max = NODE_USERS_MAX, .count = &count};
        count = 0;
        err = tx->db->card_scan(tx->s, CARD_MAPPED, prefix, "", &l.v, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            err = unmap_node(tx, user_id, page[i].node_id);
    }
    for (count = 8; err == ERR_NONE && count == 8;) {
        err = tx->db->group_list(tx->s, user_id, "", groups, 8, &count, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            if ((err = sharing_group_changed(tx, groups[i].id, NULL, false)) == ERR_NONE)
                err = tx->db->group_delete(tx->s, groups[i].id, tx->why);
    }
    if (err == ERR_NONE)
        err = sharing_forget_user(tx, user_id);
    return err ? err : automations_forget_user(tx, user_id);
}

/* --- requests --------------------------------------------------------------------------------- */

struct request {
    char id[ID_LEN + 1], user_id[ID_LEN + 1], node_id[NODE_ID_SIZE], secret[MAP_SECRET_SIZE];
    enum map_status status;
    time_ms until;
};

static enum err put_request(struct tx *tx, const struct request *r)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "user_id", r->user_id);
    json_out_text(&out, "node_id", r->node_id);
    json_out_text(&out, "secret", r->secret);
    json_out_int(&out, "status", r->status);
    json_out_int(&out, "until", r->until);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_MAP_REQUEST, r->id, &text);
    buf_deinit(&text);
    return err;
}

/* ERR_NOT_FOUND, with a story. */
static enum err get_request(struct tx *tx, const char *id, struct request *to)
{
    char *text = NULL;
    struct json *doc = NULL;
    int64_t status = 0, until = 0;
    *to = (struct request){.until = 0};
    enum err err = strlen(id) <= ID_LEN ? tx_card(tx, CARD_MAP_REQUEST, id, &text) : ERR_NONE;
    if (err == ERR_NONE && text == NULL)
        return why_set(tx->why, ERR_MAP_REQUEST, "there is no request %.40s", id);
    if (err == ERR_NONE)
        err = json_parse(bytes_of_text(text), &doc, tx->why);
    free(text);
    if (err != ERR_NONE)
        return err;
    text_copy(to->id, sizeof to->id, id);
    json_copy_text(doc, "user_id", to->user_id, sizeof to->user_id);
    json_copy_text(doc, "node_id", to->node_id, sizeof to->node_id);
    json_copy_text(doc, "secret", to->secret, sizeof to->secret);
    json_int(json_get(doc, "status"), &status);
    json_int(json_get(doc, "until"), &until);
    json_free(doc);
    to->status = (enum map_status)status;
    to->until = until;
    if (to->status == MAP_REQUESTED && tx->now > to->until)
        to->status = MAP_TIMED_OUT;
    return ERR_NONE;
}

static enum err users_request(struct tx *tx, const char *user_id, const char *id, struct request *to)
{
    enum err err = get_request(tx, id, to);
    return err || strcmp(to->user_id, user_id) == 0
               ? err
               : why_set(tx->why, ERR_MAP_REQUEST, "there is no request %.40s", id);
}

static enum err stop_waiting(struct tx *tx, const char *node_id, const char *request_id)
{
    char key[CARD_KEY_SIZE];
    card_key(key, node_id, request_id);
    return tx->db->card_delete(tx->s, CARD_MAP_WAITING, key, tx->why);
}

/* Requests that nobody came back for do not pile up. */
static enum err clear_old(struct tx *tx, const char *node_id)
{
    struct key_list l;
    struct request r;
    enum err err = tx_keys(tx, CARD_MAP_WAITING, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        if (get_request(tx, l.ids[i], &r) == ERR_NONE && r.status == MAP_REQUESTED && l.count < NODE_USERS_MAX)
            continue;
        if ((err = stop_waiting(tx, node_id, l.ids[i])) == ERR_NONE)
            err = tx->db->card_delete(tx->s, CARD_MAP_REQUEST, l.ids[i], tx->why);
    }
    return err;
}

static enum err request(struct tx *tx, struct request *r)
{
    struct node node;
    char key[CARD_KEY_SIZE];
    enum err err;
    if ((err = tx_node(tx, r->node_id, &node)) != ERR_NONE || (err = clear_old(tx, r->node_id)) != ERR_NONE ||
        (err = put_request(tx, r)) != ERR_NONE)
        return err;
    card_key(key, r->node_id, r->id);
    return tx->db->card_put(tx->s, CARD_MAP_WAITING, key, bytes_of_text("{}"), tx->why);
}

static struct request new_request(struct fleet *f, const char *user_id, time_ms until, char request_id[ID_LEN + 1])
{
    struct request r = {.status = MAP_REQUESTED, .until = until};
    text_copy(r.id, sizeof r.id, id_new(f->entropy).text);
    text_copy(r.user_id, sizeof r.user_id, user_id);
    text_copy(request_id, ID_LEN + 1, r.id);
    return r;
}

enum err fleet_map_request(struct fleet *f, const char *user_id, const char *node_id, const char *secret_key,
                           time_ms now, char request_id[ID_LEN + 1], struct why *why)
{
    struct tx tx;
    struct request r = new_request(f, user_id, now + MAP_LIFE_MS, request_id);
    if (!text_copy(r.node_id, sizeof r.node_id, node_id) || !text_copy(r.secret, sizeof r.secret, secret_key) ||
        r.secret[0] == '\0')
        return why_set(why, ERR_BODY, "secret_key must have 1 to %d characters", MAP_SECRET_SIZE - 1);
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, request(&tx, &r));
}

enum err fleet_map_status(struct fleet *f, const char *user_id, const char *request_id, time_ms now,
                          enum map_status *status, struct why *why)
{
    struct tx tx;
    struct request r = {.status = MAP_DISCARDED};
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    tx.now = now;
    err = tx_end(&tx, users_request(&tx, user_id, request_id, &r));
    *status = r.status;
    return err;
}

/* --- by challenge ----------------------------------------------------------------------------- */

enum err fleet_map_challenge(struct fleet *f, const char *user_id, int64_t life_ms, time_ms now,
                             char request_id[ID_LEN + 1], char challenge[MAP_SECRET_SIZE], struct why *why)
{
    struct tx tx;
    uint8_t random[(MAP_SECRET_SIZE - 1) / 2];
    struct request r = new_request(f, user_id, now + life_ms, request_id);
    f->entropy->fill(f->entropy, random, sizeof random);
    hex_encode(r.secret, bytes_of(random, sizeof random));
    text_copy(challenge, MAP_SECRET_SIZE, r.secret);
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, put_request(&tx, &r));
}

/* Open, the user's, and one of a challenge: such a request names no node. */
static enum err open_challenge(struct tx *tx, const char *user_id, const char *request_id, struct request *r)
{
    enum err err = users_request(tx, user_id, request_id, r);
    return err || (r->status == MAP_REQUESTED && r->node_id[0] == '\0')
               ? err
               : why_set(tx->why, ERR_MAP_REQUEST, "the request is over");
}

enum err fleet_map_challenge_get(struct fleet *f, const char *user_id, const char *request_id, time_ms now,
                                 char challenge[MAP_SECRET_SIZE], struct why *why)
{
    struct tx tx;
    struct request r;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    tx.now = now;
    err = tx_end(&tx, open_challenge(&tx, user_id, request_id, &r));
    text_copy(challenge, MAP_SECRET_SIZE, err == ERR_NONE ? r.secret : "");
    return err;
}

static enum err prove(struct tx *tx, const char *user_id, const char *request_id, const char *node_id)
{
    struct request r;
    struct node node;
    enum err err;
    if ((err = open_challenge(tx, user_id, request_id, &r)) != ERR_NONE ||
        (err = tx_node(tx, node_id, &node)) != ERR_NONE)
        return err;
    r.status = MAP_CONFIRMED;
    err = put_request(tx, &r);
    return err ? err : map(tx, user_id, node_id);
}

enum err fleet_map_proved(struct fleet *f, const char *user_id, const char *request_id, const char *node_id,
                          time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, prove(&tx, user_id, request_id, node_id));
}

/* --- the node's word -------------------------------------------------------------------------- */

static enum err confirm(struct tx *tx, const char *node_id, const char *user_id, const char *secret)
{
    struct key_list l;
    struct request r;
    enum err err = tx_keys(tx, CARD_MAP_WAITING, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        if ((err = get_request(tx, l.ids[i], &r)) != ERR_NONE || r.status != MAP_REQUESTED ||
            strcmp(r.user_id, user_id) != 0 || strcmp(r.secret, secret) != 0)
            continue;
        r.status = MAP_CONFIRMED;
        if ((err = put_request(tx, &r)) == ERR_NONE && (err = stop_waiting(tx, node_id, r.id)) == ERR_NONE)
            err = map(tx, user_id, node_id);
        return err;
    }
    return err ? err : why_set(tx->why, ERR_MAP_REQUEST, "node %s names a user who has not asked for it", node_id);
}

static enum err take_mapping(struct tx *tx, const char *node_id, const struct json *doc)
{
    struct node node;
    const char *user_id = json_text(json_get(doc, "user_id")), *secret = json_text(json_get(doc, "secret_key"));
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    if (user_id == NULL || secret == NULL)
        return why_set(tx->why, ERR_FORMAT, "a mapping without user_id or secret_key");
    if (strcmp(user_id, LOST_USER) == 0) { /* reset to factory settings: it has no user any more */
        err = drop_users(tx, node_id);
        return err ? err : tx_event(tx, EVENT_NODE, node_id, NULL, NULL);
    }
    return confirm(tx, node_id, user_id, secret);
}

enum err fleet_on_mapping(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    struct tx tx;
    struct json *doc;
    enum err err = json_parse(payload, &doc, why);
    if (err != ERR_NONE)
        return err;
    if ((err = tx_begin(&tx, f, now, why)) == ERR_NONE)
        err = tx_end(&tx, take_mapping(&tx, node_id, doc));
    json_free(doc);
    return err;
}

/* --- keys ------------------------------------------------------------------------------------- */

enum err fleet_node_key_put(struct fleet *f, const char *node_id, const char *pem, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_put(tx.s, CARD_NODE_KEY, node_id, bytes_of_text(pem), why));
}

enum err fleet_node_key(struct fleet *f, const char *node_id, char **to, struct why *why)
{
    struct tx tx;
    *to = NULL;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx_card(&tx, CARD_NODE_KEY, node_id, to));
}
