/* Users: who they are, what they may, how they prove it. */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"
#include "fleet/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_FREE 5         /* wrong passwords without a wait */
#define LOCK_FIRST_MS 60000LL   /* then a minute, twice as long each time, */
#define LOCK_MOST_MS  3600000LL /* an hour at most */
#define CODE_LIFE_MS  (24LL * 3600 * 1000)

static enum err people_begin(struct tx *tx, struct fleet *f, time_ms now, struct why *why)
{
    enum err err = tx_begin(tx, f, now, why);
    tx->changes_people = true;
    return err;
}

enum err fleet_user_count(struct fleet *f, int64_t *count, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->user_count(tx.s, count, why));
}

static enum err add_user(struct tx *tx, const char *name, const char *hash, enum role role, struct user *to)
{
    enum err err = tx->db->user_get(tx->s, name, to, tx->why);
    if (err == ERR_NONE)
        return why_set(tx->why, ERR_USER_EXISTS, "user %s exists already", name);
    if (err != ERR_NOT_FOUND)
        return err;
    *to = (struct user){.role = role, .is_verified = true, .created_at = tx->now};
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    if (!text_copy(to->name, sizeof to->name, name) || !text_copy(to->password_hash, sizeof to->password_hash, hash))
        return why_set(tx->why, ERR_TOO_BIG, "user name is longer than %d characters", NAME_SIZE - 1);
    return tx->db->user_put(tx->s, to, tx->why);
}

enum err fleet_user_add(struct fleet *f, const char *name, const char *hash, enum role role, time_ms now,
                        struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add_user(&tx, name, hash, role, to));
}

enum err fleet_user_get(struct fleet *f, const char *name, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->user_get(tx.s, name, to, why));
}

enum err fleet_user_get_id(struct fleet *f, const char *id, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->user_get_id(tx.s, id, to, why));
}

enum err fleet_token_add(struct fleet *f, const char *digest, const char *user_id, time_ms expires_at, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->token_put(tx.s, digest, user_id, expires_at, why));
}

static enum err token_user(struct tx *tx, const char *digest, struct user *to)
{
    char user_id[ID_LEN + 1];
    time_ms expires_at;
    enum err err = tx->db->token_get(tx->s, digest, user_id, &expires_at, tx->why);
    if (err == ERR_NONE && expires_at > tx->now)
        err = tx->db->user_get_id(tx->s, user_id, to, tx->why);
    else if (err == ERR_NONE)
        err = ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND ? why_set(tx->why, ERR_REFRESH, "refresh token is unknown or expired, log in again")
                                : err;
}

enum err fleet_token_user(struct fleet *f, const char *digest, time_ms now, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    tx.now = now;
    return tx_end(&tx, token_user(&tx, digest, to));
}

enum err fleet_token_drop(struct fleet *f, const char *digest, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->token_delete(tx.s, digest, why));
}

enum err fleet_tokens_drop(struct fleet *f, const char *user_id, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->tokens_delete_user(tx.s, user_id, why));
}

/* --- proving ---------------------------------------------------------------------------------- */

static void count_failure(struct user *u, time_ms now)
{
    u->failures++;
    if (u->failures < FAILURES_FREE)
        return;
    unsigned doublings = u->failures - FAILURES_FREE;
    int64_t wait = doublings < 16 ? LOCK_FIRST_MS << doublings : LOCK_MOST_MS;
    u->locked_until = now + (wait < LOCK_MOST_MS ? wait : LOCK_MOST_MS);
}

static enum err note_login(struct tx *tx, const char *name, bool is_right)
{
    struct user u;
    enum err err = tx->db->user_get(tx->s, name, &u, tx->why);
    if (err != ERR_NONE)
        return err == ERR_NOT_FOUND ? ERR_NONE : err;
    if (is_right && u.failures == 0)
        return ERR_NONE;
    if (is_right)
        u.failures = 0, u.locked_until = 0;
    else
        count_failure(&u, tx->now);
    return tx->db->user_put(tx->s, &u, tx->why);
}

enum err fleet_user_tried(struct fleet *f, const char *name, bool is_right, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, note_login(&tx, name, is_right));
}

