#include "store/memory/memory_store.h"

#include "base/text.h"
#include "store/memory/rows.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys of more than one part are joined by a byte below all that ids contain, so that they sort part by part. */
#define JOIN "\x01"

enum table {
    NODES,
    CARDS, /* kind, key */
    GROUPS,
    GROUP_NAMES,   /* owner, name */
    GROUP_PARENTS, /* parent, id */
    MEMBERS,       /* group, node */
    MEMBERSHIPS,   /* node, group */
    IMAGES,
    IMAGE_NAMES,
    IMAGE_ORDER, /* number */
    JOBS,
    JOB_NAMES,
    JOB_ORDER, /* number */
    JOB_QUEUE, /* of the active: priority, number from above */
    TARGETS,   /* job, node */
    STATES,
    EXECUTIONS, /* job, node */
    OPEN,       /* node, job */
    DUE,        /* deadline, job, node */
    WAITING,    /* job, deadline, node */
    AT_WORK,    /* network, job, node */
    TIMELINE,   /* job, node, number */
    OUTBOX,
    EVENTS,
    USERS,
    USER_NAMES,
    TOKENS,
    NUMBERS, /* of rows that are kept in the order of their birth: id -> number */
    TABLES
};

struct memory_store {
    struct fleet_store port;
    struct rows tables[TABLES];
    struct rows_journal journal;
    pthread_mutex_t lock;
    int64_t version, last_number, last_outbox, last_event;
    int64_t before[4]; /* the four above, when the transaction began */
    struct epochs {
        int64_t number[BROKERS_MAX]; /* nodes whose connection is of another one are offline */
        time_ms at[BROKERS_MAX];
    } epochs, epochs_before;
};

/* A node as it is kept: is_online counts only in its epoch. */
struct kept_node {
    struct node node;
    int64_t epoch;
};

static struct memory_store *of(struct fleet_store *port)
{
    return (struct memory_store *)port;
}

static const char *key_text(char key[ROW_KEY_SIZE], const char *a, const char *b, const char *c)
{
    if (b == NULL)
        snprintf(key, ROW_KEY_SIZE, "%s", a);
    else if (c == NULL)
        snprintf(key, ROW_KEY_SIZE, "%s" JOIN "%s", a, b);
    else
        snprintf(key, ROW_KEY_SIZE, "%s" JOIN "%s" JOIN "%s", a, b, c);
    return key;
}

static const char *number_text(char to[20], int64_t number)
{
    snprintf(to, 20, "%016" PRIx64, (uint64_t)number);
    return to;
}

static bool has_prefix(const struct row *row, const char *prefix)
{
    return row != NULL && strncmp(row->key, prefix, strlen(prefix)) == 0;
}

static enum err put(struct memory_store *s, enum table t, const char *key, const void *at, size_t len, struct why *why)
{
    return rows_put(&s->tables[t], &s->journal, key, at, len) ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
}

static enum err drop(struct memory_store *s, enum table t, const char *key, struct why *why)
{
    return rows_remove(&s->tables[t], &s->journal, key) ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
}

static enum err get(struct memory_store *s, enum table t, const char *key, void *to, size_t len)
{
    struct row *row = rows_get(&s->tables[t], key);
    if (row == NULL)
        return ERR_NOT_FOUND;
    memcpy(to, row->at, len);
    return ERR_NONE;
}

/* The row behind an index row, whose bytes are the other table's key. */
static enum err get_by(struct memory_store *s, enum table index, const char *key, enum table t, void *to, size_t len)
{
    struct row *row = rows_get(&s->tables[index], key);
    return row ? get(s, t, (const char *)row->at, to, len) : ERR_NOT_FOUND;
}

static enum err put_text(struct memory_store *s, enum table t, const char *key, const char *text, struct why *why)
{
    return put(s, t, key, text, strlen(text) + 1, why);
}

/* --- transactions ----------------------------------------------------------------------------- */

static enum err mem_begin(struct fleet_store *port, bool is_reading, struct fleet_store **tx, struct why *why)
{
    struct memory_store *s = of(port);
    (void)is_reading, (void)why;
    pthread_mutex_lock(&s->lock);
    *tx = port;
    memcpy(s->before, (int64_t[]){s->version, s->last_number, s->last_outbox, s->last_event}, sizeof s->before);
    s->epochs_before = s->epochs;
    return ERR_NONE;
}

static enum err mem_commit(struct fleet_store *port, struct why *why)
{
    (void)why;
    rows_keep(&of(port)->journal);
    pthread_mutex_unlock(&of(port)->lock);
    return ERR_NONE;
}

static void mem_rollback(struct fleet_store *port)
{
    struct memory_store *s = of(port);
    rows_undo(&s->journal);
    s->version++; /* what was remembered in between is not true */
    s->last_number = s->before[1], s->last_outbox = s->before[2], s->last_event = s->before[3];
    s->epochs = s->epochs_before;
    pthread_mutex_unlock(&s->lock);
}

static int64_t mem_changes(struct fleet_store *port)
{
    return (int64_t)of(port)->journal.count;
}

