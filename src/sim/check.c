/* What must always hold. */
#include "sim/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define PAGE 64

static int job_index(const struct sim *s, const char *id)
{
    for (unsigned i = 0; i < s->job_count; i++)
        if (strcmp(s->jobs[i].job.id, id) == 0)
            return (int)i;
    return -1;
}

static bool has_confirmed(const struct sim *s, unsigned node, const struct job *job)
{
    for (unsigned i = 0; i < s->image_count; i++)
        if (strcmp(s->images[i].id, job->image_id) == 0)
            return (s->truths[node].confirmed & 1u << i) != 0;
    return false;
}

static bool is_at_work(int state)
{
    return state >= EX_OFFERED && state <= EX_PROVISIONAL;
}

/* A node that was not at work is let in.  Nodes that were given up and speak all the same are at work too, without
 * having been let in: they may be more than a budget allows, but nobody may follow them. */
static void check_offer(struct sim *s, unsigned i, bool is_first)
{
    struct job_summary sum;
    const struct rollout *plan = &s->jobs[i].plan;
    if (s->jobs[i].is_stopped)
        sim_violated(s, "S3: %s is offered after it was stopped", s->jobs[i].job.name);
    if (plan->max_in_flight > 0 && s->jobs[i].at_work >= plan->max_in_flight)
        sim_violated(s, "S2: %s is offered while %lld nodes are at work, the plan allows %lld", s->jobs[i].job.name,
                     (long long)s->jobs[i].at_work, (long long)plan->max_in_flight);
    if (s->config.policy.max_in_flight > 0 && s->at_work >= s->config.policy.max_in_flight)
        sim_violated(s, "S2: %s is offered while %lld nodes of all jobs are at work, the server allows %lld",
                     s->jobs[i].job.name, (long long)s->at_work, (long long)s->config.policy.max_in_flight);
    if (!is_first || plan->phase_count == 0 || fleet_job_get(&s->fleet, s->jobs[i].job.id, &sum, NULL) != ERR_NONE)
        return;
    int64_t limit = rollout_limit(plan, sum.state.phase, sum.state.audience);
    if (sum.state.phase < plan->phase_count && sum.state.started > limit)
        sim_violated(s, "S2: %lld nodes of %s have begun, phase %u of %u allows %lld", (long long)sum.state.started,
                     sum.job.name, sum.state.phase + 1, plan->phase_count, (long long)limit);
}

/* The report that crosses a limit stops the job in the same transaction: nobody sees it crossed and running. */
static void check_stop(struct sim *s, unsigned i)
{
    struct job_summary sum;
    struct rollout_score score;
    char text[160];
    if (s->jobs[i].plan.abort_count == 0 || fleet_job_get(&s->fleet, s->jobs[i].job.id, &sum, NULL) != ERR_NONE)
        return;
    job_score(&sum.state, &score);
    if (sum.job.status == JOB_ACTIVE && !sum.job.is_paused &&
        rollout_crossed(&s->jobs[i].plan, &score, text, sizeof text) != NULL)
        sim_violated(s, "S6: %s goes on, although %s", sum.job.name, text);
}

static void follow(struct sim *s, unsigned i, unsigned node, int state)
{
    uint8_t *known = &s->truths[node].states[i];
    if (state == EX_OFFERED && !is_at_work(*known))
        check_offer(s, i, (s->truths[node].begun & 1u << i) == 0);
    if (state == EX_OFFERED)
        s->truths[node].begun |= 1u << i;
    int change = is_at_work(state) - is_at_work(*known);
    s->jobs[i].at_work += change;
    s->at_work += change;
    *known = (uint8_t)state;
    if (s->at_work > s->result.most_at_work)
        s->result.most_at_work = s->at_work;
}

