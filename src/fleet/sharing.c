/*
 * Nodes and groups that a user shares with others.  A request waits on a card until the other one answers; then nodes
 * are mapped to them as secondary users, a group with all its nodes, those that come later too.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define GROUP_PAGE 50

/* --- cards ------------------------------------------------------------------------------------ */

static enum err put_share(struct tx *tx, const struct share *s)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_int(&out, "what", s->what);
    json_out_int(&out, "status", s->status);
    json_out_text(&out, "from", s->from_id);
    json_out_text(&out, "to", s->to_id);
    json_out_bool(&out, "makes_primary", s->makes_primary);
    json_out_int(&out, "at", s->at);
    if (s->metadata[0])
        json_out_raw(&out, "metadata", s->metadata);
    json_out_array(&out, "ids");
    for (unsigned i = 0; i < s->count; i++)
        json_out_text(&out, NULL, s->ids[i]);
    json_out_end_array(&out);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_SHARE, s->id, &text);
    buf_deinit(&text);
    return err;
}

static void read_share(const struct json *doc, struct share *to)
{
    int64_t what = 0, status = 0;
    json_int(json_get(doc, "what"), &what);
    json_int(json_get(doc, "status"), &status);
    json_int(json_get(doc, "at"), &to->at);
    json_bool(json_get(doc, "makes_primary"), &to->makes_primary);
    to->what = (enum share_what)what;
    to->status = (enum share_status)status;
    json_copy_text(doc, "from", to->from_id, sizeof to->from_id);
    json_copy_text(doc, "to", to->to_id, sizeof to->to_id);
    JSON_EACH (id, json_get(doc, "ids"))
        if (to->count < SHARE_MAX)
            text_copy(to->ids[to->count++], sizeof to->ids[0], json_text(id));
    char *metadata = json_is_object(json_get(doc, "metadata")) ? json_dup_text(json_get(doc, "metadata")) : NULL;
    text_copy(to->metadata, sizeof to->metadata, metadata);
    free(metadata);
}

static void name_of(struct tx *tx, const char *user_id, char to[NAME_SIZE])
{
    struct user u;
    text_copy(to, NAME_SIZE, tx->db->user_get_id(tx->s, user_id, &u, NULL) == ERR_NONE ? u.name : "");
}

static enum err no_request(struct tx *tx, const char *id)
{
    return why_set(tx->why, ERR_MAP_REQUEST, "there is no request %.40s", id);
}

/* One that the user has a part in. */
static enum err get_share(struct tx *tx, enum share_what what, const char *user_id, const char *id, struct share *to)
{
    char *text = NULL;
    struct json *doc = NULL;
    *to = (struct share){.count = 0};
    enum err err = strlen(id) <= ID_LEN ? tx_card(tx, CARD_SHARE, id, &text) : ERR_NONE;
    if (err == ERR_NONE && text == NULL)
        return no_request(tx, id);
    if (err == ERR_NONE)
        err = json_parse(bytes_of_text(text), &doc, tx->why);
    free(text);
    if (err != ERR_NONE)
        return err;
    read_share(doc, to);
    json_free(doc);
    text_copy(to->id, sizeof to->id, id);
    if (to->what != what || (strcmp(to->from_id, user_id) != 0 && strcmp(to->to_id, user_id) != 0))
        return no_request(tx, id);
    name_of(tx, to->from_id, to->from_name);
    name_of(tx, to->to_id, to->to_name);
    return ERR_NONE;
}

static enum err drop_share(struct tx *tx, const struct share *s)
{
    char key[CARD_KEY_SIZE];
    card_key(key, s->from_id, s->id);
    enum err err = tx->db->card_delete(tx->s, CARD_SHARED, key, tx->why);
    card_key(key, s->to_id, s->id);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_SHARED, key, tx->why);
    return err ? err : tx->db->card_delete(tx->s, CARD_SHARE, s->id, tx->why);
}