static enum err mem_version(struct fleet_store *port, int64_t *version, struct why *why)
{
    (void)why;
    *version = of(port)->version;
    return ERR_NONE;
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void take_node(const struct memory_store *s, const struct row *row, struct node *to)
{
    struct kept_node kept;
    memcpy(&kept, row->at, sizeof kept);
    *to = kept.node;
    if (kept.node.is_online && kept.epoch != s->epochs.number[kept.node.broker]) {
        to->is_online = false;
        to->subscribed_at = 0;
        to->presence_at = s->epochs.at[kept.node.broker];
    }
}

static enum err mem_node_get(struct fleet_store *port, const char *id, struct node *to, struct why *why)
{
    struct row *row = rows_get(&of(port)->tables[NODES], id);
    (void)why;
    if (row != NULL)
        take_node(of(port), row, to);
    return row ? ERR_NONE : ERR_NOT_FOUND;
}

static enum err mem_node_put(struct fleet_store *port, const struct node *node, struct why *why)
{
    struct kept_node kept = {*node, of(port)->epochs.number[node->broker]};
    return put(of(port), NODES, node->id, &kept, sizeof kept, why);
}

static enum err mem_node_delete(struct fleet_store *port, const char *id, struct why *why)
{
    return drop(of(port), NODES, id, why);
}

/* The row after `after`; the first one when that is "". */
static struct row *row_after(struct rows *rows, const char *after)
{
    struct row *row = rows_from(rows, after);
    return row != NULL && *after && strcmp(row->key, after) == 0 ? rows_next(row) : row;
}

static enum err mem_node_list(struct fleet_store *port, const char *after, struct node *to, unsigned max,
                              unsigned *count, struct why *why)
{
    struct row *row = row_after(&of(port)->tables[NODES], after);
    (void)why;
    for (*count = 0; *count < max && row != NULL; row = rows_next(row))
        take_node(of(port), row, &to[(*count)++]);
    return ERR_NONE;
}

static enum err mem_node_scan(struct fleet_store *port, const char *after, struct node_visitor *v, struct why *why)
{
    struct node node;
    (void)why;
    for (struct row *row = row_after(&of(port)->tables[NODES], after); row != NULL; row = rows_next(row)) {
        take_node(of(port), row, &node);
        if (!v->visit(v, &node))
            break;
    }
    return ERR_NONE;
}

static enum err mem_nodes_alike(struct fleet_store *port, const char *org, struct alike_visitor *v, struct why *why)
{
    struct node node;
    (void)why;
    for (struct row *row = row_after(&of(port)->tables[NODES], ""); row != NULL; row = rows_next(row)) {
        take_node(of(port), row, &node);
        node.activated_at = node.activated_at != 0;
        if (org == NULL || strcmp(node.org, org) == 0)
            v->visit(v, &node, 1);
    }
    return ERR_NONE;
}

static enum err mem_node_count(struct fleet_store *port, int64_t *count, struct why *why)
{
    (void)why;
    *count = of(port)->tables[NODES].count;
    return ERR_NONE;
}

static enum err mem_nodes_all_offline(struct fleet_store *port, unsigned broker, time_ms now, struct why *why)
{
    (void)why;
    of(port)->epochs.number[broker]++;
    of(port)->epochs.at[broker] = now;
    return ERR_NONE;
}

/* --- groups ----------------------------------------------------------------------------------- */

static enum err mem_group_get(struct fleet_store *port, const char *id, struct group *to, struct why *why)
{
    (void)why;
    return get(of(port), GROUPS, id, to, sizeof *to);
}

static enum err mem_group_find_name(struct fleet_store *port, const char *owner, const char *name, struct group *to,
                                    struct why *why)
{
    char key[ROW_KEY_SIZE];
    (void)why;
    return get_by(of(port), GROUP_NAMES, key_text(key, owner, name, NULL), GROUPS, to, sizeof *to);
}

static enum err forget_group_keys(struct memory_store *s, const struct group *g, struct why *why)
{
    char key[ROW_KEY_SIZE];
    enum err err = drop(s, GROUP_NAMES, key_text(key, g->owner, g->name, NULL), why);
    return err ? err : drop(s, GROUP_PARENTS, key_text(key, g->parent_id, g->id, NULL), why);
}

static enum err mem_group_put(struct fleet_store *port, const struct group *g, struct why *why)
{
    struct memory_store *s = of(port);
    struct group before, kept = *g;
    char key[ROW_KEY_SIZE];
    enum err err = ERR_NONE;
    s->version++;
    kept.total = 0;
    if (get(s, GROUPS, g->id, &before, sizeof before) == ERR_NONE) {
        kept.total = before.total;
        err = forget_group_keys(s, &before, why);
    }
    if (err == ERR_NONE && (err = put(s, GROUPS, g->id, &kept, sizeof kept, why)) == ERR_NONE)
        err = put_text(s, GROUP_NAMES, key_text(key, g->owner, g->name, NULL), g->id, why);
    return err ? err : put_text(s, GROUP_PARENTS, key_text(key, g->parent_id, g->id, NULL), g->id, why);
}

static enum err mem_group_list(struct fleet_store *port, const char *owner, const char *after, struct group *to,
                               unsigned max, unsigned *count, struct why *why)
{
    struct row *row = row_after(&of(port)->tables[GROUPS], after);
    (void)why;
    for (*count = 0; *count < max && row != NULL; row = rows_next(row)) {
        memcpy(&to[*count], row->at, sizeof *to);
        *count += strcmp(to[*count].owner, owner) == 0;
    }
    return ERR_NONE;
}

static enum err mem_group_children(struct fleet_store *port, const char *id, struct group *to, unsigned max,
                                   unsigned *count, struct why *why)
{
    struct memory_store *s = of(port);
    char prefix[ROW_KEY_SIZE];
    (void)why;
    key_text(prefix, id, "", NULL);
    struct row *row = rows_from(&s->tables[GROUP_PARENTS], prefix);
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row))
        if (get(s, GROUPS, (const char *)row->at, &to[*count], sizeof *to) == ERR_NONE)
            ++*count;
    return ERR_NONE;
}

