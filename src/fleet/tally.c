/* Counts for people who look on: the whole fleet by kind, a job over time, one node through its jobs. */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* --- the fleet -------------------------------------------------------------------------------- */

struct taller {
    struct alike_visitor port;
    struct tally *to;
    unsigned last; /* the kind of the node before: neighbours are alike */
};

static bool is_of_kind(const struct tally_kind *k, const struct node *n)
{
    return strcmp(k->fw_version, n->fw_version) == 0 && strcmp(k->model, n->model) == 0 &&
           strcmp(k->platform, n->platform) == 0 && strcmp(k->project, n->project_name) == 0;
}

static struct tally_kind *kind_of(struct taller *t, const struct node *n)
{
    struct tally *to = t->to;
    if (t->last < to->kind_count && is_of_kind(&to->kinds[t->last], n))
        return &to->kinds[t->last];
    for (t->last = 0; t->last < to->kind_count; t->last++)
        if (is_of_kind(&to->kinds[t->last], n))
            return &to->kinds[t->last];
    if (to->kind_count == TALLY_KINDS)
        return NULL;
    struct tally_kind *k = &to->kinds[to->kind_count++];
    text_copy(k->fw_version, sizeof k->fw_version, n->fw_version);
    text_copy(k->model, sizeof k->model, n->model);
    text_copy(k->platform, sizeof k->platform, n->platform);
    text_copy(k->project, sizeof k->project, n->project_name);
    return k;
}

static void tally_nodes(struct alike_visitor *v, const struct node *node, int64_t count)
{
    struct taller *t = (struct taller *)v;
    struct tally *to = t->to;
    to->nodes += count;
    to->online += node->is_online ? count : 0;
    to->never_seen += node->activated_at == 0 ? count : 0;
    to->deactivated += node->is_deactivated ? count : 0;
    to->astray += node->is_astray ? count : 0;
    struct tally_kind *kind = kind_of(t, node);
    if (kind != NULL)
        kind->nodes += count;
}

static int more_nodes_first(const void *a, const void *b)
{
    const struct tally_kind *x = a, *y = b;
    return (x->nodes < y->nodes) - (x->nodes > y->nodes);
}

enum err fleet_tally(struct fleet *f, struct tally *to, struct why *why)
{
    struct tx tx;
    struct taller t = {{tally_nodes}, to, 0};
    memset(to, 0, sizeof *to);
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx.db->nodes_alike(tx.s, NULL, &t.port, why));
    qsort(to->kinds, to->kind_count, sizeof to->kinds[0], more_nodes_first);
    return err;
}

/* --- a job's course --------------------------------------------------------------------------- */

#define PAGE 64

struct course {
    time_ms from, width; /* of a step */
    int64_t ended[COURSE_POINTS], succeeded[COURSE_POINTS];
};

/* Twice as wide steps, half as many. */
static void widen(struct course *c)
{
    for (unsigned i = 0; i < COURSE_POINTS; i++) {
        bool is_there = 2 * i + 1 < COURSE_POINTS;
        c->ended[i] = is_there ? c->ended[2 * i] + c->ended[2 * i + 1] : 0;
        c->succeeded[i] = is_there ? c->succeeded[2 * i] + c->succeeded[2 * i + 1] : 0;
    }
    c->width *= 2;
}

static void add_end(struct course *c, const struct execution *e)
{
    int64_t one[EX_STATES] = {0};
    time_ms late = e->updated_at > c->from ? e->updated_at - c->from : 0;
    one[e->state] = 1;
    if (counts_ended(one) == 0)
        return;
    while (late / c->width >= COURSE_POINTS)
        widen(c);
    c->ended[late / c->width]++;
    c->succeeded[late / c->width] += e->state == EX_SUCCESS;
}

static enum err follow(struct tx *tx, const char *job_id, struct course *c)
{
    struct execution page[PAGE];
    char after[NODE_ID_SIZE] = "";
    unsigned n = PAGE;
    struct job job;
    enum err err = tx_job(tx, job_id, &job);
    c->from = err ? 0 : job.created_at;
    c->width = 1000;
    while (err == ERR_NONE && n == PAGE) {
        err = tx->db->execution_list(tx->s, job_id, after, page, PAGE, &n, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < n; i++) {
            text_copy(after, sizeof after, page[i].node_id);
            add_end(c, &page[i]);
        }
    }
    return err;
}

enum err fleet_job_course(struct fleet *f, const char *id, struct course_point to[static COURSE_POINTS],
                          unsigned *count, struct why *why)
{
    struct tx tx;
    struct course *c = calloc(1, sizeof *c);
    int64_t ended = 0, succeeded = 0;
    *count = 0;
    if (c == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, follow(&tx, id, c));
    for (unsigned i = 0; err == ERR_NONE && i < COURSE_POINTS; i++) {
        if (c->ended[i] == 0)
            continue;
        ended += c->ended[i];
        succeeded += c->succeeded[i];
        to[(*count)++] = (struct course_point){c->from + (time_ms)(i + 1) * c->width, ended, succeeded};
    }
    free(c);
    return err;
}

/* --- a node's jobs ---------------------------------------------------------------------------- */

static enum err find_runs(struct tx *tx, const char *node_id, struct node_run *to, unsigned max, unsigned *count)
{
    struct node node;
    unsigned n = 0;
    struct job *jobs = calloc(NODE_RUN_JOBS, sizeof *jobs);
    enum err err = jobs ? tx_node(tx, node_id, &node) : why_set(tx->why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = tx->db->job_list(tx->s, "", jobs, NODE_RUN_JOBS, &n, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < n && *count < max; i++) {
        struct node_run *run = &to[*count];
        enum err found = tx->db->execution_get(tx->s, jobs[i].id, node_id, &run->execution, NULL);
        if (found == ERR_NOT_FOUND)
            continue;
        err = found;
        text_copy(run->job_name, sizeof run->job_name, jobs[i].name);
        ++*count;
    }
    free(jobs);
    return err;
}

enum err fleet_node_runs(struct fleet *f, const char *node_id, struct node_run *to, unsigned max, unsigned *count,
                         struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, find_runs(&tx, node_id, to, max, count));
}