enum err sharing_drop(struct tx *tx, const char *id)
{
    char *text = NULL;
    struct json *doc = NULL;
    struct share s = {.count = 0};
    enum err err = tx_card(tx, CARD_SHARE, id, &text);
    if (err == ERR_NONE && text != NULL && json_parse(bytes_of_text(text), &doc, NULL) == ERR_NONE)
        read_share(doc, &s);
    json_free(doc);
    free(text);
    text_copy(s.id, sizeof s.id, id);
    return err ? err : drop_share(tx, &s);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* Whether the thing is the user's to give. */
static enum err check_owner(struct tx *tx, enum share_what what, const char *user_id, const char *id)
{
    struct own_node own;
    struct group g;
    enum err err;
    if (what == SHARE_GROUPS) {
        err = tx_group(tx, id, &g);
        return err || strcmp(g.owner, user_id) == 0
                   ? err
                   : why_set(tx->why, ERR_GROUP_NOT_FOUND, "there is no group %.40s of yours", id);
    }
    err = mapping_get(tx, user_id, id, &own);
    return err || own.is_primary ? err
                                 : why_set(tx->why, ERR_NOT_THE_USERS, "only the primary user of %.64s shares it", id);
}

static enum err other_user(struct tx *tx, const char *user_id, const char *name, struct user *to)
{
    enum err err = tx->db->user_get(tx->s, name, to, tx->why);
    if (err == ERR_NOT_FOUND || (err == ERR_NONE && !to->is_verified))
        return why_set(tx->why, ERR_NOT_FOUND, "there is no user %.80s", name);
    return err || strcmp(to->id, user_id) != 0 ? err : why_set(tx->why, ERR_BODY, "nobody shares with themselves");
}

static enum err ask(struct tx *tx, const struct user *from, struct share *s)
{
    struct user other;
    char key[CARD_KEY_SIZE];
    enum err err = other_user(tx, from->id, s->to_name, &other);
    for (unsigned i = 0; err == ERR_NONE && i < s->count; i++)
        err = check_owner(tx, s->what, from->id, s->ids[i]);
    if (err != ERR_NONE)
        return err;
    text_copy(s->id, sizeof s->id, id_new(tx->f->entropy).text);
    text_copy(s->from_id, sizeof s->from_id, from->id);
    text_copy(s->from_name, sizeof s->from_name, from->name);
    text_copy(s->to_id, sizeof s->to_id, other.id);
    s->status = SHARE_PENDING;
    s->at = tx->now;
    if ((err = put_share(tx, s)) != ERR_NONE)
        return err;
    card_key(key, s->from_id, s->id);
    if ((err = tx->db->card_put(tx->s, CARD_SHARED, key, bytes_of_text("{}"), tx->why)) != ERR_NONE)
        return err;
    card_key(key, s->to_id, s->id);
    return tx->db->card_put(tx->s, CARD_SHARED, key, bytes_of_text("{}"), tx->why);
}

enum err fleet_share_ask(struct fleet *f, const struct user *from, struct share *share, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, ask(&tx, from, share));
}

struct share_list {
    struct card_visitor v;
    char ids[SHARE_MAX][ID_LEN + 1];
    unsigned count;
};

static bool note_share(struct card_visitor *v, const char *key, const char *text)
{
    struct share_list *l = (struct share_list *)v;
    (void)text;
    text_copy(l->ids[l->count], sizeof l->ids[0], strchr(key, '/') + 1);
    return ++l->count < SHARE_MAX;
}

static enum err list(struct tx *tx, enum share_what what, const char *user_id, bool as_asker, const char *after,
                     struct share *to, unsigned max, unsigned *count)
{
    struct share_list l = {.count = SHARE_MAX};
    char prefix[CARD_KEY_SIZE], from[CARD_KEY_SIZE];
    enum err err = ERR_NONE;
    card_key(prefix, user_id, "");
    card_key(from, user_id, after);
    while (err == ERR_NONE && l.count == SHARE_MAX && *count < max) {
        l = (struct share_list){.v = {note_share}};
        err = tx->db->card_scan(tx->s, CARD_SHARED, prefix, from, &l.v, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < l.count && *count < max; i++) {
            struct share *s = &to[*count];
            card_key(from, user_id, l.ids[i]);
            enum err found = get_share(tx, what, user_id, l.ids[i], s);
            if (found == ERR_NONE && (strcmp(s->from_id, user_id) == 0) == as_asker)
                ++*count;
            err = found == ERR_MAP_REQUEST ? ERR_NONE : found;
        }
    }
    return err;
}

