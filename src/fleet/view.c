/*
 * A store as one organisation sees it.  Rows of others are not there; new rows belong to it.  A view may be narrower
 * still: nodes that fit a query, and then jobs for those alone.
 *
 * Every rule about who sees what stands here: the mind above calls the port as ever.  What lies under a job, an image
 * or a node (executions, timelines, cards) is reached through them, and passes.
 */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 25

static struct view_store *of(struct fleet_store *s)
{
    return (struct view_store *)s;
}

static struct fleet_store *raw(struct fleet_store *s)
{
    return of(s)->raw;
}

static bool is_ours(struct fleet_store *s, const char *org)
{
    return strcmp(org, of(s)->view->org) == 0;
}

/* What is asked of a node besides: the query is about the store that we see. */
static bool is_in_scope(struct fleet_store *s, const struct node *node)
{
    const struct fleet_view *v = of(s)->view;
    struct tx tx = {.s = s, .db = s->ops, .now = v->now};
    struct group_asker asker;
    group_asker_init(&asker, &tx);
    return !v->has_scope || query_matches(&v->scope, node, &asker.port, v->now);
}

static bool sees_node(struct fleet_store *s, const struct node *node)
{
    return is_ours(s, node->org) && is_in_scope(s, node);
}

static enum err taken(struct why *why, const char *what, const char *name)
{
    return why_set(why, ERR_EXISTS, "%s %.80s is taken: choose another", what, name);
}

static enum err narrow(struct why *why, const char *what)
{
    return why_set(why, ERR_FORBIDDEN, "%s: you look after some of the nodes alone", what);
}

/* --- transactions ----------------------------------------------------------------------------- */

static enum err see_commit(struct fleet_store *s, struct why *why)
{
    return raw(s)->ops->commit(raw(s), why);
}

static void see_rollback(struct fleet_store *s)
{
    raw(s)->ops->rollback(raw(s));
}

static int64_t see_changes(struct fleet_store *s)
{
    return raw(s)->ops->changes(raw(s));
}

/* What passes as it is. */
#define PASS(name, parameters, ...)                                                                                    \
    static enum err see_##name parameters                                                                              \
    {                                                                                                                  \
        return raw(s)->ops->name(raw(s), __VA_ARGS__);                                                                 \
    }

PASS(version, (struct fleet_store * s, int64_t *version, struct why *why), version, why)
PASS(node_delete, (struct fleet_store * s, const char *id, struct why *why), id, why)
static enum err see_nodes_expected(struct fleet_store *s, const char *const *ids, unsigned count, struct why *why)
{
    return raw(s)->ops->nodes_expected ? raw(s)->ops->nodes_expected(raw(s), ids, count, why) : ERR_NONE;
}

PASS(nodes_all_offline, (struct fleet_store * s, unsigned broker, time_ms now, struct why *why), broker, now, why)
PASS(group_children,
     (struct fleet_store * s, const char *id, struct group *to, unsigned max, unsigned *count, struct why *why), id, to,
     max, count, why)
PASS(groups_of_node,
     (struct fleet_store * s, const char *node_id, struct membership *to, unsigned max, unsigned *count,
      struct why *why),
     node_id, to, max, count, why)
PASS(image_delete, (struct fleet_store * s, const char *id, struct why *why), id, why)
PASS(image_uses, (struct fleet_store * s, const char *id, int64_t *jobs, int64_t *active, struct why *why), id, jobs,
     active, why)
PASS(blob_uses, (struct fleet_store * s, const char *sha256, int64_t *images, struct why *why), sha256, images, why)
PASS(job_target_add, (struct fleet_store * s, const char *job_id, const char *node_id, struct why *why), job_id,
     node_id, why)
PASS(job_has_target, (struct fleet_store * s, const char *job_id, const char *node_id, bool *has, struct why *why),
     job_id, node_id, has, why)
PASS(job_state_get, (struct fleet_store * s, const char *job_id, struct job_state *to, struct why *why), job_id, to,
     why)
PASS(job_state_put, (struct fleet_store * s, const struct job_state *state, struct why *why), state, why)
PASS(jobs_busy, (struct fleet_store * s, char (*to)[ID_LEN + 1], unsigned max, unsigned *count, struct why *why), to,
     max, count, why)
