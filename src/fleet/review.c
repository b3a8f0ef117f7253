/* What a job's plan says after its executions moved: next phase, stop, end.  And how it looks from outside. */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_score(const struct job_state *s, struct rollout_score *to)
{
    int64_t failing = s->counts[EX_FAILED]; /* between two offers a node counts as failed, so that a stop is early */
    *to = (struct rollout_score){.audience = s->audience, .started = s->started, .succeeded = s->counts[EX_SUCCESS]};
    to->ended = counts_ended(s->counts) - s->counts[EX_CANCELLED] - s->counts[EX_EXCLUDED] - s->refused + failing;
    if (to->ended < 0)
        to->ended = 0;
    memcpy(to->failures, s->failures, sizeof to->failures);
}

static enum err finish(struct tx *tx, struct job *job, const struct job_state *state)
{
    job->status = JOB_FINISHED;
    job->is_paused = false;
    job->ended_at = tx->now;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" finished: %lld of %lld succeeded", job->id, job->name,
             (long long)state->counts[EX_SUCCESS], (long long)state->audience);
    enum err err = active_write(tx, job);
    return err ? err : tx_event(tx, EVENT_JOB, NULL, job->id, NULL);
}

static enum err next_phase(struct tx *tx, struct active *a, struct job_state *state)
{
    char text[80];
    state->phase++;
    state->phase_at = tx->now;
    state->gate_at = 0;
    /* Who was passed over now has its turn. */
    state->is_pushing = a->job.is_force_push;
    state->push_after[0] = '\0';
    snprintf(text, sizeof text, "Phase %u of %u is done", state->phase, a->plan.phase_count);
    enum err err = tx->db->job_state_put(tx->s, state, tx->why);
    return err ? err : tx_event_told(tx, EVENT_JOB, NULL, a->job.id, text);
}

static enum err review_gate(struct tx *tx, struct active *a, struct job_state *state, const struct rollout_score *score)
{
    bool holds = rollout_gate_holds(&a->plan, state->phase, score);
    time_ms before = state->gate_at;
    if (state->phase >= a->plan.phase_count)
        return ERR_NONE;
    state->gate_at = holds ? (before ? before : tx->now) : 0;
    if (holds && state->gate_at + a->plan.phases[state->phase].soak_ms <= tx->now)
        return next_phase(tx, a, state);
    return state->gate_at == before ? ERR_NONE : tx->db->job_state_put(tx->s, state, tx->why);
}

enum err job_review(struct tx *tx, struct active *a, struct job_state *state)
{
    struct rollout_score score;
    char text[160];
    enum err err = ERR_NONE;
    if (a->job.status != JOB_ACTIVE)
        return ERR_NONE;
    job_score(state, &score);
    const struct rollout_abort *crossed =
        a->job.is_paused ? NULL : rollout_crossed(&a->plan, &score, text, sizeof text);
    if (crossed != NULL)
        return job_stop(tx, &a->job, crossed->is_pause, text);
    if ((err = review_gate(tx, a, state, &score)) != ERR_NONE)
        return err;
    bool is_all = state->audience >= 0 && counts_ended(state->counts) >= state->audience;
    return is_all && !a->job.is_continuous && state->sweep == SWEEP_NONE ? finish(tx, &a->job, state) : ERR_NONE;
}

/* --- executions of a job ---------------------------------------------------------------------- */

static void as_triggered(struct execution *to, const struct job *job, const char *node_id)
{
    execution_init(to, job->id, node_id);
    to->updated_at = job->created_at;
}

struct target_lister {
    struct node_visitor port;
    struct tx *tx;
    const struct active *active;
    struct execution *to;
    unsigned max, count;
    enum err err;
};