static void make_code(struct fleet *f, struct user *u, time_ms now)
{
    uint32_t number = 0;
    f->entropy->fill(f->entropy, &number, sizeof number);
    snprintf(u->code, sizeof u->code, "%06u", (unsigned)(number % 1000000));
    u->code_until = now + CODE_LIFE_MS;
}

static enum err sign_up(struct tx *tx, const char *name, const char *hash, struct user *to)
{
    enum err err = tx->db->user_get(tx->s, name, to, tx->why);
    if (err == ERR_NONE && to->is_verified)
        return why_set(tx->why, ERR_USER_EXISTS, "user %s exists already", name);
    if (err == ERR_NOT_FOUND && (err = add_user(tx, name, hash, ROLE_USER, to)) != ERR_NONE)
        return err;
    if (err != ERR_NONE)
        return err;
    text_copy(to->password_hash, sizeof to->password_hash, hash);
    to->is_verified = false;
    make_code(tx->f, to, tx->now);
    return tx->db->user_put(tx->s, to, tx->why);
}

enum err fleet_user_sign_up(struct fleet *f, const char *name, const char *hash, time_ms now, struct user *to,
                            struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, sign_up(&tx, name, hash, to));
}

/* What is wrong with a code is written too, so the answer comes beside the transaction's. */
static enum err check_code(struct tx *tx, struct user *u, const char *code, enum err *told)
{
    if (tx->now < u->locked_until) {
        *told = why_set(tx->why, ERR_CODE_TRIES, "too many tries: wait a while");
        return ERR_NONE;
    }
    if (u->code[0] != '\0' && tx->now <= u->code_until && strcmp(u->code, code) == 0) {
        u->code[0] = '\0';
        u->failures = 0;
        u->is_verified = true;
        return ERR_NONE;
    }
    count_failure(u, tx->now);
    *told = why_set(tx->why, ERR_CODE, "the verification code is wrong or too old");
    return ERR_NONE;
}

static enum err use_code(struct tx *tx, const char *name, const char *code, const char *hash, enum err *told)
{
    struct user u;
    enum err err = tx->db->user_get(tx->s, name, &u, tx->why);
    if (err == ERR_NOT_FOUND)
        return why_set(tx->why, ERR_CODE, "the verification code is wrong or too old");
    if (err == ERR_NONE && hash == NULL && u.is_verified)
        return why_set(tx->why, ERR_VERIFIED, "user %s is verified already", name);
    if (err == ERR_NONE)
        err = check_code(tx, &u, code, told);
    if (err == ERR_NONE && *told == ERR_NONE && hash != NULL) {
        text_copy(u.password_hash, sizeof u.password_hash, hash);
        err = tx->db->tokens_delete_user(tx->s, u.id, tx->why);
    }
    return err ? err : tx->db->user_put(tx->s, &u, tx->why);
}

enum err fleet_user_prove(struct fleet *f, const char *name, const char *code, const char *hash, time_ms now,
                          struct why *why)
{
    struct tx tx;
    enum err told = ERR_NONE, err = people_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, use_code(&tx, name, code, hash, &told));
    return err ? err : told;
}

static enum err new_code(struct tx *tx, const char *name, struct user *to)
{
    enum err err = tx->db->user_get(tx->s, name, to, tx->why);
    if (err != ERR_NONE)
        return err;
    make_code(tx->f, to, tx->now);
    return tx->db->user_put(tx->s, to, tx->why);
}

enum err fleet_user_code(struct fleet *f, const char *name, time_ms now, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, new_code(&tx, name, to));
}

/* --- administration --------------------------------------------------------------------------- */

enum err fleet_user_list(struct fleet *f, const char *after_name, struct user *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->user_list(tx.s, after_name, to, max, count, why));
}

/* Whether another user can still do everything. */
static enum err check_last(struct tx *tx, const struct user *u)
{
    struct user page[20];
    char after[NAME_SIZE] = "";
    unsigned count = 20;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && count == 20) {
        err = tx->db->user_list(tx->s, after, page, 20, &count, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            if (page[i].role == ROLE_SUPER && !page[i].is_disabled && strcmp(page[i].id, u->id) != 0)
                return ERR_NONE;
            text_copy(after, sizeof after, page[i].name);
        }
    }
    return err ? err : why_set(tx->why, ERR_FORBIDDEN, "%s is the last one who may do everything", u->name);
}