PASS(execution_put,
     (struct fleet_store * s, const struct execution *e, const struct timeline_row *row, struct why *why), e, row, why)
PASS(executions_open,
     (struct fleet_store * s, const char *node_id, struct execution *to, unsigned max, unsigned *count,
      struct why *why),
     node_id, to, max, count, why)
PASS(executions_due,
     (struct fleet_store * s, time_ms now, struct execution *to, unsigned max, unsigned *count, time_ms *next_at,
      struct why *why),
     now, to, max, count, next_at, why)
PASS(executions_waiting,
     (struct fleet_store * s, const char *job_id, struct execution *to, unsigned max, unsigned *count, struct why *why),
     job_id, to, max, count, why)
PASS(network_load,
     (struct fleet_store * s, const char *network, const char *job_id, time_ms since, int64_t *count, struct why *why),
     network, job_id, since, count, why)
PASS(outbox_add, (struct fleet_store * s, const struct outbox_row *row, const char *text, struct why *why), row, text,
     why)
PASS(outbox_text, (struct fleet_store * s, int64_t id, char *to, size_t size, struct why *why), id, to, size, why)
PASS(outbox_list,
     (struct fleet_store * s, int64_t after, struct outbox_row *to, unsigned max, unsigned *count, struct why *why),
     after, to, max, count, why)
PASS(outbox_delete, (struct fleet_store * s, int64_t id, struct why *why), id, why)
PASS(event_add, (struct fleet_store * s, const struct event *e, struct why *why), e, why)
PASS(event_bounds, (struct fleet_store * s, int64_t *first, int64_t *last, struct why *why), first, last, why)
PASS(user_delete, (struct fleet_store * s, const struct user *user, struct why *why), user, why)
PASS(user_count, (struct fleet_store * s, int64_t *count, struct why *why), count, why)
PASS(token_put, (struct fleet_store * s, const char *digest, const char *user_id, time_ms expires_at, struct why *why),
     digest, user_id, expires_at, why)
PASS(token_get,
     (struct fleet_store * s, const char *digest, char user_id[ID_LEN + 1], time_ms *expires_at, struct why *why),
     digest, user_id, expires_at, why)
PASS(token_delete, (struct fleet_store * s, const char *digest, struct why *why), digest, why)
PASS(tokens_delete_user, (struct fleet_store * s, const char *user_id, struct why *why), user_id, why)