static void check_event(struct sim *s, const struct event *e)
{
    unsigned node = 0;
    int i = job_index(s, e->job_id);
    sim_mix(s, &e->state, sizeof e->state);
    sim_mix(s, e->info, strlen(e->info));
    if (e->kind != EVENT_EXECUTION || i < 0 || sscanf(e->node_id, "sim-%u", &node) != 1)
        return;
    if (e->state == EX_SUCCESS && !has_confirmed(s, node, &s->jobs[i].job))
        sim_violated(s, "S1: %s of %s succeeded (\"%s\"), but the node never confirmed it", s->jobs[i].job.name,
                     e->node_id, e->info);
    follow(s, (unsigned)i, node, (int)e->state);
    if (e->state == EX_FAILED || execution_is_over(e->state))
        check_stop(s, (unsigned)i);
}

/* A job that the server stopped by itself. */
static void note_stops(struct sim *s, const struct event *e)
{
    struct job_summary sum;
    int i = job_index(s, e->job_id);
    if (e->kind != EVENT_JOB || i < 0 || fleet_job_get(&s->fleet, e->job_id, &sum, NULL) != ERR_NONE)
        return;
    s->jobs[i].is_stopped = sum.job.status != JOB_ACTIVE || sum.job.is_paused;
    if (sum.job.stop_reason[0] && !s->result.stopped[0])
        text_copy(s->result.stopped, sizeof s->result.stopped, sum.job.stop_reason);
    bool is_over = true;
    for (unsigned k = 0; k < s->job_count; k++)
        is_over = is_over && fleet_job_get(&s->fleet, s->jobs[k].job.id, &sum, NULL) == ERR_NONE &&
                  sum.job.status != JOB_ACTIVE;
    s->is_over = is_over;
}

static void sample(struct sim *s)
{
    struct job_summary sum;
    int64_t every = s->config.is_wild ? HOUR : 10000;
    if (s->now - s->sampled_at < every || fleet_job_get(&s->fleet, s->jobs[0].job.id, &sum, NULL) != ERR_NONE)
        return;
    s->sampled_at = s->now;
    struct sim_result *r = &s->result;
    if (r->points == SIM_CURVE) { /* every other point goes, and the next come half as often */
        for (unsigned i = 0; i < SIM_CURVE / 2; i++)
            r->curve[i] = r->curve[2 * i];
        r->points = SIM_CURVE / 2;
        s->sample_every = s->sample_every ? 2 * s->sample_every : 2;
    }
    if (s->sample_every > 1 && s->sample_skipped++ % s->sample_every != 0)
        return;
    r->curve[r->points++] =
        (struct sim_point){s->now, sum.state.started, counts_ended(sum.state.counts), sum.state.counts[EX_SUCCESS]};
}

static void check_counts(struct sim *s, unsigned i)
{
    struct execution page[PAGE];
    struct job_summary sum;
    int64_t counts[EX_STATES] = {0}, started = 0;
    char after[NODE_ID_SIZE] = "";
    unsigned count = PAGE;
    const char *id = s->jobs[i].job.id;
    if (fleet_job_get(&s->fleet, id, &sum, NULL) != ERR_NONE)
        return;
    struct fleet_store *tx;
    if (s->store->ops->begin(s->store, true, &tx, NULL) != ERR_NONE)
        return;
    while (count == PAGE && tx->ops->execution_list(tx, id, after, page, PAGE, &count, NULL) == ERR_NONE)
        for (unsigned k = 0; k < count; k++) {
            counts[page[k].state]++;
            started += page[k].offers > 0;
            text_copy(after, sizeof after, page[k].node_id);
        }
    tx->ops->commit(tx, NULL);
    for (int k = EX_TRIGGERED + 1; k < EX_STATES; k++)
        if (counts[k] != sum.state.counts[k])
            sim_violated(s, "S4: %s has %lld executions that are %s, counted are %lld", sum.job.name,
                         (long long)counts[k], execution_state_text((enum execution_state)k),
                         (long long)sum.state.counts[k]);
    if (started != sum.state.started)
        sim_violated(s, "S4: %lld nodes of %s have begun, counted are %lld", (long long)started, sum.job.name,
                     (long long)sum.state.started);
}