static enum err add_to_total(struct memory_store *s, const char *group_id, int change, struct why *why)
{
    struct group g;
    if (get(s, GROUPS, group_id, &g, sizeof g) != ERR_NONE)
        return ERR_NONE;
    g.total += change;
    return put(s, GROUPS, group_id, &g, sizeof g, why);
}

static enum err mem_member_add(struct fleet_store *port, const char *group_id, const char *node_id, time_ms now,
                               struct why *why)
{
    struct memory_store *s = of(port);
    char key[ROW_KEY_SIZE];
    struct membership m = {.joined_at = now};
    text_copy(m.group_id, sizeof m.group_id, group_id);
    if (rows_get(&s->tables[MEMBERS], key_text(key, group_id, node_id, NULL)) != NULL)
        return ERR_NONE;
    s->version++;
    enum err err = put_text(s, MEMBERS, key, node_id, why);
    if (err == ERR_NONE)
        err = put(s, MEMBERSHIPS, key_text(key, node_id, group_id, NULL), &m, sizeof m, why);
    return err ? err : add_to_total(s, group_id, 1, why);
}

static enum err mem_member_remove(struct fleet_store *port, const char *group_id, const char *node_id, struct why *why)
{
    struct memory_store *s = of(port);
    char key[ROW_KEY_SIZE];
    if (rows_get(&s->tables[MEMBERS], key_text(key, group_id, node_id, NULL)) == NULL)
        return ERR_NONE;
    s->version++;
    enum err err = drop(s, MEMBERS, key, why);
    if (err == ERR_NONE)
        err = drop(s, MEMBERSHIPS, key_text(key, node_id, group_id, NULL), why);
    return err ? err : add_to_total(s, group_id, -1, why);
}

/* Pages through an index whose key is `first`, then an id which is also its bytes. */
static void list_ids(struct memory_store *s, enum table t, const char *first, const char *after,
                     char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count)
{
    char prefix[ROW_KEY_SIZE], from[ROW_KEY_SIZE];
    key_text(prefix, first, "", NULL);
    struct row *row = row_after(&s->tables[t], key_text(from, first, after, NULL));
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row))
        text_copy(to[(*count)++], NODE_ID_SIZE, (const char *)row->at);
}

static enum err mem_member_list(struct fleet_store *port, const char *group_id, const char *after,
                                char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    (void)why;
    list_ids(of(port), MEMBERS, group_id, after, to, max, count);
    return ERR_NONE;
}

static enum err mem_groups_of_node(struct fleet_store *port, const char *node_id, struct membership *to, unsigned max,
                                   unsigned *count, struct why *why)
{
    char prefix[ROW_KEY_SIZE];
    (void)why;
    key_text(prefix, node_id, "", NULL);
    struct row *row = rows_from(&of(port)->tables[MEMBERSHIPS], prefix);
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row))
        memcpy(&to[(*count)++], row->at, sizeof *to);
    return ERR_NONE;
}

static enum err mem_group_delete(struct fleet_store *port, const char *id, struct why *why)
{
    struct memory_store *s = of(port);
    struct group g;
    char nodes[32][NODE_ID_SIZE];
    unsigned count = 32;
    enum err err = get(s, GROUPS, id, &g, sizeof g);
    s->version++;
    while (err == ERR_NONE && count == 32) {
        list_ids(s, MEMBERS, id, "", nodes, 32, &count);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            err = mem_member_remove(port, id, nodes[i], why);
    }
    if (err == ERR_NONE)
        err = forget_group_keys(s, &g, why);
    return err ? err : drop(s, GROUPS, id, why);
}

/* --- images and jobs, in the order of their birth --------------------------------------------- */

/* Gives a new row its number. */
static enum err number_row(struct memory_store *s, enum table order, const char *id, int64_t *number, struct why *why)
{
    char text[20];
    if (get(s, NUMBERS, id, number, sizeof *number) == ERR_NONE)
        return ERR_NONE;
    *number = ++s->last_number;
    enum err err = put(s, NUMBERS, id, number, sizeof *number, why);
    return err ? err : put_text(s, order, number_text(text, *number), id, why);
}

/* Walks backward: from the newest, or from the row before `after`. */
static struct row *newest_before(struct memory_store *s, enum table order, const char *after)
{
    int64_t number;
    char text[20];
    if (*after == '\0')
        return rows_last(&s->tables[order]);
    if (get(s, NUMBERS, after, &number, sizeof number) != ERR_NONE)
        return NULL;
    while (--number > 0) {
        struct row *row = rows_get(&s->tables[order], number_text(text, number));
        if (row != NULL)
            return row;
    }
    return NULL;
}

static enum err mem_image_get(struct fleet_store *port, const char *id, struct image *to, struct why *why)
{
    (void)why;
    return get(of(port), IMAGES, id, to, sizeof *to);
}