enum err fleet_share_list(struct fleet *f, enum share_what what, const char *user_id, bool as_asker, const char *after,
                          struct share *to, unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, list(&tx, what, user_id, as_asker, after, to, max, count));
}

enum err fleet_share_get(struct fleet *f, enum share_what what, const char *user_id, const char *id, struct share *to,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, get_share(&tx, what, user_id, id, to));
}

/* --- giving ----------------------------------------------------------------------------------- */

static enum err room_for_one(struct tx *tx, const char *node_id)
{
    struct mapping_users users;
    enum err err = mapping_users(tx, node_id, &users);
    return err || users.count < NODE_USERS_MAX
               ? err
               : why_set(tx->why, ERR_TOO_BIG, "node %s has %d users already", node_id, NODE_USERS_MAX);
}

static enum err give_node(struct tx *tx, const struct share *s, const char *node_id)
{
    enum err err = check_owner(tx, SHARE_NODES, s->from_id, node_id); /* it may have gone since */
    if (err == ERR_NONE)
        err = room_for_one(tx, node_id);
    if (err == ERR_NONE)
        err = mapping_put(tx, s->to_id, node_id, s->makes_primary, "");
    if (err == ERR_NONE && s->makes_primary)
        err = mapping_put(tx, s->from_id, node_id, false, "");
    return err ? err : tx_event(tx, EVENT_NODE, node_id, NULL, NULL);
}

/* A node that the user has anyway stays as it is. */
static enum err give_through_group(struct tx *tx, const char *user_id, const char *group_id, const char *node_id)
{
    struct own_node own;
    enum err err = mapping_get(tx, user_id, node_id, &own);
    if (err != ERR_NOT_THE_USERS)
        return err;
    err = room_for_one(tx, node_id);
    return err ? err : mapping_put(tx, user_id, node_id, false, group_id);
}

static enum err take_through_group(struct tx *tx, const char *user_id, const char *group_id, const char *node_id)
{
    struct own_node own;
    enum err err = mapping_get(tx, user_id, node_id, &own);
    if (err == ERR_NONE && strcmp(own.via, group_id) == 0)
        return mapping_drop(tx, user_id, node_id);
    return err == ERR_NOT_THE_USERS ? ERR_NONE : err;
}

static enum err for_members(struct tx *tx, const char *user_id, const char *group_id,
                            enum err (*act)(struct tx *, const char *, const char *, const char *))
{
    char page[GROUP_PAGE][NODE_ID_SIZE], after[NODE_ID_SIZE] = "";
    unsigned count = GROUP_PAGE;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && count == GROUP_PAGE) {
        err = tx->db->member_list(tx->s, group_id, after, page, GROUP_PAGE, &count, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            err = act(tx, user_id, group_id, page[i]);
            text_copy(after, sizeof after, page[i]);
        }
    }
    return err;
}

static enum err give_group(struct tx *tx, const struct share *s, const char *group_id)
{
    struct group g;
    char key[CARD_KEY_SIZE];
    enum err err = check_owner(tx, SHARE_GROUPS, s->from_id, group_id);
    if (err != ERR_NONE)
        return err;
    if (s->makes_primary) { /* it changes hands, the nodes' users stay who they are */
        if ((err = tx_group(tx, group_id, &g)) != ERR_NONE)
            return err;
        text_copy(g.owner, sizeof g.owner, s->to_id);
        err = tx->db->group_put(tx->s, &g, tx->why);
    }
    const char *other = s->makes_primary ? s->from_id : s->to_id;
    card_key(key, group_id, other);
    if (err == ERR_NONE)
        err = tx->db->card_put(tx->s, CARD_GROUP_USER, key, bytes_of_text("{}"), tx->why);
    card_key(key, other, group_id);
    if (err == ERR_NONE)
        err = tx->db->card_put(tx->s, CARD_USER_SHARED, key, bytes_of_text("{}"), tx->why);
    return err ? err : for_members(tx, s->to_id, group_id, give_through_group);
}

