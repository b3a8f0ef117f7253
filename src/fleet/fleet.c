#include "fleet/inner.h"

#include "base/text.h"

#include <string.h>

const struct fleet_policy fleet_default_policy = {
    .failures_max = 9, /* three rounds of a node's three attempts */
    .trial_ms = 100 * 1000,
    .repeat_ms = 30 * 1000,
    .reboot_grace_ms = 60 * 1000,
    .push_batch = 100,
};

void fleet_init(struct fleet *f, struct fleet_store *store, struct entropy *entropy, struct log *log,
                struct fleet_bell *bell)
{
    *f = (struct fleet){store, entropy, log, bell, fleet_default_policy};
}

enum err tx_begin(struct tx *tx, struct fleet *f, time_ms now, struct why *why)
{
    *tx = (struct tx){.f = f, .s = f->store, .db = f->store->ops, .now = now, .why = why};
    return tx->db->begin(tx->s, why);
}

enum err tx_end(struct tx *tx, enum err err)
{
    if (err != ERR_NONE) {
        tx->db->rollback(tx->s);
        return err;
    }
    err = tx->db->commit(tx->s, tx->why);
    if (err == ERR_NONE && tx->is_ringing && tx->f->bell != NULL)
        tx->f->bell->ring(tx->f->bell);
    return err;
}

static enum err named(struct tx *tx, enum err err, enum err code, const char *what, const char *id)
{
    return err == ERR_NOT_FOUND ? why_set(tx->why, code, "there is no %s %s", what, id) : err;
}

enum err tx_node(struct tx *tx, const char *id, struct node *to)
{
    return named(tx, tx->db->node_get(tx->s, id, to, tx->why), ERR_NODE_NOT_FOUND, "node", id);
}

enum err tx_image(struct tx *tx, const char *id, struct image *to)
{
    return named(tx, tx->db->image_get(tx->s, id, to, tx->why), ERR_IMAGE_NOT_FOUND, "image", id);
}

enum err tx_job(struct tx *tx, const char *id, struct job *to)
{
    return named(tx, tx->db->job_get(tx->s, id, to, tx->why), ERR_JOB_NOT_FOUND, "job", id);
}

enum err tx_event(struct tx *tx, enum event_kind kind, const char *node_id, const char *job_id, const char *image_id)
{
    struct event e = {.kind = kind, .at = tx->now, .percent = -1};
    text_copy(e.node_id, sizeof e.node_id, node_id);
    text_copy(e.job_id, sizeof e.job_id, job_id);
    text_copy(e.image_id, sizeof e.image_id, image_id);
    tx->is_ringing = true;
    return tx->db->event_add(tx->s, &e, tx->why);
}

enum err fleet_start(struct fleet *f, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->nodes_all_offline(tx.s, now, why);
    return tx_end(&tx, err ? err : tx_event(&tx, EVENT_NODE, NULL, NULL, NULL));
}

enum err fleet_events(struct fleet *f, int64_t after, struct event *to, unsigned max, unsigned *count, bool *is_gap,
                      struct why *why)
{
    struct tx tx;
    int64_t first = 0, last = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->event_bounds(tx.s, &first, &last, why);
    *is_gap = first > 0 && after + 1 < first;
    if (err == ERR_NONE)
        err = tx.db->event_list(tx.s, after, to, max, count, why);
    return tx_end(&tx, err);
}

enum err fleet_event_last(struct fleet *f, int64_t *id, struct why *why)
{
    struct tx tx;
    int64_t first;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->event_bounds(tx.s, &first, id, why));
}

/* --- users ------------------------------------------------------------------------------------ */

enum err fleet_user_count(struct fleet *f, int64_t *count, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->user_count(tx.s, count, why));
}

static enum err add_user(struct tx *tx, const char *name, const char *hash, bool is_admin, struct user *to)
{
    enum err err = tx->db->user_get(tx->s, name, to, tx->why);
    if (err == ERR_NONE)
        return why_set(tx->why, ERR_EXISTS, "user %s exists already", name);
    if (err != ERR_NOT_FOUND)
        return err;
    *to = (struct user){.is_admin = is_admin, .created_at = tx->now};
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    if (!text_copy(to->name, sizeof to->name, name) || !text_copy(to->password_hash, sizeof to->password_hash, hash))
        return why_set(tx->why, ERR_TOO_BIG, "user name is longer than %d characters", NAME_SIZE - 1);
    return tx->db->user_put(tx->s, to, tx->why);
}

enum err fleet_user_add(struct fleet *f, const char *name, const char *hash, bool is_admin, time_ms now,
                        struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add_user(&tx, name, hash, is_admin, to));
}

enum err fleet_user_get(struct fleet *f, const char *name, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->user_get(tx.s, name, to, why));
}

enum err fleet_user_get_id(struct fleet *f, const char *id, struct user *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->user_get_id(tx.s, id, to, why));
}

enum err fleet_token_add(struct fleet *f, const char *digest, const char *user_id, time_ms expires_at, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
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
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, token_user(&tx, digest, to));
}

enum err fleet_tokens_drop(struct fleet *f, const char *user_id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->tokens_delete_user(tx.s, user_id, why));
}