static enum err mem_image_find_name(struct fleet_store *port, const char *org, const char *name, struct image *to,
                                    struct why *why)
{
    char key[ROW_KEY_SIZE];
    (void)why;
    return get_by(of(port), IMAGE_NAMES, key_text(key, org, name, NULL), IMAGES, to, sizeof *to);
}

static enum err mem_image_put(struct fleet_store *port, const struct image *image, struct why *why)
{
    struct memory_store *s = of(port);
    int64_t number;
    char key[ROW_KEY_SIZE];
    s->version++;
    enum err err = number_row(s, IMAGE_ORDER, image->id, &number, why);
    if (err == ERR_NONE)
        err = put(s, IMAGES, image->id, image, sizeof *image, why);
    return err ? err : put_text(s, IMAGE_NAMES, key_text(key, image->org, image->name, NULL), image->id, why);
}

static enum err mem_image_delete(struct fleet_store *port, const char *id, struct why *why)
{
    struct memory_store *s = of(port);
    struct image image;
    int64_t number = 0;
    char text[20], key[ROW_KEY_SIZE];
    if (get(s, IMAGES, id, &image, sizeof image) != ERR_NONE)
        return ERR_NONE;
    s->version++;
    get(s, NUMBERS, id, &number, sizeof number);
    enum err err = drop(s, IMAGE_NAMES, key_text(key, image.org, image.name, NULL), why);
    if (err == ERR_NONE)
        err = drop(s, IMAGE_ORDER, number_text(text, number), why);
    if (err == ERR_NONE)
        err = drop(s, NUMBERS, id, why);
    return err ? err : drop(s, IMAGES, id, why);
}

static enum err mem_image_list(struct fleet_store *port, const char *after, struct image *to, unsigned max,
                               unsigned *count, struct why *why)
{
    struct memory_store *s = of(port);
    (void)why;
    *count = 0;
    for (struct row *row = newest_before(s, IMAGE_ORDER, after); row != NULL && *count < max;) {
        char id[ID_LEN + 1];
        text_copy(id, sizeof id, (const char *)row->at);
        if (get(s, IMAGES, id, &to[*count], sizeof *to) == ERR_NONE)
            ++*count;
        row = newest_before(s, IMAGE_ORDER, id);
    }
    return ERR_NONE;
}

static enum err mem_image_uses(struct fleet_store *port, const char *id, int64_t *jobs, int64_t *active,
                               struct why *why)
{
    (void)why;
    *jobs = *active = 0;
    for (struct row *row = rows_from(&of(port)->tables[JOBS], ""); row != NULL; row = rows_next(row)) {
        const struct job *job = (const struct job *)(const void *)row->at;
        bool is_used = strcmp(job->image_id, id) == 0;
        *jobs += is_used;
        *active += is_used && job->status == JOB_ACTIVE;
    }
    return ERR_NONE;
}

static enum err mem_blob_uses(struct fleet_store *port, const char *sha256, int64_t *images, struct why *why)
{
    (void)why;
    *images = 0;
    for (struct row *row = rows_from(&of(port)->tables[IMAGES], ""); row != NULL; row = rows_next(row))
        *images += strcmp(((const struct image *)(const void *)row->at)->sha256, sha256) == 0;
    return ERR_NONE;
}

static enum err mem_job_get(struct fleet_store *port, const char *id, struct job *to, struct why *why)
{
    (void)why;
    return get(of(port), JOBS, id, to, sizeof *to);
}

static enum err mem_job_find_name(struct fleet_store *port, const char *org, const char *name, struct job *to,
                                  struct why *why)
{
    char key[ROW_KEY_SIZE];
    (void)why;
    return get_by(of(port), JOB_NAMES, key_text(key, org, name, NULL), JOBS, to, sizeof *to);
}

static const char *active_key(char key[ROW_KEY_SIZE], const struct job *job, int64_t number)
{
    snprintf(key, ROW_KEY_SIZE, "%02d%016" PRIx64, job->priority, (uint64_t)(INT64_MAX - number));
    return key;
}

static enum err mem_job_put(struct fleet_store *port, const struct job *job, struct why *why)
{
    struct memory_store *s = of(port);
    struct job before;
    int64_t number;
    char key[ROW_KEY_SIZE], name_key[ROW_KEY_SIZE];
    s->version++;
    enum err err = number_row(s, JOB_ORDER, job->id, &number, why);
    if (err == ERR_NONE && get(s, JOBS, job->id, &before, sizeof before) == ERR_NONE &&
        (err = drop(s, JOB_NAMES, key_text(name_key, before.org, before.name, NULL), why)) == ERR_NONE)
        err = drop(s, JOB_QUEUE, active_key(key, &before, number), why);
    if (err == ERR_NONE && job->status == JOB_ACTIVE)
        err = put_text(s, JOB_QUEUE, active_key(key, job, number), job->id, why);
    if (err == ERR_NONE)
        err = put(s, JOBS, job->id, job, sizeof *job, why);
    return err ? err : put_text(s, JOB_NAMES, key_text(name_key, job->org, job->name, NULL), job->id, why);
}