/* Pages below are read until ours is full.  `key`: what a page goes on after; `is_seen`: of `row`. */
#define SEE_LIST(name, noun, key, is_seen)                                                                             \
    static enum err see_##name(struct fleet_store *s, const char *after, struct noun *to, unsigned max,                \
                               unsigned *count, struct why *why)                                                       \
    {                                                                                                                  \
        struct noun *page = calloc(PAGE, sizeof *page);                                                                \
        char from[NAME_SIZE];                                                                                          \
        unsigned n = PAGE;                                                                                             \
        enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");                                     \
        text_copy(from, sizeof from, after);                                                                           \
        for (*count = 0; err == ERR_NONE && n == PAGE && *count < max;) {                                              \
            err = raw(s)->ops->name(raw(s), from, page, PAGE, &n, why);                                                \
            for (const struct noun *row = page; err == ERR_NONE && row < page + n && *count < max; row++) {            \
                text_copy(from, sizeof from, row->key);                                                                \
                if (is_seen)                                                                                           \
                    to[(*count)++] = *row;                                                                             \
            }                                                                                                          \
        }                                                                                                              \
        free(page);                                                                                                    \
        return err;                                                                                                    \
    }

SEE_LIST(image_list, image, id, is_ours(s, row->org))
SEE_LIST(job_list, job, id, is_ours(s, row->org))
SEE_LIST(user_list, user, name, is_ours(s, row->org))

/* --- nodes ------------------------------------------------------------------------------------ */

static enum err see_node_get(struct fleet_store *s, const char *id, struct node *to, struct why *why)
{
    enum err err = raw(s)->ops->node_get(raw(s), id, to, why);
    return err || sees_node(s, to) ? err : ERR_NOT_FOUND;
}

static enum err see_node_put(struct fleet_store *s, const struct node *node, struct why *why)
{
    struct node known, own = *node;
    enum err err = raw(s)->ops->node_get(raw(s), node->id, &known, why);
    if (err != ERR_NONE && err != ERR_NOT_FOUND)
        return err;
    if (err == ERR_NONE && !is_ours(s, known.org))
        return taken(why, "node", node->id);
    text_copy(own.org, sizeof own.org, of(s)->view->org);
    if (err == ERR_NOT_FOUND && !is_in_scope(s, &own))
        return narrow(why, "a new node has to fit your scope");
    return raw(s)->ops->node_put(raw(s), &own, why);
}

struct node_filter {
    struct node_visitor port;
    struct fleet_store *s;
    struct node_visitor *to; /* NULL: they are only counted */
    int64_t count;
};

static bool pass_node(struct node_visitor *v, const struct node *node)
{
    struct node_filter *f = (struct node_filter *)v;
    if (!sees_node(f->s, node))
        return true;
    f->count++;
    return f->to == NULL || f->to->visit(f->to, node);
}

static enum err see_node_scan(struct fleet_store *s, const char *after, struct node_visitor *v, struct why *why)
{
    struct node_filter f = {{pass_node}, s, v, 0};
    return raw(s)->ops->node_scan(raw(s), after, &f.port, why);
}

static enum err see_node_count(struct fleet_store *s, int64_t *count, struct why *why)
{
    struct node_filter f = {{pass_node}, s, NULL, 0};
    enum err err = raw(s)->ops->node_scan(raw(s), "", &f.port, why);
    *count = f.count;
    return err;
}

struct lone_nodes {
    struct node_visitor port;
    struct alike_visitor *to;
};

static bool pass_alone(struct node_visitor *v, const struct node *node)
{
    struct node one = *node;
    struct lone_nodes *l = (struct lone_nodes *)v;
    one.activated_at = node->activated_at != 0;
    l->to->visit(l->to, &one, 1);
    return true;
}

/* Whether a node fits a query only the node itself tells. */
static enum err see_nodes_alike(struct fleet_store *s, const char *org, struct alike_visitor *v, struct why *why)
{
    struct lone_nodes lone = {{pass_alone}, v};
    (void)org;
    return of(s)->view->has_scope ? see_node_scan(s, "", &lone.port, why)
                                  : raw(s)->ops->nodes_alike(raw(s), of(s)->view->org, v, why);
}

struct node_taker {
    struct node_visitor port;
    struct node *to;
    unsigned max, count;
};

static bool take_node(struct node_visitor *v, const struct node *node)
{
    struct node_taker *t = (struct node_taker *)v;
    t->to[t->count++] = *node;
    return t->count < t->max;
}

static enum err see_node_list(struct fleet_store *s, const char *after, struct node *to, unsigned max, unsigned *count,
                              struct why *why)
{
    struct node_taker t = {{take_node}, to, max, 0};
    enum err err = max > 0 ? see_node_scan(s, after, &t.port, why) : ERR_NONE;
    *count = t.count;
    return err;
}

static bool sees_node_id(struct fleet_store *s, const char *id)
{
    struct node node;
    return see_node_get(s, id, &node, NULL) == ERR_NONE;
}

/* Lists of node ids, those of a job and of a group alike: the ones that we look after. */
typedef enum err (*id_list)(struct fleet_store *s, const char *of_what, const char *after, char (*to)[NODE_ID_SIZE],
                            unsigned max, unsigned *count, struct why *why);

static enum err list_ids(struct fleet_store *s, id_list list, const char *of_what, const char *after,
                         char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    char page[PAGE][NODE_ID_SIZE], from[NODE_ID_SIZE];
    unsigned n = PAGE;
    enum err err = ERR_NONE;
    if (!of(s)->view->has_scope)
        return list(raw(s), of_what, after, to, max, count, why);
    text_copy(from, sizeof from, after);
    for (*count = 0; err == ERR_NONE && n == PAGE && *count < max;) {
        err = list(raw(s), of_what, from, page, PAGE, &n, why);
        for (unsigned i = 0; err == ERR_NONE && i < n && *count < max; i++) {
            text_copy(from, sizeof from, page[i]);
            if (sees_node_id(s, page[i]))
                text_copy(to[(*count)++], NODE_ID_SIZE, page[i]);
        }
    }
    return err;
}

static enum err see_job_target_list(struct fleet_store *s, const char *job_id, const char *after,
                                    char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    return list_ids(s, raw(s)->ops->job_target_list, job_id, after, to, max, count, why);
}

static enum err see_member_list(struct fleet_store *s, const char *group_id, const char *after,
                                char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    return list_ids(s, raw(s)->ops->member_list, group_id, after, to, max, count, why);
}

/* --- groups ----------------------------------------------------------------------------------- */

/* The administrators' groups have the owner "" here, and the organisation's id in the store. */
static const char *owner_below(struct fleet_store *s, const char *owner)
{
    return *owner ? owner : of(s)->view->org;
}

static enum err see_group(struct fleet_store *s, struct group *g)
{
    bool is_admins = g->owner[0] == '\0' || strncmp(g->owner, ORG_PREFIX, strlen(ORG_PREFIX)) == 0;
    if (is_admins && !is_ours(s, g->owner))
        return ERR_NOT_FOUND;
    if (is_admins)
        g->owner[0] = '\0';
    return ERR_NONE;
}

static enum err see_group_get(struct fleet_store *s, const char *id, struct group *to, struct why *why)
{
    enum err err = raw(s)->ops->group_get(raw(s), id, to, why);
    return err ? err : see_group(s, to);
}

static enum err see_group_find_name(struct fleet_store *s, const char *owner, const char *name, struct group *to,
                                    struct why *why)
{
    enum err err = raw(s)->ops->group_find_name(raw(s), owner_below(s, owner), name, to, why);
    return err ? err : see_group(s, to);
}

static enum err see_group_put(struct fleet_store *s, const struct group *group, struct why *why)
{
    struct group own = *group;
    if (of(s)->view->has_scope && group->owner[0] == '\0')
        return narrow(why, "groups are not changed");
    text_copy(own.owner, sizeof own.owner, owner_below(s, group->owner));
    return raw(s)->ops->group_put(raw(s), &own, why);
}

static enum err check_group(struct fleet_store *s, const char *id, struct why *why)
{
    struct group g;
    enum err err = see_group_get(s, id, &g, why);
    return err == ERR_NONE && of(s)->view->has_scope && g.owner[0] == '\0' ? narrow(why, "groups are not changed")
                                                                           : err;
}

static enum err see_group_delete(struct fleet_store *s, const char *id, struct why *why)
{
    enum err err = check_group(s, id, why);
    return err ? err : raw(s)->ops->group_delete(raw(s), id, why);
}

static enum err see_group_list(struct fleet_store *s, const char *owner, const char *after, struct group *to,
                               unsigned max, unsigned *count, struct why *why)
{
    enum err err = raw(s)->ops->group_list(raw(s), owner_below(s, owner), after, to, max, count, why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++)
        see_group(s, &to[i]);
    return err;
}

static enum err see_member_add(struct fleet_store *s, const char *group_id, const char *node_id, time_ms now,
                               struct why *why)
{
    enum err err = check_group(s, group_id, why);
    return err ? err : raw(s)->ops->member_add(raw(s), group_id, node_id, now, why);
}

static enum err see_member_remove(struct fleet_store *s, const char *group_id, const char *node_id, struct why *why)
{
    enum err err = check_group(s, group_id, why);
    return err ? err : raw(s)->ops->member_remove(raw(s), group_id, node_id, why);
}

/* --- images ----------------------------------------------------------------------------------- */

static enum err see_image_get(struct fleet_store *s, const char *id, struct image *to, struct why *why)
{
    enum err err = raw(s)->ops->image_get(raw(s), id, to, why);
    return err || is_ours(s, to->org) ? err : ERR_NOT_FOUND;
}

static enum err see_image_find_name(struct fleet_store *s, const char *org, const char *name, struct image *to,
                                    struct why *why)
{
    (void)org;
    return raw(s)->ops->image_find_name(raw(s), of(s)->view->org, name, to, why);
}

static enum err see_image_put(struct fleet_store *s, const struct image *image, struct why *why)
{
    struct image known, own = *image;
    enum err err = raw(s)->ops->image_get(raw(s), image->id, &known, why);
    if (err == ERR_NONE && !is_ours(s, known.org))
        return taken(why, "image", image->id);
    text_copy(own.org, sizeof own.org, of(s)->view->org);
    return err == ERR_NONE || err == ERR_NOT_FOUND ? raw(s)->ops->image_put(raw(s), &own, why) : err;
}

/* --- jobs ------------------------------------------------------------------------------------- */

static enum err see_job_get(struct fleet_store *s, const char *id, struct job *to, struct why *why)
{
    enum err err = raw(s)->ops->job_get(raw(s), id, to, why);
    return err || is_ours(s, to->org) ? err : ERR_NOT_FOUND;
}

static enum err see_job_find_name(struct fleet_store *s, const char *org, const char *name, struct job *to,
                                  struct why *why)
{
    (void)org;
    return raw(s)->ops->job_find_name(raw(s), of(s)->view->org, name, to, why);
}

static enum err see_job_put(struct fleet_store *s, const struct job *job, struct why *why)
{
    const struct fleet_view *v = of(s)->view;
    struct job *known = calloc(2, sizeof *known), *own = known + 1;
    if (known == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = raw(s)->ops->job_get(raw(s), job->id, known, why);
    *own = *job;
    if (err == ERR_NONE && !is_ours(s, known->org))
        err = taken(why, "job", job->id);
    else if (err == ERR_NONE && v->has_scope && strcmp(known->scope, v->scope_text) != 0)
        err = narrow(why, "the job is not yours to change");
    else if (err == ERR_NONE || err == ERR_NOT_FOUND) {
        text_copy(own->org, sizeof own->org, v->org);
        text_copy(own->scope, sizeof own->scope, err == ERR_NONE ? known->scope : v->scope_text);
        err = raw(s)->ops->job_put(raw(s), own, why);
    }
    free(known);
    return err;
}

struct job_filter {
    struct job_visitor port;
    struct fleet_store *s;
    struct job_visitor *to;
};

static bool pass_job(struct job_visitor *v, const struct job *job)
{
    struct job_filter *f = (struct job_filter *)v;
    return !is_ours(f->s, job->org) || f->to->visit(f->to, job);
}

static enum err see_job_scan_active(struct fleet_store *s, struct job_visitor *v, struct why *why)
{
    struct job_filter f = {{pass_job}, s, v};
    return raw(s)->ops->job_scan_active(raw(s), &f.port, why);
}

/* Who looks after some of the nodes is told of no others, not even when they are named. */
static bool hides_node(struct fleet_store *s, const char *node_id)
{
    return of(s)->view->has_scope && !sees_node_id(s, node_id);
}

static enum err see_execution_get(struct fleet_store *s, const char *job_id, const char *node_id, struct execution *to,
                                  struct why *why)
{
    return hides_node(s, node_id) ? ERR_NOT_FOUND : raw(s)->ops->execution_get(raw(s), job_id, node_id, to, why);
}

static enum err see_timeline_list(struct fleet_store *s, const char *job_id, const char *node_id,
                                  struct timeline_row *to, unsigned max, unsigned *count, struct why *why)
{
    *count = 0;
    return hides_node(s, node_id) ? ERR_NOT_FOUND
                                  : raw(s)->ops->timeline_list(raw(s), job_id, node_id, to, max, count, why);
}

static enum err see_execution_list(struct fleet_store *s, const char *job_id, const char *after, struct execution *to,
                                   unsigned max, unsigned *count, struct why *why)
{
    struct execution page[PAGE];
    char from[NODE_ID_SIZE];
    unsigned n = PAGE;
    enum err err = ERR_NONE;
    if (!of(s)->view->has_scope)
        return raw(s)->ops->execution_list(raw(s), job_id, after, to, max, count, why);
    text_copy(from, sizeof from, after);
    for (*count = 0; err == ERR_NONE && n == PAGE && *count < max;) {
        err = raw(s)->ops->execution_list(raw(s), job_id, from, page, PAGE, &n, why);
        for (unsigned i = 0; err == ERR_NONE && i < n && *count < max; i++) {
            text_copy(from, sizeof from, page[i].node_id);
            if (sees_node_id(s, page[i].node_id))
                to[(*count)++] = page[i];
        }
    }
    return err;
}

/* --- events ----------------------------------------------------------------------------------- */

/* By what it is about, the narrowest first. */
static bool sees_event(struct fleet_store *s, const struct event *e)
{
    struct image image;
    struct job job;
    struct group group;
    if (e->node_id[0])
        return sees_node_id(s, e->node_id);
    if (e->job_id[0])
        return see_job_get(s, e->job_id, &job, NULL) == ERR_NONE;
    if (e->image_id[0])
        return see_image_get(s, e->image_id, &image, NULL) == ERR_NONE;
    return e->kind == EVENT_GROUP && see_group_get(s, e->info, &group, NULL) == ERR_NONE;
}

static enum err see_event_list(struct fleet_store *s, int64_t after, struct event *to, unsigned max, unsigned *count,
                               struct why *why)
{
    struct event page[PAGE];
    unsigned n = PAGE;
    enum err err = ERR_NONE;
    for (*count = 0; err == ERR_NONE && n == PAGE && *count < max;) {
        err = raw(s)->ops->event_list(raw(s), after, page, PAGE, &n, why);
        for (unsigned i = 0; err == ERR_NONE && i < n && *count < max; i++) {
            after = page[i].id;
            if (sees_event(s, &page[i]))
                to[(*count)++] = page[i];
        }
    }
    return err;
}

/* --- users ------------------------------------------------------------------------------------ */

static enum err see_user_get(struct fleet_store *s, const char *name, struct user *to, struct why *why)
{
    enum err err = raw(s)->ops->user_get(raw(s), name, to, why);
    return err || is_ours(s, to->org) ? err : ERR_NOT_FOUND;
}

static enum err see_user_get_id(struct fleet_store *s, const char *id, struct user *to, struct why *why)
{
    enum err err = raw(s)->ops->user_get_id(raw(s), id, to, why);
    return err || is_ours(s, to->org) ? err : ERR_NOT_FOUND;
}

static enum err see_user_put(struct fleet_store *s, const struct user *user, struct why *why)
{
    struct user known, own = *user;
    enum err err = raw(s)->ops->user_get(raw(s), user->name, &known, why);
    if (err == ERR_NONE && !is_ours(s, known.org))
        return why_set(why, ERR_USER_EXISTS, "user %.80s exists already", user->name);
    text_copy(own.org, sizeof own.org, of(s)->view->org);
    return err == ERR_NONE || err == ERR_NOT_FOUND ? raw(s)->ops->user_put(raw(s), &own, why) : err;
}

/* --- cards ------------------------------------------------------------------------------------ */

/* Keys that sign images have names that people choose: an organisation's stand behind its id and a colon, which no name
 * holds. */
static const char *key_below(struct fleet_store *s, enum card_kind kind, const char *key, char to[CARD_KEY_SIZE])
{
    if (kind != CARD_SIGN_KEY || of(s)->view->org[0] == '\0')
        return key;
    snprintf(to, CARD_KEY_SIZE, "%s:%.160s", of(s)->view->org, key);
    return to;
}

static enum err see_card_get(struct fleet_store *s, enum card_kind kind, const char *key, char **to, struct why *why)
{
    char below[CARD_KEY_SIZE];
    return raw(s)->ops->card_get(raw(s), kind, key_below(s, kind, key, below), to, why);
}

static enum err see_card_put(struct fleet_store *s, enum card_kind kind, const char *key, struct bytes text,
                             struct why *why)
{
    char below[CARD_KEY_SIZE];
    return raw(s)->ops->card_put(raw(s), kind, key_below(s, kind, key, below), text, why);
}

static enum err see_card_delete(struct fleet_store *s, enum card_kind kind, const char *key, struct why *why)
{
    char below[CARD_KEY_SIZE];
    return raw(s)->ops->card_delete(raw(s), kind, key_below(s, kind, key, below), why);
}

struct card_filter {
    struct card_visitor v;
    struct card_visitor *to;
    bool is_house;
};

static bool pass_key(struct card_visitor *v, const char *key, const char *text)
{
    struct card_filter *f = (struct card_filter *)v;
    const char *colon = strchr(key, ':');
    if (f->is_house)
        return colon != NULL || f->to->visit(f->to, key, text);
    return f->to->visit(f->to, colon ? colon + 1 : key, text);
}

static enum err see_card_scan(struct fleet_store *s, enum card_kind kind, const char *prefix, const char *after,
                              struct card_visitor *v, struct why *why)
{
    char below[CARD_KEY_SIZE], from[CARD_KEY_SIZE];
    struct card_filter f = {{pass_key}, v, of(s)->view->org[0] == '\0'};
    if (kind != CARD_SIGN_KEY)
        return raw(s)->ops->card_scan(raw(s), kind, prefix, after, v, why);
    return raw(s)->ops->card_scan(raw(s), kind, key_below(s, kind, prefix, below),
                                  *after ? key_below(s, kind, after, from) : "", &f.v, why);
}

static const struct fleet_store_ops ops = {
    .commit = see_commit,
    .rollback = see_rollback,
    .changes = see_changes,
    .version = see_version,
    .node_get = see_node_get,
    .node_put = see_node_put,
    .node_delete = see_node_delete,
    .node_list = see_node_list,
    .node_scan = see_node_scan,
    .nodes_alike = see_nodes_alike,
    .node_count = see_node_count,
    .nodes_all_offline = see_nodes_all_offline,
    .nodes_expected = see_nodes_expected,
    .group_get = see_group_get,
    .group_find_name = see_group_find_name,
    .group_put = see_group_put,
    .group_delete = see_group_delete,
    .group_list = see_group_list,
    .group_children = see_group_children,
    .member_add = see_member_add,
    .member_remove = see_member_remove,
    .member_list = see_member_list,
    .groups_of_node = see_groups_of_node,
    .image_get = see_image_get,
    .image_find_name = see_image_find_name,
    .image_put = see_image_put,
    .image_delete = see_image_delete,
    .image_list = see_image_list,
    .image_uses = see_image_uses,
    .blob_uses = see_blob_uses,
    .job_get = see_job_get,
    .job_find_name = see_job_find_name,
    .job_put = see_job_put,
    .job_list = see_job_list,
    .job_scan_active = see_job_scan_active,
    .job_target_add = see_job_target_add,
    .job_target_list = see_job_target_list,
    .job_has_target = see_job_has_target,
    .job_state_get = see_job_state_get,
    .job_state_put = see_job_state_put,
    .jobs_busy = see_jobs_busy,
    .execution_get = see_execution_get,
    .execution_put = see_execution_put,
    .execution_list = see_execution_list,
    .executions_open = see_executions_open,
    .executions_due = see_executions_due,
    .executions_waiting = see_executions_waiting,
    .network_load = see_network_load,
    .timeline_list = see_timeline_list,
    .outbox_add = see_outbox_add,
    .outbox_text = see_outbox_text,
    .outbox_list = see_outbox_list,
    .outbox_delete = see_outbox_delete,
    .event_add = see_event_add,
    .event_list = see_event_list,
    .event_bounds = see_event_bounds,
    .user_get = see_user_get,
    .user_get_id = see_user_get_id,
    .user_put = see_user_put,
    .user_list = see_user_list,
    .user_delete = see_user_delete,
    .user_count = see_user_count,
    .token_put = see_token_put,
    .token_get = see_token_get,
    .token_delete = see_token_delete,
    .tokens_delete_user = see_tokens_delete_user,
    .card_get = see_card_get,
    .card_put = see_card_put,
    .card_delete = see_card_delete,
    .card_scan = see_card_scan,
};

struct fleet_store *view_store_init(struct view_store *v, struct fleet_store *store, const struct fleet_view *view)
{
    *v = (struct view_store){{&ops}, store, view};
    return &v->port;
}

enum err fleet_view_init(struct fleet_view *v, const char *org, const char *scope, time_ms now, struct why *why)
{
    *v = (struct fleet_view){.has_scope = *scope != '\0', .now = now};
    text_copy(v->org, sizeof v->org, org);
    text_copy(v->scope_text, sizeof v->scope_text, scope);
    return query_read(&v->scope, scope, why);
}