void sim_check_step(struct sim *s)
{
    static const unsigned max = 16;
    struct event page[16];
    unsigned count = max;
    bool is_gap;
    if (s->server_back_at != 0)
        return;
    while (count == max) {
        if (fleet_events(&s->fleet, s->last_event, page, max, &count, &is_gap, NULL) != ERR_NONE)
            return;
        for (unsigned i = 0; i < count; i++) {
            check_event(s, &page[i]);
            note_stops(s, &page[i]);
            s->last_event = page[i].id;
        }
    }
    sample(s);
    if (s->now - s->checked_at < (s->config.is_wild ? HOUR / 2 : 6 * HOUR))
        return;
    s->checked_at = s->now;
    for (unsigned i = 0; i < s->job_count; i++)
        check_counts(s, i);
}

/* --- at the end ------------------------------------------------------------------------------- */

static bool has_next(const struct verdict *v)
{
    switch (v->decision) {
    case DECIDE_OFFLINE:         /* when it connects */
    case DECIDE_JOB_PAUSED:      /* when people let it go on */
    case DECIDE_AWAITS_APPROVAL: /* when its user says yes */
    case DECIDE_OTHER_JOB_FIRST: /* when that one has ended */
    case DECIDE_NO_NETWORK:      /* when it tells its network */
    case DECIDE_OFFER:           /* when it asks */
    case DECIDE_NOT_TARGET:
    case DECIDE_EXCLUDED:
    case DECIDE_ENDED:
    case DECIDE_JOB_OVER:
    case DECIDE_EXPIRED:
    case DECIDE_OTHER_CHIP:
    case DECIDE_OTHER_PROJECT:
    case DECIDE_ON_VERSION:
        return true;
    default:
        return v->next_at > 0;
    }
}

static void check_why(struct sim *s, unsigned i)
{
    for (unsigned n = 0; n < s->config.nodes && n < 1000; n++) {
        struct verdict v;
        struct why why = {{0}};
        enum err err = fleet_why(&s->fleet, s->jobs[i].job.id, s->nodes[n].id, sim_server_now(s), &v, &why);
        if (err != ERR_NONE)
            sim_violated(s, "S5: why of %s and %s: %s", s->jobs[i].job.name, s->nodes[n].id, why.text);
        else if (v.text[0] == '\0' || !has_next(&v))
            sim_violated(s, "S5: %s has neither ended %s nor a next time: %s, %s", s->nodes[n].id, s->jobs[i].job.name,
                         decision_text(v.decision), v.text);
    }
}

/* Node by node, job by job. */
static uint64_t hash_ends(struct sim *s)
{
    uint64_t hash = 14695981039346656037u;
    for (unsigned i = 0; i < s->job_count; i++)
        for (unsigned n = 0; n < s->config.nodes; n++) {
            struct execution e;
            int state =
                fleet_execution(&s->fleet, s->jobs[i].job.id, s->nodes[n].id, sim_server_now(s), &e, NULL) == ERR_NONE
                    ? (int)e.state
                    : -1;
            hash = (hash ^ (uint64_t)(state + 1)) * 1099511628211u;
        }
    return hash;
}

void sim_check_end(struct sim *s)
{
    struct job_summary sum;
    if (s->server_back_at != 0 || s->result.violation[0])
        return;
    if (s->config.reopen != NULL) { /* what is asked now is no part of the story */
        fleet_deinit(&s->fleet);
        if ((s->store = s->config.reopen(s->config.opener)) == NULL)
            return;
        fleet_init(&s->fleet, s->store, &s->entropy.port, NULL, NULL);
    }
    s->result.jobs = s->job_count;
    s->result.ends = s->config.nodes <= 1000 ? hash_ends(s) : 0;
    for (unsigned i = 0; i < s->job_count; i++) {
        check_counts(s, i);
        check_why(s, i);
        if (fleet_job_get(&s->fleet, s->jobs[i].job.id, &sum, NULL) != ERR_NONE)
            continue;
        s->result.jobs_over += sum.job.status != JOB_ACTIVE;
        for (int k = 0; k < EX_STATES; k++)
            s->result.states[k] += sum.counts[k];
    }
}