static enum err mem_job_list(struct fleet_store *port, const char *after, struct job *to, unsigned max, unsigned *count,
                             struct why *why)
{
    struct memory_store *s = of(port);
    (void)why;
    *count = 0;
    for (struct row *row = newest_before(s, JOB_ORDER, after); row != NULL && *count < max;) {
        char id[ID_LEN + 1];
        text_copy(id, sizeof id, (const char *)row->at);
        if (get(s, JOBS, id, &to[*count], sizeof *to) == ERR_NONE)
            ++*count;
        row = newest_before(s, JOB_ORDER, id);
    }
    return ERR_NONE;
}

static enum err mem_job_scan_active(struct fleet_store *port, struct job_visitor *v, struct why *why)
{
    struct memory_store *s = of(port);
    (void)why;
    for (struct row *row = rows_from(&s->tables[JOB_QUEUE], ""); row != NULL; row = rows_next(row)) {
        struct row *job = rows_get(&s->tables[JOBS], (const char *)row->at);
        if (job != NULL && !v->visit(v, (const struct job *)(const void *)job->at))
            break;
    }
    return ERR_NONE;
}

static enum err mem_job_target_add(struct fleet_store *port, const char *job_id, const char *node_id, struct why *why)
{
    char key[ROW_KEY_SIZE];
    return put_text(of(port), TARGETS, key_text(key, job_id, node_id, NULL), node_id, why);
}

static enum err mem_job_target_list(struct fleet_store *port, const char *job_id, const char *after,
                                    char (*to)[NODE_ID_SIZE], unsigned max, unsigned *count, struct why *why)
{
    (void)why;
    list_ids(of(port), TARGETS, job_id, after, to, max, count);
    return ERR_NONE;
}

static enum err mem_job_has_target(struct fleet_store *port, const char *job_id, const char *node_id, bool *has,
                                   struct why *why)
{
    char key[ROW_KEY_SIZE];
    (void)why;
    *has = rows_get(&of(port)->tables[TARGETS], key_text(key, job_id, node_id, NULL)) != NULL;
    return ERR_NONE;
}

static enum err mem_job_state_get(struct fleet_store *port, const char *job_id, struct job_state *to, struct why *why)
{
    (void)why;
    return get(of(port), STATES, job_id, to, sizeof *to);
}

static enum err mem_job_state_put(struct fleet_store *port, const struct job_state *state, struct why *why)
{
    return put(of(port), STATES, state->job_id, state, sizeof *state, why);
}

static enum err mem_jobs_busy(struct fleet_store *port, char (*to)[ID_LEN + 1], unsigned max, unsigned *count,
                              struct why *why)
{
    (void)why;
    *count = 0;
    for (struct row *row = rows_from(&of(port)->tables[STATES], ""); row != NULL && *count < max;
         row = rows_next(row)) {
        const struct job_state *state = (const struct job_state *)(const void *)row->at;
        if (state->is_pushing || state->sweep != 0)
            text_copy(to[(*count)++], ID_LEN + 1, state->job_id);
    }
    return ERR_NONE;
}

/* --- executions ------------------------------------------------------------------------------- */

static bool is_at_work(const struct execution *e)
{
    return e->state >= EX_OFFERED && e->state <= EX_PROVISIONAL;
}

/* Whether the execution has a row in an index, and which. */
static bool index_key(enum table t, const struct execution *e, char key[ROW_KEY_SIZE])
{
    char deadline[20];
    number_text(deadline, e->deadline_at);
    switch (t) {
    case OPEN:
        key_text(key, e->node_id, e->job_id, NULL);
        return e->state < EX_FIRST_OVER;
    case DUE:
        key_text(key, deadline, e->job_id, e->node_id);
        return e->deadline_at > 0;
    case WAITING:
        key_text(key, e->job_id, deadline, e->node_id);
        return e->state == EX_WAITING && e->deadline_at > 0;
    case AT_WORK:
        key_text(key, e->network, e->job_id, e->node_id);
        return e->network[0] && is_at_work(e);
    default:
        return false;
    }
}

static enum err keep_index(struct memory_store *s, enum table t, const struct execution *before,
                           const struct execution *e, struct why *why)
{
    char old[ROW_KEY_SIZE] = "", new[ROW_KEY_SIZE] = "", to[ROW_KEY_SIZE];
    bool had = before != NULL && index_key(t, before, old), has = index_key(t, e, new);
    if (had && has && strcmp(old, new) == 0)
        return ERR_NONE;
    enum err err = had ? drop(s, t, old, why) : ERR_NONE;
    return err == ERR_NONE && has ? put_text(s, t, new, key_text(to, e->job_id, e->node_id, NULL), why) : err;
}

static enum err mem_execution_get(struct fleet_store *port, const char *job_id, const char *node_id,
                                  struct execution *to, struct why *why)
{
    char key[ROW_KEY_SIZE];
    (void)why;
    return get(of(port), EXECUTIONS, key_text(key, job_id, node_id, NULL), to, sizeof *to);
}

static enum err mem_execution_put(struct fleet_store *port, const struct execution *e, const struct timeline_row *row,
                                  struct why *why)
{
    static const enum table indices[] = {OPEN, DUE, WAITING, AT_WORK};
    struct memory_store *s = of(port);
    struct execution before;
    char key[ROW_KEY_SIZE], number[20];
    bool had = get(s, EXECUTIONS, key_text(key, e->job_id, e->node_id, NULL), &before, sizeof before) == ERR_NONE;
    enum err err = put(s, EXECUTIONS, key, e, sizeof *e, why);
    for (size_t i = 0; err == ERR_NONE && i < sizeof indices / sizeof indices[0]; i++)
        err = keep_index(s, indices[i], had ? &before : NULL, e, why);
    if (err == ERR_NONE && row != NULL) {
        key_text(key, e->job_id, e->node_id, number_text(number, ++s->last_number));
        err = put(s, TIMELINE, key, row, offsetof(struct timeline_row, info) + strlen(row->info) + 1, why);
    }
    return err;
}

