/* Nodes, groups, users: the nouns that people and nodes bring. */
#include "store/sql/expected.h"
#include "store/sql/nouns.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* --- nodes ------------------------------------------------------------------------------------ */

static bool is_online(const struct sql_conn *c, unsigned broker, int64_t epoch)
{
    return epoch != 0 && epoch == c->epochs[broker];
}

void db_read_node(struct run *r, struct node *n)
{
    const struct sql_conn *c = r->c;
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
    n->is_deactivated = db_get_int(r) != 0;
    db_get_text(r, n->org, sizeof n->org);
    n->broker = (unsigned)db_get_int(r) % BROKERS_MAX;
    n->is_online = is_online(c, n->broker, epoch);
    if (epoch != 0 && !n->is_online) {
        n->subscribed_at = 0;
        n->presence_at = c->epochs_at[n->broker];
    }
}

static struct known_node *find_known(struct sql_conn *c, const char *id)
{
    for (unsigned i = 0; i < PUTS_KNOWN; i++)
        if (strcmp(c->known_nodes[i].id, id) == 0)
            return &c->known_nodes[i];
    return NULL;
}

static void remember(struct sql_conn *c, const char *id, bool is_there)
{
    struct known_node *k = find_known(c, id);
    if (k == NULL)
        k = &c->known_nodes[c->known_nodes_next++ % PUTS_KNOWN];
    text_copy(k->id, sizeof k->id, id);
    k->is_there = is_there;
}

enum err db_node_get(struct fleet_store *tx, const char *id, struct node *to, struct why *why)
{
    bool is_found;
    enum err err = ERR_NONE;
    if (!expected_node(conn_of(tx)->expected, id, to, &is_found)) {
        struct run r = db_start(tx, S_NODE_GET);
        db_text(&r, id);
        is_found = db_next(&r);
        if (is_found)
            db_read_node(&r, to);
        err = db_finish(&r, why);
    }
    if (err != ERR_NONE)
        return err;
    remember(conn_of(tx), id, is_found);
    return is_found ? ERR_NONE : ERR_NOT_FOUND;
}

/* `count`: as of db_execute_counted; NULL: nobody asks. */
static enum err write_node(struct fleet_store *tx, enum statement statement, const struct node *n, int64_t *count,
                           struct why *why)
{
    struct run r = db_start(tx, statement);
    const char *const texts[] = {
        n->id,       n->name,       n->fw_version, n->type,        n->subtype,          n->model, n->project_name,
        n->platform, n->network_id, n->address,    n->key_digests, n->expected_version, n->tags};
    for (size_t i = 0; i < COUNT(texts); i++)
        db_text(&r, texts[i]);
    const int64_t numbers[] = {
        n->secure_version, n->slot_bytes, n->is_astray,   n->registered_at, n->activated_at,
        n->seen_at,        n->booted_at,  n->presence_at, n->subscribed_at, n->is_online ? r.c->epochs[n->broker] : 0,
        n->is_deactivated};
    for (size_t i = 0; i < COUNT(numbers); i++)
        db_int(&r, numbers[i]);
    db_text(&r, n->org);
    db_int(&r, n->broker);
    return count ? db_execute_counted(&r, count, why) : db_execute(&r, why);
}

enum err db_node_put(struct fleet_store *tx, const struct node *n, struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    const struct known_node *k = find_known(c, n->id);
    int64_t count = k != NULL && k->is_there;
    enum err err = ERR_NONE;
    if (k == NULL || k->is_there)
        err = write_node(tx, S_NODE_UPDATE, n, k == NULL ? &count : NULL, why);
    if (err == ERR_NONE && count == 0) {
        c->node_count++;
        err = write_node(tx, S_NODE_INSERT, n, NULL, why);
    }
    if (c->expected != NULL)
        expected_put_node(c->expected, n);
    remember(c, n->id, true);
    return err;
}