static bool list_target(struct node_visitor *v, const struct node *node)
{
    struct target_lister *l = (struct target_lister *)v;
    struct execution *e = &l->to[l->count];
    bool is_target = false;
    l->err = l->tx->db->execution_get(l->tx->s, l->active->job.id, node->id, e, l->tx->why);
    if (l->err == ERR_NOT_FOUND) {
        l->err = job_is_for(l->tx, l->active, node, &is_target);
        as_triggered(e, &l->active->job, node->id);
        l->count += is_target;
    } else
        l->count++;
    return l->err == ERR_NONE && l->count < l->max;
}

static enum err list_named(struct tx *tx, const struct active *a, const char *after, struct execution *to, unsigned max,
                           unsigned *count)
{
    char ids[JOB_NODES_MAX][NODE_ID_SIZE];
    enum err err = tx->db->job_target_list(tx->s, a->job.id, after, ids, max < JOB_NODES_MAX ? max : JOB_NODES_MAX,
                                           count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++) {
        err = tx->db->execution_get(tx->s, a->job.id, ids[i], &to[i], tx->why);
        if (err == ERR_NOT_FOUND) {
            as_triggered(&to[i], &a->job, ids[i]);
            err = ERR_NONE;
        }
    }
    return err;
}

/* Nodes without a row are found among all nodes while the job is active; of a job that has ended its rows are all. */
static enum err list_executions(struct tx *tx, struct active *a, const char *job_id, const char *after,
                                struct execution *to, unsigned max, unsigned *count)
{
    struct job job;
    struct target_lister l = {{list_target}, tx, a, to, max, 0, ERR_NONE};
    enum err err = tx_job(tx, job_id, &job);
    if (err == ERR_NONE)
        err = active_fill(tx, &job, a);
    if (err != ERR_NONE || max == 0)
        return err;
    if (job.has_named_nodes && job.group_count == 0 && !a->has_query && !job.is_for_everyone)
        return list_named(tx, a, after, to, max, count);
    if (job.status != JOB_ACTIVE)
        return tx->db->execution_list(tx->s, job_id, after, to, max, count, tx->why);
    err = tx->db->node_scan(tx->s, after, &l.port, tx->why);
    *count = l.count;
    return err ? err : l.err;
}

