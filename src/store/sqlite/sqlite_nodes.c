/* Nodes, groups, users: the nouns that people and nodes bring. */
#include "store/sqlite/nouns.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- nodes ------------------------------------------------------------------------------------ */

static void read_node(struct run *r, struct node *n)
{
    const struct conn *c = r->c;
    struct {
        char *to;
        size_t size;
    } texts[] = {{n->id, sizeof n->id},
                 {n->name, sizeof n->name},
                 {n->fw_version, sizeof n->fw_version},
                 {n->type, sizeof n->type},
                 {n->subtype, sizeof n->subtype},
                 {n->model, sizeof n->model},
                 {n->project_name, sizeof n->project_name},
                 {n->platform, sizeof n->platform},
                 {n->network_id, sizeof n->network_id},
                 {n->address, sizeof n->address},
                 {n->key_digests, sizeof n->key_digests},
                 {n->expected_version, sizeof n->expected_version},
                 {n->tags, sizeof n->tags}};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_get_text(r, texts[i].to, texts[i].size);
    n->secure_version = (uint32_t)db_get_int(r);
    n->slot_bytes = db_get_int(r);
    n->is_astray = db_get_int(r) != 0;
    n->registered_at = db_get_int(r);
    n->activated_at = db_get_int(r);
    n->seen_at = db_get_int(r);
    n->booted_at = db_get_int(r);
    n->presence_at = db_get_int(r);
    n->subscribed_at = db_get_int(r);
    int64_t epoch = db_get_int(r);
    n->is_online = epoch == c->epoch;
    n->is_deactivated = db_get_int(r) != 0;
    db_get_text(r, n->org, sizeof n->org);
    if (epoch != 0 && epoch != c->epoch) {
        n->subscribed_at = 0;
        n->presence_at = c->epoch_at;
    }
}

enum err db_node_get(struct fleet_store *tx, const char *id, struct node *to, struct why *why)
{
    struct run r = db_start(tx, S_NODE_GET);
    db_text(&r, id);
    bool is_found = db_next(&r);
    if (is_found)
        read_node(&r, to);
    return db_finish_one(&r, is_found, why);
}

static enum err write_node(struct fleet_store *tx, enum statement statement, const struct node *n, struct why *why)
{
    struct run r = db_start(tx, statement);
    const char *const texts[] = {
        n->id,       n->name,       n->fw_version, n->type,        n->subtype,          n->model, n->project_name,
        n->platform, n->network_id, n->address,    n->key_digests, n->expected_version, n->tags};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    const int64_t numbers[] = {
        n->secure_version, n->slot_bytes, n->is_astray,   n->registered_at, n->activated_at,
        n->seen_at,        n->booted_at,  n->presence_at, n->subscribed_at, n->is_online ? r.c->epoch : 0,
        n->is_deactivated};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    db_text(&r, n->org);
    return db_execute(&r, why);
}

enum err db_node_put(struct fleet_store *tx, const struct node *n, struct why *why)
{
    enum err err = write_node(tx, S_NODE_UPDATE, n, why);
    if (err != ERR_NONE || sqlite3_changes(conn_of(tx)->db) > 0)
        return err;
    conn_of(tx)->node_count++;
    return write_node(tx, S_NODE_INSERT, n, why);
}

enum err db_node_delete(struct fleet_store *tx, const char *id, struct why *why)
{
    enum err err = db_write_texts(tx, S_NODE_DELETE, id, NULL, why);
    if (err == ERR_NONE)
        conn_of(tx)->node_count -= sqlite3_changes(conn_of(tx)->db);
    return err;
}

