/* Organisations: who shares the server, without seeing each other (view.c). */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_MS 5000 /* another replica may have made the first one */

struct org_list {
    struct card_visitor v;
    struct organisation *to;
    unsigned max, count;
};

static bool note_org(struct card_visitor *v, const char *key, const char *text)
{
    struct org_list *l = (struct org_list *)v;
    struct organisation *o = &l->to[l->count];
    struct json *doc;
    *o = (struct organisation){.created_at = 0};
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return true;
    text_copy(o->id, sizeof o->id, key);
    json_copy_text(doc, "name", o->name, sizeof o->name);
    json_int(json_get(doc, "created_at"), &o->created_at);
    json_free(doc);
    return ++l->count < l->max;
}

enum err fleet_org_list(struct fleet *f, struct organisation *to, unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    struct org_list l = {{note_org}, to, max, 0};
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx.db->card_scan(tx.s, CARD_ORG, "", "", &l.v, why));
    *count = l.count;
    return err;
}

static enum err get(struct tx *tx, const char *id, struct organisation *to)
{
    struct org_list l = {{note_org}, to, 1, 0};
    char *text = NULL;
    enum err err = strlen(id) <= ID_LEN ? tx_card(tx, CARD_ORG, id, &text) : ERR_NONE;
    if (err == ERR_NONE && text != NULL)
        note_org(&l.v, id, text);
    free(text);
    return err || l.count == 1 ? err : why_set(tx->why, ERR_NOT_FOUND, "there is no organisation %.40s", id);
}

enum err fleet_org_get(struct fleet *f, const char *id, struct organisation *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, get(&tx, id, to));
}

struct name_seeker {
    struct card_visitor v;
    const char *name;
    bool is_found;
};

static bool seek_name(struct card_visitor *v, const char *key, const char *text)
{
    struct name_seeker *s = (struct name_seeker *)v;
    struct organisation o;
    struct org_list l = {{note_org}, &o, 1, 0};
    note_org(&l.v, key, text);
    s->is_found = l.count == 1 && strcmp(o.name, s->name) == 0;
    return !s->is_found;
}

static enum err add(struct tx *tx, const char *name, struct organisation *to)
{
    struct name_seeker seeker = {{seek_name}, name, false};
    struct buf text = {0};
    struct json_out out;
    enum err err = tx->db->card_scan(tx->s, CARD_ORG, "", "", &seeker.v, tx->why);
    if (err == ERR_NONE && seeker.is_found)
        return why_set(tx->why, ERR_EXISTS, "an organisation named %s exists already", name);
    *to = (struct organisation){.created_at = tx->now};
    snprintf(to->id, sizeof to->id, ORG_PREFIX "%.*s", ID_LEN - (int)strlen(ORG_PREFIX), id_new(tx->f->entropy).text);
    text_copy(to->name, sizeof to->name, name);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "name", to->name);
    json_out_int(&out, "created_at", to->created_at);
    json_out_end_object(&out);
    if (err == ERR_NONE)
        err = tx_card_put(tx, CARD_ORG, to->id, &text);
    buf_deinit(&text);
    return err;
}

enum err fleet_org_add(struct fleet *f, const char *name, time_ms now, struct organisation *to, struct why *why)
{
    struct tx tx;
    if (name == NULL || *name == '\0' || strlen(name) >= NAME_SIZE)
        return why_set(why, ERR_BODY, "name must have 1 to %d characters", NAME_SIZE - 1);
    enum err err = tx_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, add(&tx, name, to));
    if (err == ERR_NONE)
        atomic_store(&f->memory->has_orgs, true);
    return err;
}

struct any_card {
    struct card_visitor v;
    bool is_there;
};

static bool note_any(struct card_visitor *v, const char *key, const char *text)
{
    (void)key, (void)text;
    ((struct any_card *)v)->is_there = true;
    return false;
}

static enum err check_empty(struct fleet_store *s, struct why *why)
{
    struct image image;
    struct job *job = malloc(sizeof *job);
    struct user user;
    int64_t nodes = 0;
    struct group group;
    struct any_card key = {{note_any}, false};
    unsigned images = 0, jobs = 0, users = 0, groups = 0;
    enum err err = job ? s->ops->node_count(s, &nodes, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = s->ops->image_list(s, "", &image, 1, &images, why);
    if (err == ERR_NONE)
        err = s->ops->job_list(s, "", job, 1, &jobs, why);
    if (err == ERR_NONE)
        err = s->ops->user_list(s, "", &user, 1, &users, why);
    if (err == ERR_NONE)
        err = s->ops->group_list(s, "", "", &group, 1, &groups, why);
    if (err == ERR_NONE)
        err = s->ops->card_scan(s, CARD_SIGN_KEY, "", "", &key.v, why);
    free(job);
    if (err == ERR_NONE && (nodes + images + jobs + users + groups > 0 || key.is_there))
        err = why_set(why, ERR_EXISTS, "the organisation still has%s%s%s%s%s%s: delete them first",
                      nodes ? " nodes" : "", images ? " images" : "", jobs ? " jobs" : "", users ? " users" : "",
                      groups ? " groups" : "", key.is_there ? " keys" : "");
    return err;
}

static enum err drop(struct tx *tx, const char *id)
{
    struct organisation known;
    struct fleet_view view;
    struct view_store seen;
    enum err err = get(tx, id, &known);
    if (err == ERR_NONE && (err = fleet_view_init(&view, id, "", tx->now, tx->why)) == ERR_NONE)
        err = check_empty(view_store_init(&seen, tx->f->view ? tx->seen.raw : tx->s, &view), tx->why);
    return err ? err : tx->db->card_delete(tx->s, CARD_ORG, id, tx->why);
}

enum err fleet_org_delete(struct fleet *f, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, drop(&tx, id));
}

bool memory_has_orgs(struct tx *tx)
{
    struct organisation first;
    struct org_list l = {{note_org}, &first, 1, 0};
    tx->db->card_scan(tx->s, CARD_ORG, "", "", &l.v, NULL);
    return l.count > 0;
}

bool fleet_has_orgs(struct fleet *f, time_ms now)
{
    struct organisation first;
    unsigned count = 0;
    if (atomic_load(&f->memory->has_orgs) || now - atomic_load(&f->memory->orgs_at) < LOOK_AGAIN_MS)
        return atomic_load(&f->memory->has_orgs);
    if (fleet_org_list(f, &first, 1, &count, NULL) != ERR_NONE)
        return true; /* rather hidden than shown to the wrong people */
    atomic_store(&f->memory->has_orgs, count > 0);
    atomic_store(&f->memory->orgs_at, now);
    return atomic_load(&f->memory->has_orgs);
}