static enum err answer(struct tx *tx, enum share_what what, const char *user_id, const char *id, bool accepts)
{
    struct share s;
    enum err err = get_share(tx, what, user_id, id, &s);
    if (err == ERR_NONE && strcmp(s.to_id, user_id) != 0)
        err = why_set(tx->why, ERR_MAP_REQUEST, "the request is to %s, who has to answer", s.to_name);
    if (err == ERR_NONE && s.status != SHARE_PENDING)
        err = why_set(tx->why, ERR_MAP_REQUEST, "the request was answered already");
    for (unsigned i = 0; err == ERR_NONE && accepts && i < s.count; i++)
        err = what == SHARE_NODES ? give_node(tx, &s, s.ids[i]) : give_group(tx, &s, s.ids[i]);
    s.status = accepts ? SHARE_ACCEPTED : SHARE_DECLINED;
    return err ? err : put_share(tx, &s);
}

enum err fleet_share_answer(struct fleet *f, enum share_what what, const char *user_id, const char *id, bool accepts,
                            time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, answer(&tx, what, user_id, id, accepts));
}

static enum err cancel(struct tx *tx, enum share_what what, const char *user_id, const char *id)
{
    struct share s;
    enum err err = get_share(tx, what, user_id, id, &s);
    if (err == ERR_NONE && strcmp(s.from_id, user_id) != 0)
        err = why_set(tx->why, ERR_MAP_REQUEST, "only %s takes the request back: decline it", s.from_name);
    return err ? err : drop_share(tx, &s);
}

enum err fleet_share_cancel(struct fleet *f, enum share_what what, const char *user_id, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, cancel(&tx, what, user_id, id));
}

/* --- taking back ------------------------------------------------------------------------------ */

static enum err take_group(struct tx *tx, const char *group_id, const char *user_id)
{
    char key[CARD_KEY_SIZE], *text = NULL;
    card_key(key, group_id, user_id);
    enum err err = tx_card(tx, CARD_GROUP_USER, key, &text);
    if (err == ERR_NONE && text == NULL)
        err = why_set(tx->why, ERR_NOT_FOUND, "the group is not shared with that user");
    free(text);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_GROUP_USER, key, tx->why);
    card_key(key, user_id, group_id);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_USER_SHARED, key, tx->why);
    return err ? err : for_members(tx, user_id, group_id, take_through_group);
}

static enum err take_node(struct tx *tx, const char *node_id, const char *user_id)
{
    struct own_node own;
    enum err err = mapping_get(tx, user_id, node_id, &own);
    if (err == ERR_NOT_THE_USERS || (err == ERR_NONE && own.is_primary))
        return why_set(tx->why, ERR_NOT_FOUND, "node %.64s is not shared with that user", node_id);
    return err ? err : mapping_drop(tx, user_id, node_id);
}

static enum err end(struct tx *tx, enum share_what what, const struct user *user, const char *name,
                    const char *const *ids, unsigned count)
{
    struct user other;
    bool is_own = strcmp(name, user->name) == 0;
    enum err err = is_own ? ERR_NONE : other_user(tx, user->id, name, &other);
    const char *loser = is_own ? user->id : other.id;
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        if (!is_own && (err = check_owner(tx, what, user->id, ids[i])) != ERR_NONE)
            return err;
        err = what == SHARE_NODES ? take_node(tx, ids[i], loser) : take_group(tx, ids[i], loser);
    }
    return err;
}