static enum err mem_execution_list(struct fleet_store *port, const char *job_id, const char *after,
                                   struct execution *to, unsigned max, unsigned *count, struct why *why)
{
    char prefix[ROW_KEY_SIZE], from[ROW_KEY_SIZE];
    (void)why;
    key_text(prefix, job_id, "", NULL);
    struct row *row = row_after(&of(port)->tables[EXECUTIONS], key_text(from, job_id, after, NULL));
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row))
        memcpy(&to[(*count)++], row->at, sizeof *to);
    return ERR_NONE;
}

/* Executions behind the rows of an index that begin with `prefix`. */
static void list_behind(struct memory_store *s, enum table t, const char *prefix, struct execution *to, unsigned max,
                        unsigned *count)
{
    struct row *row = rows_from(&s->tables[t], prefix);
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row))
        if (get(s, EXECUTIONS, (const char *)row->at, &to[*count], sizeof *to) == ERR_NONE)
            ++*count;
}

static enum err mem_executions_open(struct fleet_store *port, const char *node_id, struct execution *to, unsigned max,
                                    unsigned *count, struct why *why)
{
    char prefix[ROW_KEY_SIZE];
    (void)why;
    list_behind(of(port), OPEN, key_text(prefix, node_id, "", NULL), to, max, count);
    return ERR_NONE;
}

static enum err mem_executions_due(struct fleet_store *port, time_ms now, struct execution *to, unsigned max,
                                   unsigned *count, time_ms *next_at, struct why *why)
{
    struct memory_store *s = of(port);
    struct row *row = rows_from(&s->tables[DUE], "");
    char until[20];
    (void)why;
    number_text(until, now + 1);
    for (*count = 0; *count < max && row != NULL && strcmp(row->key, until) < 0; row = rows_next(row))
        if (get(s, EXECUTIONS, (const char *)row->at, &to[*count], sizeof *to) == ERR_NONE)
            ++*count;
    *next_at = row != NULL ? (time_ms)strtoull(row->key, NULL, 16) : 0;
    return ERR_NONE;
}

static enum err mem_executions_waiting(struct fleet_store *port, const char *job_id, struct execution *to, unsigned max,
                                       unsigned *count, struct why *why)
{
    char prefix[ROW_KEY_SIZE];
    (void)why;
    list_behind(of(port), WAITING, key_text(prefix, job_id, "", NULL), to, max, count);
    return ERR_NONE;
}

static enum err mem_network_load(struct fleet_store *port, const char *network, const char *job_id, time_ms since,
                                 int64_t *count, struct why *why)
{
    struct memory_store *s = of(port);
    char prefix[ROW_KEY_SIZE];
    struct execution e;
    (void)why;
    key_text(prefix, network, *job_id ? job_id : "", *job_id ? "" : NULL);
    struct row *row = rows_from(&s->tables[AT_WORK], prefix);
    for (*count = 0; has_prefix(row, prefix); row = rows_next(row))
        *count += get(s, EXECUTIONS, (const char *)row->at, &e, sizeof e) == ERR_NONE && e.offered_at >= since;
    return ERR_NONE;
}

static enum err mem_timeline_list(struct fleet_store *port, const char *job_id, const char *node_id,
                                  struct timeline_row *to, unsigned max, unsigned *count, struct why *why)
{
    char prefix[ROW_KEY_SIZE];
    (void)why;
    struct row *row = rows_from(&of(port)->tables[TIMELINE], key_text(prefix, job_id, node_id, ""));
    for (*count = 0; *count < max && has_prefix(row, prefix); row = rows_next(row)) {
        to[*count] = (struct timeline_row){.at = 0};
        memcpy(&to[(*count)++], row->at, row->len);
    }
    return ERR_NONE;
}

/* --- what leaves ------------------------------------------------------------------------------ */