static enum err edit_user(struct tx *tx, const char *id, const struct user_edit *e, struct user *to)
{
    enum err err = tx->db->user_get_id(tx->s, id, to, tx->why);
    if (err == ERR_NOT_FOUND)
        return why_set(tx->why, ERR_NOT_FOUND, "there is no user %.40s", id);
    bool loses =
        to->role == ROLE_SUPER && ((e->has_role && e->role != ROLE_SUPER) || (e->has_disabled && e->is_disabled));
    if (err == ERR_NONE && loses)
        err = check_last(tx, to);
    if (err != ERR_NONE)
        return err;
    if (e->has_role)
        to->role = e->role;
    if (e->has_disabled)
        to->is_disabled = e->is_disabled;
    if (e->scope != NULL && !text_copy(to->scope, sizeof to->scope, e->scope))
        return why_set(tx->why, ERR_QUERY, "scope has more than %d characters", QUERY_SIZE - 1);
    if (to->scope[0] && to->role >= ROLE_ADMIN)
        return why_set(tx->why, ERR_BODY, "administrators look after all nodes: a scope goes with viewer and operator");
    if (e->hash != NULL)
        text_copy(to->password_hash, sizeof to->password_hash, e->hash);
    to->failures = 0;
    to->locked_until = 0;
    if (e->hash != NULL || to->is_disabled)
        err = tx->db->tokens_delete_user(tx->s, to->id, tx->why);
    return err ? err : tx->db->user_put(tx->s, to, tx->why);
}

enum err fleet_user_edit(struct fleet *f, const char *id, const struct user_edit *edit, time_ms now, struct user *to,
                         struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, edit_user(&tx, id, edit, to));
}

static enum err delete_user(struct tx *tx, const char *id)
{
    struct user u;
    enum err err = tx->db->user_get_id(tx->s, id, &u, tx->why);
    if (err == ERR_NOT_FOUND)
        return why_set(tx->why, ERR_NOT_FOUND, "there is no user %.40s", id);
    if (err == ERR_NONE && u.role == ROLE_SUPER)
        err = check_last(tx, &u);
    if (err == ERR_NONE)
        err = mapping_forget_user(tx, id);
    if (err == ERR_NONE)
        err = tx->db->tokens_delete_user(tx->s, id, tx->why);
    return err ? err : tx->db->user_delete(tx->s, &u, tx->why);
}

enum err fleet_user_delete(struct fleet *f, const char *id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, delete_user(&tx, id));
}

/* --- API tokens ------------------------------------------------------------------------------- */

static enum err put_token(struct tx *tx, const char *digest, const struct api_token *t)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "id", t->id);
    json_out_text(&out, "name", t->name);
    json_out_text(&out, "user_id", t->user_id);
    json_out_int(&out, "role", t->role);
    json_out_int(&out, "created_at", t->created_at);
    json_out_int(&out, "expires_at", t->expires_at);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_TOKEN, digest, &text);
    buf_deinit(&text);
    return err;
}

static bool read_token(const char *text, struct api_token *t)
{
    struct json *doc;
    int64_t role = 0;
    *t = (struct api_token){.role = ROLE_USER};
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return false;
    json_copy_text(doc, "id", t->id, sizeof t->id);
    json_copy_text(doc, "name", t->name, sizeof t->name);
    json_copy_text(doc, "user_id", t->user_id, sizeof t->user_id);
    json_int(json_get(doc, "role"), &role);
    json_int(json_get(doc, "created_at"), &t->created_at);
    json_int(json_get(doc, "expires_at"), &t->expires_at);
    t->role = (enum role)role;
    json_free(doc);
    return true;
}