enum err fleet_share_end(struct fleet *f, enum share_what what, const struct user *user, const char *name,
                         const char *const *ids, unsigned count, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, end(&tx, what, user, name, ids, count));
}

/* --- whose it is ------------------------------------------------------------------------------ */

static enum err group_users(struct tx *tx, const char *group_id, struct mapping_users *to)
{
    struct key_list l;
    struct group g;
    *to = (struct mapping_users){.count = 0};
    enum err err = tx_group(tx, group_id, &g);
    if (err != ERR_NONE || (err = tx_keys(tx, CARD_GROUP_USER, group_id, &l)) != ERR_NONE)
        return err;
    text_copy(to->ids[0], sizeof to->ids[0], g.owner);
    to->are_primary[0] = true;
    for (to->count = 1; to->count <= l.count && to->count < NODE_USERS_MAX; to->count++)
        text_copy(to->ids[to->count], sizeof to->ids[0], l.ids[to->count - 1]);
    return ERR_NONE;
}

static enum err users(struct tx *tx, enum share_what what, const char *user_id, const char *id, struct share_users *to)
{
    struct mapping_users l;
    bool is_one = false;
    enum err err = what == SHARE_NODES ? mapping_users(tx, id, &l) : group_users(tx, id, &l);
    to->count = 0;
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        name_of(tx, l.ids[i], to->names[i]);
        to->are_primary[i] = l.are_primary[i];
        is_one |= strcmp(l.ids[i], user_id) == 0;
        to->count++;
    }
    return err || is_one ? err : why_set(tx->why, ERR_NOT_THE_USERS, "%.64s does not belong to user", id);
}

enum err fleet_share_users(struct fleet *f, enum share_what what, const char *user_id, const char *id,
                           struct share_users *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, users(&tx, what, user_id, id, to));
}

static enum err shared_groups(struct tx *tx, const char *user_id, struct group *to, unsigned max, unsigned *count)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_USER_SHARED, user_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count && *count < max; i++)
        err = tx_group(tx, l.ids[i], &to[(*count)++]);
    return err;
}

enum err fleet_shared_groups(struct fleet *f, const char *user_id, struct group *to, unsigned max, unsigned *count,
                             struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, shared_groups(&tx, user_id, to, max, count));
}

bool sharing_has_group(struct tx *tx, const char *user_id, const char *group_id)
{
    char key[CARD_KEY_SIZE], *text = NULL;
    card_key(key, user_id, group_id);
    bool has = tx_card(tx, CARD_USER_SHARED, key, &text) == ERR_NONE && text != NULL;
    free(text);
    return has;
}

enum err sharing_group_changed(struct tx *tx, const char *group_id, const char *node_id, bool is_added)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_GROUP_USER, group_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        if (node_id == NULL)
            err = take_group(tx, group_id, l.ids[i]);
        else
            err = is_added ? give_through_group(tx, l.ids[i], group_id, node_id)
                           : take_through_group(tx, l.ids[i], group_id, node_id);
    }
    return err;
}

enum err sharing_forget_user(struct tx *tx, const char *user_id)
{
    struct key_list groups;
    struct share_list l = {.count = SHARE_MAX};
    struct share s;
    char prefix[CARD_KEY_SIZE];
    enum err err = tx_keys(tx, CARD_USER_SHARED, user_id, &groups);
    for (unsigned i = 0; err == ERR_NONE && i < groups.count; i++)
        err = take_group(tx, groups.ids[i], user_id);
    card_key(prefix, user_id, "");
    while (err == ERR_NONE && l.count > 0) {
        l = (struct share_list){.v = {note_share}};
        err = tx->db->card_scan(tx->s, CARD_SHARED, prefix, "", &l.v, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
            s = (struct share){.count = 0};
            if ((err = get_share(tx, SHARE_NODES, user_id, l.ids[i], &s)) == ERR_MAP_REQUEST)
                err = get_share(tx, SHARE_GROUPS, user_id, l.ids[i], &s);
            if (err == ERR_NONE)
                err = drop_share(tx, &s);
        }
    }
    return err;
}