enum err db_node_delete(struct fleet_store *tx, const char *id, struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    int64_t count;
    struct run r = db_start(tx, S_NODE_DELETE);
    db_text(&r, id);
    enum err err = db_execute_counted(&r, &count, why);
    c->node_count -= count;
    if (c->expected != NULL)
        expected_delete_node(c->expected, id);
    remember(c, id, false);
    return err;
}

enum err db_node_list(struct fleet_store *tx, const char *after, struct node *to, unsigned max, unsigned *count,
                      struct why *why)
{
    struct run r = db_start(tx, S_NODE_LIST);
    db_text(&r, after);
    db_int(&r, max);
    for (*count = 0; *count < max && db_next(&r); ++*count)
        db_read_node(&r, &to[*count]);
    return db_finish(&r, why);
}

#define SCAN_PAGE 256

/* Page by page: what is visited may be asked about meanwhile, and a million nodes are never in memory. */
enum err db_node_scan(struct fleet_store *tx, const char *after, struct node_visitor *v, struct why *why)
{
    struct node *page = calloc(SCAN_PAGE, sizeof *page);
    char from[NODE_ID_SIZE];
    unsigned count = SCAN_PAGE;
    bool is_stopped = false;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    text_copy(from, sizeof from, after);
    while (err == ERR_NONE && count == SCAN_PAGE && !is_stopped) {
        err = db_node_list(tx, from, page, SCAN_PAGE, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count && !is_stopped; i++)
            is_stopped = !v->visit(v, &page[i]);
        if (err == ERR_NONE && count > 0)
            text_copy(from, sizeof from, page[count - 1].id);
    }
    free(page);
    return err;
}