enum err db_node_list(struct fleet_store *tx, const char *after, struct node *to, unsigned max, unsigned *count,
                      struct why *why)
{
    struct run r = db_start(tx, S_NODE_LIST);
    db_text(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        read_node(&r, &to[*count]);
    return db_finish(&r, why);
}

enum err db_node_scan(struct fleet_store *tx, const char *after, struct node_visitor *v, struct why *why)
{
    struct node node;
    struct run r = db_start(tx, S_NODE_LIST);
    db_text(&r, after);
    db_int(&r, -1);
    while (db_next(&r)) {
        read_node(&r, &node);
        if (!v->visit(v, &node))
            break;
    }
    return db_finish(&r, why);
}

enum err db_node_count(struct fleet_store *tx, int64_t *count, struct why *why)
{
    (void)why;
    *count = conn_of(tx)->node_count;
    return ERR_NONE;
}

static enum err put_fact(struct fleet_store *tx, const char *name, int64_t value, struct why *why)
{
    struct run r = db_start(tx, S_FACT_PUT);
    db_text(&r, name);
    db_int(&r, value);
    return db_execute(&r, why);
}

enum err db_nodes_all_offline(struct fleet_store *tx, time_ms now, struct why *why)
{
    struct conn *c = conn_of(tx);
    c->epoch++;
    c->epoch_at = now;
    enum err err = put_fact(tx, "epoch", c->epoch, why);
    return err ? err : put_fact(tx, "epoch_at", now, why);
}

enum err db_write_node_count(struct conn *c, struct why *why)
{
    return c->node_count == c->node_count_before ? ERR_NONE : put_fact(&c->port, "nodes", c->node_count, why);
}

static enum err get_fact(struct fleet_store *tx, const char *name, int64_t *to, struct why *why)
{
    struct run r = db_start(tx, S_FACT_GET);
    db_text(&r, name);
    return db_one_number(&r, to, why);
}

enum err db_read_facts(struct conn *c, struct why *why)
{
    enum err err = get_fact(&c->port, "epoch", &c->epoch, why);
    if (err == ERR_NONE)
        err = get_fact(&c->port, "epoch_at", &c->epoch_at, why);
    if (err == ERR_NONE)
        err = get_fact(&c->port, "nodes", &c->node_count, why);
    c->node_count_before = c->node_count;
    return err;
}

/* --- groups ----------------------------------------------------------------------------------- */

static void read_group(struct run *r, struct group *g)
{
    *g = (struct group){.total = 0};
    db_get_text(r, g->id, sizeof g->id);
    db_get_text(r, g->name, sizeof g->name);
    db_get_text(r, g->parent_id, sizeof g->parent_id);
    db_get_text(r, g->type, sizeof g->type);
    db_get_text(r, g->description, sizeof g->description);
    db_get_text(r, g->custom_data, sizeof g->custom_data);
    db_get_text(r, g->query, sizeof g->query);
    db_get_text(r, g->owner, sizeof g->owner);
    g->created_at = db_get_int(r);
    g->total = db_get_int(r);
}

static enum err group_by(struct fleet_store *tx, enum statement statement, const char *key, struct group *to,
                         struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, key);
    bool is_found = db_next(&r);
    if (is_found)
        read_group(&r, to);
    return db_finish_one(&r, is_found, why);
}

enum err db_group_get(struct fleet_store *tx, const char *id, struct group *to, struct why *why)
{
    return group_by(tx, S_GROUP_GET, id, to, why);
}

enum err db_group_find_name(struct fleet_store *tx, const char *owner, const char *name, struct group *to,
                            struct why *why)
{
    struct run r = db_start(tx, S_GROUP_NAME);
    db_text(&r, owner);
    db_text(&r, name);
    bool is_found = db_next(&r);
    if (is_found)
        read_group(&r, to);
    return db_finish_one(&r, is_found, why);
}

enum err db_group_put(struct fleet_store *tx, const struct group *g, struct why *why)
{
    struct run r = db_start(tx, S_GROUP_PUT);
    const char *const texts[] = {g->id,          g->name,        g->parent_id, g->type,
                                 g->description, g->custom_data, g->query,     g->owner};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    db_int(&r, g->created_at);
    conn_of(tx)->store->version++;
    return db_execute(&r, why);
}

enum err db_group_delete(struct fleet_store *tx, const char *id, struct why *why)
{
    conn_of(tx)->store->version++;
    enum err err = db_write_texts(tx, S_MEMBERS_REMOVE, id, NULL, why);
    return err ? err : db_write_texts(tx, S_GROUP_DELETE, id, NULL, why);
}

static enum err read_groups(struct run *r, struct group *to, unsigned max, unsigned *count, struct why *why)
{
    db_int(r, max);
    for (*count = 0; *count < max && db_next(r); ++*count)
        read_group(r, &to[*count]);
    return db_finish(r, why);
}

enum err db_group_list(struct fleet_store *tx, const char *owner, const char *after, struct group *to, unsigned max,
                       unsigned *count, struct why *why)
{
    struct run r = db_start(tx, S_GROUP_LIST);
    db_text(&r, owner);
    db_text(&r, after);
    return read_groups(&r, to, max, count, why);
}