enum err fleet_job_executions(struct fleet *f, const char *job_id, const char *after, time_ms now, struct execution *to,
                              unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    struct active *a = calloc(1, sizeof *a);
    *count = 0;
    if (a == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = tx_begin_reading(&tx, f, why);
    tx.now = now; /* ages in queries */
    if (err == ERR_NONE)
        err = tx_end(&tx, list_executions(&tx, a, job_id, after, to, max, count));
    free(a);
    return err;
}

static enum err get_execution(struct tx *tx, struct active *a, const char *job_id, const char *node_id,
                              struct execution *to)
{
    struct job job;
    struct node node;
    bool is_target = false;
    enum err err = tx_job(tx, job_id, &job);
    if (err == ERR_NONE)
        err = tx->db->execution_get(tx->s, job_id, node_id, to, tx->why);
    if (err != ERR_NOT_FOUND)
        return err;
    err = tx->db->node_get(tx->s, node_id, &node, tx->why);
    if (err == ERR_NONE && (err = active_fill(tx, &job, a)) == ERR_NONE)
        err = job_is_for(tx, a, &node, &is_target);
    if (err == ERR_NOT_FOUND || (err == ERR_NONE && !is_target))
        return why_set(tx->why, ERR_JOB_NO_NODES, "job %s is not for node %.64s", job.name, node_id);
    as_triggered(to, &job, node_id);
    return err;
}

enum err fleet_execution(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct execution *to,
                         struct why *why)
{
    struct tx tx;
    struct active *a = calloc(1, sizeof *a);
    if (a == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = tx_begin_reading(&tx, f, why);
    tx.now = now; /* ages in queries */
    if (err == ERR_NONE)
        err = tx_end(&tx, get_execution(&tx, a, job_id, node_id, to));
    free(a);
    return err;
}

enum err fleet_timeline(struct fleet *f, const char *job_id, const char *node_id, struct timeline_row *to, unsigned max,
                        unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->timeline_list(tx.s, job_id, node_id, to, max, count, why));
}

/* --- clusters --------------------------------------------------------------------------------- */

#define CLUSTERS_MAX 200 /* kinds of failure that are told apart in one job; what comes later is not */
#define PAGE         64

static bool is_failed(const struct execution *e)
{
    return e->state == EX_FAILED || e->state == EX_GAVE_UP || e->state == EX_ROLLED_BACK || e->state == EX_TIMED_OUT ||
           (e->state == EX_REJECTED && e->offers > 0);
}

/* The text without what differs from node to node: numbers become #. */
static void normalise(char *to, size_t size, const char *info)
{
    size_t n = 0;
    for (const char *at = info; *at && n + 1 < size; at++) {
        bool is_digit = *at >= '0' && *at <= '9';
        if (!is_digit)
            to[n++] = *at;
        else if (n == 0 || to[n - 1] != '#')
            to[n++] = '#';
    }
    to[n] = '\0';
}

static bool is_same(const struct cluster *a, const struct cluster *b)
{
    return a->state == b->state && a->failure == b->failure && strcmp(a->info, b->info) == 0 &&
           strcmp(a->platform, b->platform) == 0 && strcmp(a->from_version, b->from_version) == 0 &&
           strcmp(a->model, b->model) == 0;
}

static void add_to_clusters(struct cluster *all, unsigned *count, const struct cluster *one)
{
    unsigned i = 0;
    while (i < *count && !is_same(&all[i], one))
        i++;
    if (i == CLUSTERS_MAX)
        return;
    if (i == *count)
        all[(*count)++] = *one;
    all[i].count++;
}

static enum err find_clusters(struct tx *tx, const char *job_id, struct cluster *all, unsigned *count)
{
    struct execution page[PAGE];
    char after[NODE_ID_SIZE] = "";
    unsigned n = PAGE;
    struct job job;
    enum err err = tx_job(tx, job_id, &job);
    while (err == ERR_NONE && n == PAGE) {
        err = tx->db->execution_list(tx->s, job_id, after, page, PAGE, &n, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < n; i++) {
            struct node node = {.id = ""};
            struct cluster one = {.state = page[i].state, .failure = page[i].failure, .count = 0};
            text_copy(after, sizeof after, page[i].node_id);
            if (!is_failed(&page[i]))
                continue;
            tx->db->node_get(tx->s, page[i].node_id, &node, NULL); /* a node that is gone has no kind */
            normalise(one.info, sizeof one.info, page[i].info);
            text_copy(one.platform, sizeof one.platform, node.platform);
            text_copy(one.model, sizeof one.model, node.model);
            text_copy(one.from_version, sizeof one.from_version, page[i].from_version);
            add_to_clusters(all, count, &one);
        }
    }
    return err;
}

static int larger_first(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;
    return (x->count < y->count) - (x->count > y->count);
}

enum err fleet_job_clusters(struct fleet *f, const char *id, struct cluster *to, unsigned max, unsigned *count,
                            struct why *why)
{
    struct tx tx;
    unsigned found = 0;
    struct cluster *all = calloc(CLUSTERS_MAX, sizeof *all);
    *count = 0;
    if (all == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, find_clusters(&tx, id, all, &found));
    qsort(all, found, sizeof *all, larger_first);
    for (; err == ERR_NONE && *count < max && *count < found; ++*count)
        to[*count] = all[*count];
    free(all);
    return err;
}

static void add_term(struct text *t, const char *field, const char *value)
{
    if (*value == '\0')
        return;
    text_add(t, "%s%s = \"", t->len > 0 ? " and " : "", field);
    for (; *value; value++)
        text_add(t, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    text_add(t, "\"");
}

void cluster_query(const struct cluster *cluster, char to[QUERY_SIZE])
{
    struct text t;
    text_init(&t, to, QUERY_SIZE);
    add_term(&t, "platform", cluster->platform);
    add_term(&t, "model", cluster->model);
    add_term(&t, "fw_version", cluster->from_version);
}