/* The text lies behind the row. */
static enum err mem_outbox_add(struct fleet_store *port, const struct outbox_row *row, const char *text,
                               struct why *why)
{
    struct outbox_row kept = *row;
    size_t len = text ? strlen(text) : 0;
    char key[20], *bytes = malloc(sizeof kept + len + 1);
    if (bytes == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    kept.id = ++of(port)->last_outbox;
    memcpy(bytes, &kept, sizeof kept);
    memcpy(bytes + sizeof kept, text ? text : "", len + 1);
    enum err err = put(of(port), OUTBOX, number_text(key, kept.id), bytes, sizeof kept + len + 1, why);
    free(bytes);
    return err;
}

static enum err mem_outbox_text(struct fleet_store *port, int64_t id, char *to, size_t size, struct why *why)
{
    char key[20];
    (void)why;
    struct row *row = rows_get(&of(port)->tables[OUTBOX], number_text(key, id));
    text_copy(to, size, row ? (const char *)row->at + sizeof(struct outbox_row) : "");
    return ERR_NONE;
}

static enum err mem_outbox_list(struct fleet_store *port, int64_t after, struct outbox_row *to, unsigned max,
                                unsigned *count, struct why *why)
{
    char key[20];
    (void)why;
    struct row *row = rows_from(&of(port)->tables[OUTBOX], number_text(key, after + 1));
    for (*count = 0; *count < max && row != NULL; row = rows_next(row))
        memcpy(&to[(*count)++], row->at, sizeof *to);
    return ERR_NONE;
}

static enum err mem_outbox_delete(struct fleet_store *port, int64_t id, struct why *why)
{
    char key[20];
    return drop(of(port), OUTBOX, number_text(key, id), why);
}

static enum err mem_event_add(struct fleet_store *port, const struct event *e, struct why *why)
{
    struct memory_store *s = of(port);
    struct event kept = *e;
    char key[20];
    kept.id = ++s->last_event;
    enum err err = put(s, EVENTS, number_text(key, kept.id), &kept, sizeof kept, why);
    return err || kept.id <= EVENTS_KEPT ? err : drop(s, EVENTS, number_text(key, kept.id - EVENTS_KEPT), why);
}

static enum err mem_event_list(struct fleet_store *port, int64_t after, struct event *to, unsigned max, unsigned *count,
                               struct why *why)
{
    char key[20];
    (void)why;
    struct row *row = rows_from(&of(port)->tables[EVENTS], number_text(key, after + 1));
    for (*count = 0; *count < max && row != NULL; row = rows_next(row))
        memcpy(&to[(*count)++], row->at, sizeof *to);
    return ERR_NONE;
}

static enum err mem_event_bounds(struct fleet_store *port, int64_t *first, int64_t *last, struct why *why)
{
    struct row *row = rows_from(&of(port)->tables[EVENTS], "");
    (void)why;
    *first = row ? ((const struct event *)(const void *)row->at)->id : 0;
    *last = row ? of(port)->last_event : 0;
    return ERR_NONE;
}

/* --- users ------------------------------------------------------------------------------------ */

static enum err mem_user_get(struct fleet_store *port, const char *name, struct user *to, struct why *why)
{
    (void)why;
    return get_by(of(port), USER_NAMES, name, USERS, to, sizeof *to);
}

static enum err mem_user_get_id(struct fleet_store *port, const char *id, struct user *to, struct why *why)
{
    (void)why;
    return get(of(port), USERS, id, to, sizeof *to);
}

static enum err mem_user_put(struct fleet_store *port, const struct user *user, struct why *why)
{
    enum err err = put(of(port), USERS, user->id, user, sizeof *user, why);
    return err ? err : put_text(of(port), USER_NAMES, user->name, user->id, why);
}

static enum err mem_user_list(struct fleet_store *port, const char *after_name, struct user *to, unsigned max,
                              unsigned *count, struct why *why)
{
    struct memory_store *s = of(port);
    struct row *row = row_after(&s->tables[USER_NAMES], after_name);
    (void)why;
    for (*count = 0; *count < max && row != NULL; row = rows_next(row))
        *count += get(s, USERS, (const char *)row->at, &to[*count], sizeof *to) == ERR_NONE;
    return ERR_NONE;
}

static enum err mem_user_delete(struct fleet_store *port, const struct user *user, struct why *why)
{
    enum err err = drop(of(port), USERS, user->id, why);
    return err ? err : drop(of(port), USER_NAMES, user->name, why);
}

static enum err mem_user_count(struct fleet_store *port, int64_t *count, struct why *why)
{
    (void)why;
    *count = of(port)->tables[USERS].count;
    return ERR_NONE;
}

struct kept_token {
    char user_id[ID_LEN + 1];
    time_ms expires_at;
};

static enum err mem_token_put(struct fleet_store *port, const char *digest, const char *user_id, time_ms expires_at,
                              struct why *why)
{
    struct kept_token kept = {.expires_at = expires_at};
    text_copy(kept.user_id, sizeof kept.user_id, user_id);
    return put(of(port), TOKENS, digest, &kept, sizeof kept, why);
}

static enum err mem_token_get(struct fleet_store *port, const char *digest, char user_id[ID_LEN + 1],
                              time_ms *expires_at, struct why *why)
{
    struct kept_token kept;
    (void)why;
    enum err err = get(of(port), TOKENS, digest, &kept, sizeof kept);
    if (err == ERR_NONE) {
        text_copy(user_id, ID_LEN + 1, kept.user_id);
        *expires_at = kept.expires_at;
    }
    return err;
}

static enum err mem_token_delete(struct fleet_store *port, const char *digest, struct why *why)
{
    return drop(of(port), TOKENS, digest, why);
}

static enum err mem_tokens_delete_user(struct fleet_store *port, const char *user_id, struct why *why)
{
    struct memory_store *s = of(port);
    enum err err = ERR_NONE;
    for (struct row *row = rows_from(&s->tables[TOKENS], ""), *next; err == ERR_NONE && row != NULL; row = next) {
        next = rows_next(row);
        if (strcmp(((const struct kept_token *)(const void *)row->at)->user_id, user_id) == 0)
            err = drop(s, TOKENS, row->key, why);
    }
    return err;
}

/* --- cards ------------------------------------------------------------------------------------ */

static const char *card_key(char key[ROW_KEY_SIZE], enum card_kind kind, const char *rest)
{
    snprintf(key, ROW_KEY_SIZE, "%02d" JOIN "%s", (int)kind, rest);
    return key;
}

static enum err mem_card_get(struct fleet_store *port, enum card_kind kind, const char *key, char **to, struct why *why)
{
    char whole[ROW_KEY_SIZE];
    struct row *row = rows_get(&of(port)->tables[CARDS], card_key(whole, kind, key));
    *to = NULL;
    if (row == NULL)
        return ERR_NOT_FOUND;
    *to = strdup((const char *)row->at);
    return *to ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
}

static enum err mem_card_put(struct fleet_store *port, enum card_kind kind, const char *key, struct bytes text,
                             struct why *why)
{
    char whole[ROW_KEY_SIZE];
    char *copy = strndup((const char *)text.at, text.len);
    enum err err = copy ? put_text(of(port), CARDS, card_key(whole, kind, key), copy, why)
                        : why_set(why, ERR_NO_MEMORY, "no memory");
    free(copy);
    return err;
}

static enum err mem_card_delete(struct fleet_store *port, enum card_kind kind, const char *key, struct why *why)
{
    char whole[ROW_KEY_SIZE];
    return drop(of(port), CARDS, card_key(whole, kind, key), why);
}

static enum err mem_card_scan(struct fleet_store *port, enum card_kind kind, const char *prefix, const char *after,
                              struct card_visitor *v, struct why *why)
{
    char first[ROW_KEY_SIZE], start[ROW_KEY_SIZE];
    (void)why;
    card_key(first, kind, prefix);
    card_key(start, kind, strcmp(after, prefix) > 0 ? after : prefix);
    struct row *row = rows_from(&of(port)->tables[CARDS], start);
    for (; has_prefix(row, first); row = rows_next(row)) {
        const char *key = strchr(row->key, JOIN[0]) + 1;
        if (strcmp(key, after) > 0 && !v->visit(v, key, (const char *)row->at))
            break;
    }
    return ERR_NONE;
}

static const struct fleet_store_ops ops = {
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .changes = mem_changes,
    .version = mem_version,
    .node_get = mem_node_get,
    .node_put = mem_node_put,
    .node_delete = mem_node_delete,
    .node_list = mem_node_list,
    .node_scan = mem_node_scan,
    .nodes_alike = mem_nodes_alike,
    .node_count = mem_node_count,
    .nodes_all_offline = mem_nodes_all_offline,
    .group_get = mem_group_get,
    .group_find_name = mem_group_find_name,
    .group_put = mem_group_put,
    .group_delete = mem_group_delete,
    .group_list = mem_group_list,
    .group_children = mem_group_children,
    .member_add = mem_member_add,
    .member_remove = mem_member_remove,
    .member_list = mem_member_list,
    .groups_of_node = mem_groups_of_node,
    .image_get = mem_image_get,
    .image_find_name = mem_image_find_name,
    .image_put = mem_image_put,
    .image_delete = mem_image_delete,
    .image_list = mem_image_list,
    .image_uses = mem_image_uses,
    .blob_uses = mem_blob_uses,
    .job_get = mem_job_get,
    .job_find_name = mem_job_find_name,
    .job_put = mem_job_put,
    .job_list = mem_job_list,
    .job_scan_active = mem_job_scan_active,
    .job_target_add = mem_job_target_add,
    .job_target_list = mem_job_target_list,
    .job_has_target = mem_job_has_target,
    .job_state_get = mem_job_state_get,
    .job_state_put = mem_job_state_put,
    .jobs_busy = mem_jobs_busy,
    .execution_get = mem_execution_get,
    .execution_put = mem_execution_put,
    .execution_list = mem_execution_list,
    .executions_open = mem_executions_open,
    .executions_due = mem_executions_due,
    .executions_waiting = mem_executions_waiting,
    .network_load = mem_network_load,
    .timeline_list = mem_timeline_list,
    .outbox_add = mem_outbox_add,
    .outbox_text = mem_outbox_text,
    .outbox_list = mem_outbox_list,
    .outbox_delete = mem_outbox_delete,
    .event_add = mem_event_add,
    .event_list = mem_event_list,
    .event_bounds = mem_event_bounds,
    .user_get = mem_user_get,
    .user_get_id = mem_user_get_id,
    .user_put = mem_user_put,
    .user_list = mem_user_list,
    .user_delete = mem_user_delete,
    .user_count = mem_user_count,
    .token_put = mem_token_put,
    .token_get = mem_token_get,
    .token_delete = mem_token_delete,
    .tokens_delete_user = mem_tokens_delete_user,
    .card_get = mem_card_get,
    .card_put = mem_card_put,
    .card_delete = mem_card_delete,
    .card_scan = mem_card_scan,
};

/* --- open and close --------------------------------------------------------------------------- */

enum err memory_store_open(struct memory_store **store, struct why *why)
{
    struct memory_store *s = calloc(1, sizeof *s);
    if (s == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory for the store");
    s->port.ops = &ops;
    pthread_mutex_init(&s->lock, NULL);
    *store = s;
    return ERR_NONE;
}

void memory_store_close(struct memory_store *s)
{
    if (s == NULL)
        return;
    rows_keep(&s->journal);
    for (int t = 0; t < TABLES; t++)
        rows_free(&s->tables[t]);
    rows_journal_free(&s->journal);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

struct fleet_store *memory_store_port(struct memory_store *s)
{
    return &s->port;
}