enum err db_group_children(struct fleet_store *tx, const char *id, struct group *to, unsigned max, unsigned *count,
                           struct why *why)
{
    struct run r = db_start(tx, S_GROUP_CHILDREN);
    db_text(&r, id);
    return read_groups(&r, to, max, count, why);
}

static enum err add_to_total(struct fleet_store *tx, const char *group_id, int64_t change, struct why *why)
{
    struct run r = db_start(tx, S_GROUP_TOTAL);
    db_text(&r, group_id);
    db_int(&r, change);
    return db_execute(&r, why);
}

enum err db_member_add(struct fleet_store *tx, const char *group_id, const char *node_id, time_ms now, struct why *why)
{
    struct run r = db_start(tx, S_MEMBER_ADD);
    db_text(&r, group_id);
    db_text(&r, node_id);
    db_int(&r, now);
    conn_of(tx)->store->version++;
    enum err err = db_execute(&r, why);
    return err ? err : add_to_total(tx, group_id, sqlite3_changes(conn_of(tx)->db), why);
}

enum err db_member_remove(struct fleet_store *tx, const char *group_id, const char *node_id, struct why *why)
{
    conn_of(tx)->store->version++;
    enum err err = db_write_texts(tx, S_MEMBER_REMOVE, group_id, node_id, why);
    return err ? err : add_to_total(tx, group_id, -sqlite3_changes(conn_of(tx)->db), why);
}

/* Ids of one column, a page of them: `first` chooses, `after` is where the page before ended. */
enum err db_ids(struct fleet_store *tx, enum statement statement, const char *first, const char *after,
                char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, first);
    db_text(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        db_get_text(&r, to[*count], NODE_ID_SIZE);
    return db_finish(&r, why);
}

enum err db_member_list(struct fleet_store *tx, const char *group_id, const char *after, char (*to)[NODE_ID_SIZE],
                        unsigned max, unsigned *count, struct why *why)
{
    return db_ids(tx, S_MEMBER_LIST, group_id, after, to, max, count, why);
}

enum err db_groups_of_node(struct fleet_store *tx, const char *node_id, struct membership *to, unsigned max,
                           unsigned *count, struct why *why)
{
    struct run r = db_start(tx, S_GROUPS_OF_NODE);
    db_text(&r, node_id);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count) {
        db_get_text(&r, to[*count].group_id, sizeof to[*count].group_id);
        to[*count].joined_at = db_get_int(&r);
    }
    return db_finish(&r, why);
}

/* --- users ------------------------------------------------------------------------------------ */

static void read_user(struct run *r, struct user *u)
{
    db_get_text(r, u->id, sizeof u->id);
    db_get_text(r, u->name, sizeof u->name);
    db_get_text(r, u->password_hash, sizeof u->password_hash);
    db_get_text(r, u->code, sizeof u->code);
    u->role = (enum role)db_get_int(r);
    u->is_verified = db_get_int(r) != 0;
    u->is_disabled = db_get_int(r) != 0;
    u->failures = (unsigned)db_get_int(r);
    u->locked_until = db_get_int(r);
    u->code_until = db_get_int(r);
    u->created_at = db_get_int(r);
    db_get_text(r, u->org, sizeof u->org);
    db_get_text(r, u->scope, sizeof u->scope);
}

static enum err user_by(struct fleet_store *tx, enum statement statement, const char *key, struct user *to,
                        struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, key);
    bool is_found = db_next(&r);
    if (is_found)
        read_user(&r, to);
    return db_finish_one(&r, is_found, why);
}

enum err db_user_list(struct fleet_store *tx, const char *after_name, struct user *to, unsigned max, unsigned *count,
                      struct why *why)
{
    struct run r = db_start(tx, S_USER_LIST);
    db_text(&r, after_name);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        read_user(&r, &to[*count]);
    return db_finish(&r, why);
}

enum err db_user_delete(struct fleet_store *tx, const struct user *user, struct why *why)
{
    return db_write_texts(tx, S_USER_DELETE, user->id, NULL, why);
}

enum err db_user_get(struct fleet_store *tx, const char *name, struct user *to, struct why *why)
{
    return user_by(tx, S_USER_GET, name, to, why);
}