enum err db_nodes_alike(struct fleet_store *tx, const char *org, struct alike_visitor *v, struct why *why)
{
    struct run r = db_start(tx, S_NODES_ALIKE);
    db_int(&r, org == NULL);
    db_text(&r, org ? org : "");
    while (db_next(&r)) {
        struct node n = {.id = ""};
        db_get_text(&r, n.fw_version, sizeof n.fw_version);
        db_get_text(&r, n.model, sizeof n.model);
        db_get_text(&r, n.project_name, sizeof n.project_name);
        db_get_text(&r, n.platform, sizeof n.platform);
        int64_t epoch = db_get_int(&r);
        n.broker = (unsigned)db_get_int(&r) % BROKERS_MAX;
        n.is_online = is_online(r.c, n.broker, epoch);
        n.is_deactivated = db_get_int(&r) != 0;
        n.is_astray = db_get_int(&r) != 0;
        n.activated_at = db_get_int(&r);
        v->visit(v, &n, db_get_int(&r));
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

enum err db_nodes_all_offline(struct fleet_store *tx, unsigned broker, time_ms now, struct why *why)
{
    struct sql_conn *c = conn_of(tx);
    char epoch[24] = "epoch", epoch_at[24] = "epoch_at";
    if (broker > 0) {
        snprintf(epoch, sizeof epoch, "epoch:%u", broker);
        snprintf(epoch_at, sizeof epoch_at, "epoch_at:%u", broker);
    }
    c->epochs[broker]++;
    c->epochs_at[broker] = now;
    enum err err = put_fact(tx, epoch, c->epochs[broker], why);
    return err ? err : put_fact(tx, epoch_at, now, why);
}

enum err db_write_node_count(struct sql_conn *c, struct why *why)
{
    return c->node_count == c->node_count_before ? ERR_NONE : put_fact(&c->port, "nodes", c->node_count, why);
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
    sql_changed(tx);
    return db_execute(&r, why);
}

enum err db_group_delete(struct fleet_store *tx, const char *id, struct why *why)
{
    sql_changed(tx);
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
    sql_changed(tx);
    int64_t count;
    enum err err = db_execute_counted(&r, &count, why);
    return err || count == 0 ? err : add_to_total(tx, group_id, count, why);
}

enum err db_member_remove(struct fleet_store *tx, const char *group_id, const char *node_id, struct why *why)
{
    sql_changed(tx);
    struct run r = db_start(tx, S_MEMBER_REMOVE);
    db_text(&r, group_id);
    db_text(&r, node_id);
    int64_t count;
    enum err err = db_execute_counted(&r, &count, why);
    return err || count == 0 ? err : add_to_total(tx, group_id, -count, why);
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
    conn_of(tx)->changes_people = true;
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
    conn_of(tx)->changes_people = true;
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
    conn_of(tx)->changes_people = true;
    return db_write_texts(tx, S_TOKEN_DELETE, digest, NULL, why);
}

enum err db_tokens_delete_user(struct fleet_store *tx, const char *user_id, struct why *why)
{
    conn_of(tx)->changes_people = true;
    return db_write_texts(tx, S_TOKENS_DELETE, user_id, NULL, why);
}

/* --- cards ------------------------------------------------------------------------------------ */

enum err db_card_get(struct fleet_store *tx, enum card_kind kind, const char *key, char **to, struct why *why)
{
    struct run r = db_start(tx, S_CARD_GET);
    db_int(&r, kind);
    db_text(&r, key);
    bool is_found = db_next(&r);
    const char *text = is_found ? r.c->driver->get_text(&r, 0) : NULL;
    *to = text ? strdup(text) : NULL;
    enum err err = db_finish_one(&r, is_found, why);
    return err == ERR_NONE && *to == NULL ? why_set(why, ERR_NO_MEMORY, "no memory") : err;
}

static void note_card(struct fleet_store *tx, enum card_kind kind)
{
    conn_of(tx)->changes_people |= kind == CARD_TOKEN || kind == CARD_ORG;
    conn_of(tx)->changes_gate |= kind == CARD_AUTHORITY || kind == CARD_DENIED;
}

enum err db_card_put(struct fleet_store *tx, enum card_kind kind, const char *key, struct bytes text, struct why *why)
{
    note_card(tx, kind);
    struct run r = db_start(tx, S_CARD_PUT);
    db_int(&r, kind);
    db_text(&r, key);
    db_text_len(&r, (const char *)text.at, text.len);
    return db_execute(&r, why);
}

enum err db_card_delete(struct fleet_store *tx, enum card_kind kind, const char *key, struct why *why)
{
    note_card(tx, kind);
    struct run r = db_start(tx, S_CARD_DELETE);
    db_int(&r, kind);
    db_text(&r, key);
    return db_execute(&r, why);
}

#define CARD_PAGE 200

/* Page by page, for a table of them may be long. */
enum err db_card_scan(struct fleet_store *tx, enum card_kind kind, const char *prefix, const char *after,
                      struct card_visitor *v, struct why *why)
{
    size_t len = strlen(prefix);
    char from[CARD_KEY_SIZE], last[CARD_KEY_SIZE];
    unsigned count = CARD_PAGE;
    bool is_stopped = false;
    enum err err = ERR_NONE;
    text_copy(last, sizeof last, after);
    while (err == ERR_NONE && count == CARD_PAGE && !is_stopped) {
        text_copy(from, sizeof from, last);
        struct run r = db_start(tx, S_CARD_SCAN);
        db_int(&r, kind);
        db_text(&r, prefix);
        db_text(&r, from);
        db_int(&r, CARD_PAGE);
        for (count = 0; !is_stopped && db_next(&r); count++) {
            const char *key = r.c->driver->get_text(&r, 0), *text = r.c->driver->get_text(&r, 1);
            is_stopped = key == NULL || text == NULL || strncmp(key, prefix, len) != 0;
            if (!is_stopped) {
                text_copy(last, sizeof last, key);
                is_stopped = !v->visit(v, key, text);
            }
        }
        err = db_finish(&r, why);
    }
    return err;
}