enum err fleet_api_token_add(struct fleet *f, const char *digest, struct api_token *token, struct why *why)
{
    struct tx tx;
    text_copy(token->id, sizeof token->id, id_new(f->entropy).text);
    enum err err = people_begin(&tx, f, token->created_at, why);
    return err ? err : tx_end(&tx, put_token(&tx, digest, token));
}

static enum err find_token(struct tx *tx, const char *digest, struct user *to)
{
    struct api_token t;
    char *text = NULL;
    enum err err = tx_card(tx, CARD_TOKEN, digest, &text);
    bool is_good =
        err == ERR_NONE && text != NULL && read_token(text, &t) && (t.expires_at == 0 || tx->now < t.expires_at);
    free(text);
    if (err == ERR_NONE && !is_good)
        return why_set(tx->why, ERR_UNAUTHORIZED, "the API token is unknown, withdrawn or expired");
    if (err == ERR_NONE)
        err = tx->db->user_get_id(tx->s, t.user_id, to, tx->why);
    if (err == ERR_NONE && t.role < to->role)
        to->role = t.role; /* never more than its owner may today */
    return err == ERR_NOT_FOUND ? why_set(tx->why, ERR_UNAUTHORIZED, "the token's user does not exist any more") : err;
}

enum err fleet_api_token_user(struct fleet *f, const char *digest, time_ms now, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    tx.now = now;
    return tx_end(&tx, find_token(&tx, digest, to));
}

struct token_list {
    struct card_visitor v;
    const char *user_id, *wanted;
    struct api_token *to;
    unsigned max, count;
    char digest[CARD_KEY_SIZE]; /* of the wanted one */
};

static bool note_token(struct card_visitor *v, const char *key, const char *text)
{
    struct token_list *l = (struct token_list *)v;
    struct api_token t;
    if (!read_token(text, &t) || (l->user_id != NULL && strcmp(t.user_id, l->user_id) != 0))
        return true;
    if (l->wanted != NULL) {
        if (strcmp(t.id, l->wanted) == 0)
            text_copy(l->digest, sizeof l->digest, key);
        return l->digest[0] == '\0';
    }
    l->to[l->count++] = t;
    return l->count < l->max;
}

enum err fleet_api_token_list(struct fleet *f, const char *user_id, struct api_token *to, unsigned max, unsigned *count,
                              struct why *why)
{
    struct tx tx;
    struct token_list l = {.v = {note_token}, .user_id = user_id, .to = to, .max = max};
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx.db->card_scan(tx.s, CARD_TOKEN, "", "", &l.v, why));
    *count = l.count;
    return err;
}

static enum err drop_token(struct tx *tx, const char *user_id, const char *id)
{
    struct token_list l = {.v = {note_token}, .user_id = user_id, .wanted = id};
    enum err err = tx->db->card_scan(tx->s, CARD_TOKEN, "", "", &l.v, tx->why);
    if (err == ERR_NONE && l.digest[0] == '\0')
        return why_set(tx->why, ERR_NOT_FOUND, "there is no API token %.40s", id);
    return err ? err : tx->db->card_delete(tx->s, CARD_TOKEN, l.digest, tx->why);
}

enum err fleet_api_token_drop(struct fleet *f, const char *user_id, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = people_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, drop_token(&tx, user_id, id));
}

/* --- rights ----------------------------------------------------------------------------------- */

static const struct {
    const char *word;
} roles[ROLES] = {{"user"}, {"viewer"}, {"operator"}, {"admin"}, {"super_admin"}};

const char *role_text(enum role role)
{
    return roles[role].word;
}

bool role_find(const char *word, enum role *to)
{
    for (int i = 0; i < ROLES; i++)
        if (strcmp(roles[i].word, word) == 0) {
            *to = (enum role)i;
            return true;
        }
    return false;
}

bool user_may(const struct user *user, enum right right)
{
    static const enum role least[RIGHTS] = {
        [RIGHT_SELF] = ROLE_USER,   [RIGHT_VIEW] = ROLE_VIEWER, [RIGHT_OPERATE] = ROLE_OPERATOR,
        [RIGHT_ADMIN] = ROLE_ADMIN, [RIGHT_SUPER] = ROLE_SUPER,
    };
    return !user->is_disabled && user->role >= least[right];
}