enum err db_user_get_id(struct fleet_store *tx, const char *id, struct user *to, struct why *why)
{
    return user_by(tx, S_USER_GET_ID, id, to, why);
}

enum err db_user_put(struct fleet_store *tx, const struct user *u, struct why *why)
{
    struct run r = db_start(tx, S_USER_PUT);
    db_text(&r, u->id);
    db_text(&r, u->name);
    db_text(&r, u->password_hash);
    db_text(&r, u->code);
    const int64_t numbers[] = {u->role,         u->is_verified, u->is_disabled, u->failures,
                               u->locked_until, u->code_until,  u->created_at};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    db_text(&r, u->org);
    db_text(&r, u->scope);
    return db_execute(&r, why);
}

enum err db_user_count(struct fleet_store *tx, int64_t *count, struct why *why)
{
    struct run r = db_start(tx, S_USER_COUNT);
    return db_one_number(&r, count, why);
}

enum err db_has(struct fleet_store *tx, enum statement statement, const char *a, const char *b, bool *has,
                struct why *why)
{
    struct run r = db_start(tx, statement);
    db_text(&r, a);
    db_text(&r, b);
    *has = db_next(&r);
    return db_finish(&r, why);
}

enum err db_token_put(struct fleet_store *tx, const char *digest, const char *user_id, time_ms expires_at,
                      struct why *why)
{
    struct run r = db_start(tx, S_TOKEN_PUT);
    db_text(&r, digest);
    db_text(&r, user_id);
    db_int(&r, expires_at);
    return db_execute(&r, why);
}

enum err db_token_get(struct fleet_store *tx, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at,
                      struct why *why)
{
    struct run r = db_start(tx, S_TOKEN_GET);
    db_text(&r, digest);
    bool is_found = db_next(&r);
    if (is_found) {
        db_get_text(&r, user_id, ID_LEN + 1);
        *expires_at = db_get_int(&r);
    }
    return db_finish_one(&r, is_found, why);
}

enum err db_token_delete(struct fleet_store *tx, const char *digest, struct why *why)
{
    return db_write_texts(tx, S_TOKEN_DELETE, digest, NULL, why);
}

enum err db_tokens_delete_user(struct fleet_store *tx, const char *user_id, struct why *why)
{
    return db_write_texts(tx, S_TOKENS_DELETE, user_id, NULL, why);
}

/* --- cards ------------------------------------------------------------------------------------ */

enum err db_card_get(struct fleet_store *tx, enum card_kind kind, const char *key, char **to, struct why *why)
{
    struct run r = db_start(tx, S_CARD_GET);
    db_int(&r, kind);
    db_text(&r, key);
    bool is_found = db_next(&r);
    const char *text = is_found ? (const char *)sqlite3_column_text(r.st, 0) : NULL;
    *to = text ? strdup(text) : NULL;
    enum err err = db_finish_one(&r, is_found, why);
    return err == ERR_NONE && *to == NULL ? why_set(why, ERR_NO_MEMORY, "no memory") : err;
}

enum err db_card_put(struct fleet_store *tx, enum card_kind kind, const char *key, struct bytes text, struct why *why)
{
    struct run r = db_start(tx, S_CARD_PUT);
    db_int(&r, kind);
    db_text(&r, key);
    db_text_len(&r, (const char *)text.at, text.len);
    return db_execute(&r, why);
}

enum err db_card_delete(struct fleet_store *tx, enum card_kind kind, const char *key, struct why *why)
{
    struct run r = db_start(tx, S_CARD_DELETE);
    db_int(&r, kind);
    db_text(&r, key);
    return db_execute(&r, why);
}

enum err db_card_scan(struct fleet_store *tx, enum card_kind kind, const char *prefix, const char *after,
                      struct card_visitor *v, struct why *why)
{
    size_t len = strlen(prefix);
    struct run r = db_start(tx, S_CARD_SCAN);
    db_int(&r, kind);
    db_text(&r, prefix);
    db_text(&r, after);
    while (db_next(&r)) {
        const char *key = (const char *)sqlite3_column_text(r.st, 0),
                   *text = (const char *)sqlite3_column_text(r.st, 1);
        if (key == NULL || text == NULL || strncmp(key, prefix, len) != 0 || !v->visit(v, key, text))
            break;
    }
    return db_finish(&r, why);
}
