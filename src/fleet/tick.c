/* What time makes due, and what is too big for one transaction: deadlines, pushes, sweeps, slots that came free. */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define DUE_BATCH     100
#define SWEEP_BATCH   200
#define PUSH_PAGE     100
#define PUSH_FIRST    4
#define BUSY_MAX      64 /* jobs pushed or swept in one turn; paused ones count too */
#define ROOM_BATCH    50
#define TICK_MS       5000  /* how late a deadline may be noticed */
#define RECOUNT_MS    60000 /* how old the count of a rule's nodes may be, in small fleets */
#define RECOUNT_NODES 20000 /* ... and that many nodes more make it once more as old */

struct ticking {
    struct tx *tx;
    bool is_more;    /* another batch waits */
    time_ms next_at; /* 0: nothing is known to be due */
};

static void due_at(struct ticking *t, time_ms at)
{
    if (at > 0 && (t->next_at == 0 || at < t->next_at))
        t->next_at = at;
}

/* --- deadlines -------------------------------------------------------------------------------- */

static enum err look_again(struct tx *tx, struct execution *e, time_ms at)
{
    e->deadline_at = at;
    return tx->db->execution_put(tx->s, e, NULL, tx->why);
}

static enum err end_wait(struct tx *tx, struct active *a, struct node *node, struct execution *e)
{
    struct verdict v;
    struct execution after;
    enum err err = offer_consider(tx, node, a, ON_SLOT, &v);
    if (err == ERR_NONE && v.decision == DECIDE_OFFER)
        err = offer_send(tx, node->id, a->job.id);
    if (err != ERR_NONE || tx->db->execution_get(tx->s, a->job.id, node->id, &after, NULL) != ERR_NONE ||
        after.deadline_at == 0 || after.deadline_at > tx->now || after.state != e->state)
        return err;
    return look_again(tx, &after, tx->now + tx->f->policy.recheck_ms);
}

/* A node that came back long ago, and of which nothing was heard, has said all it had to say: a broker that died had
 * it.  While it may still be on trial it is left alone. */
static bool came_back_long_ago(const struct tx *tx, const struct node *node, const struct execution *e)
{
    return node->subscribed_at > e->updated_at && tx->now - node->subscribed_at >= tx->f->policy.trial_ms;
}

/* Twice as late each time, and at `end_at` at the latest.  Until then a node may be asked what its silence means, by
 * the same document: one that is past its trial answers that it has the version or is done with the job; one that is
 * at work or on trial is busy and says nothing. */
static enum err look_later(struct tx *tx, struct active *a, const struct node *node, struct execution *e, bool may_ask,
                           time_ms end_at)
{
    time_ms waited = tx->now - e->updated_at;
    time_ms next = tx->now + (waited > tx->f->policy.trial_ms ? waited : tx->f->policy.trial_ms);
    enum err err = look_again(tx, e, next < end_at ? next : end_at);
    if (err != ERR_NONE || !may_ask || !node->is_online || a->job.status != JOB_ACTIVE || a->job.is_paused)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "node=%s job=%s is asked: %s, and silent for %lld s", node->id, a->job.id,
             execution_state_text(e->state), (long long)waited / 1000);
    return offer_send(tx, node->id, a->job.id);
}

static enum err end_silence(struct tx *tx, struct active *a, const struct node *node, struct execution *e)
{
    time_ms until = e->updated_at + tx->f->policy.silence_ms;
    int64_t retries = a->plan.retries >= 0 ? a->plan.retries : (int64_t)tx->f->policy.retries;
    static const char text[] = "Nothing was heard of the node";
    if (until > tx->now)
        return look_later(tx, a, node, e, came_back_long_ago(tx, node, e), until);
    if (a->job.status != JOB_ACTIVE)
        return execution_apply(tx, a, e, EX_CANCEL, text, false);
    return execution_apply(tx, a, e, e->failures >= retries ? EX_R_FAILED_LAST : EX_SILENT, text, false);
}

static enum err ask_later(struct tx *tx, struct active *a, const struct node *node, struct execution *e, bool may_ask,
                          const char *lost)
{
    time_ms lost_at = e->updated_at + tx->f->policy.lost_ms;
    if (tx->now >= lost_at)
        return execution_apply(tx, a, e, EX_LOST, lost, false);
    return look_later(tx, a, node, e, may_ask, lost_at);
}

static enum err end_deadline(struct tx *tx, struct execution *e)
{
    struct node node;
    struct active *a;
    if (active_find(tx, e->job_id, &a) != ERR_NONE || tx->db->node_get(tx->s, e->node_id, &node, NULL) != ERR_NONE)
        return look_again(tx, e, 0);
    switch (e->state) {
    case EX_ON_TRIAL:
        return ask_later(tx, a, &node, e, true, "Nothing was heard of the node since it booted the new version");
    case EX_OFFERED:
    case EX_IN_PROGRESS:
        return end_silence(tx, a, &node, e);
    case EX_REBOOTING:
        if (node.subscribed_at > e->updated_at && !came_back_long_ago(tx, &node, e) &&
            tx->now < e->updated_at + tx->f->policy.lost_ms)
            return look_again(tx, e, node.subscribed_at + tx->f->policy.trial_ms);
        /* fall through */
    case EX_PROVISIONAL:
        return ask_later(tx, a, &node, e, e->state == EX_REBOOTING && came_back_long_ago(tx, &node, e),
                         "Nothing was heard of the node since it said it would reboot");
    case EX_DELAYED:
    case EX_FAILED:
    case EX_WAITING:
        return end_wait(tx, a, &node, e);
    default:
        return look_again(tx, e, 0);
    }
}

static enum err end_deadlines(struct ticking *t)
{
    struct execution due[DUE_BATCH];
    const char *ids[DUE_BATCH];
    unsigned count = 0;
    time_ms next = 0;
    struct tx *tx = t->tx;
    enum err err = tx->db->executions_due(tx->s, tx->now, due, DUE_BATCH, &count, &next, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        ids[i] = due[i].node_id;
    if (err == ERR_NONE)
        err = tx_expect(tx, ids, count);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = end_deadline(tx, &due[i]);
    due_at(t, next);
    t->is_more |= count == DUE_BATCH;
    return err;
}

/* --- pushes ----------------------------------------------------------------------------------- */

/* Whether a push has to stop where it is, rather than pass the node over. */
static bool stops_push(enum decision decision)
{
    return decision == DECIDE_JOB_BUDGET || decision == DECIDE_GLOBAL_BUDGET || decision == DECIDE_RATE ||
           decision == DECIDE_NOT_COUNTED;
}

static bool is_phase_full(const struct active *a, const struct job_state *s)
{
    return s->phase < a->plan.phase_count && s->started >= rollout_limit(&a->plan, s->phase, s->audience);
}

static enum err push_one(struct ticking *t, struct active *a, struct node *node, bool *is_stopped)
{
    struct verdict v;
    enum err err = offer_consider(t->tx, node, a, ON_PUSH, &v);
    if (err == ERR_NONE && v.decision == DECIDE_OFFER)
        err = offer_send(t->tx, node->id, a->job.id);
    *is_stopped = stops_push(v.decision);
    if (*is_stopped)
        due_at(t, v.next_at);
    return err;
}

/* The next nodes after `after`; those that a job names are few, so they are looked up one by one. */
static enum err push_page(struct tx *tx, const struct active *a, const char *after, struct node *nodes, unsigned max,
                          unsigned *count)
{
    char ids[JOB_NODES_MAX][NODE_ID_SIZE];
    bool is_named_only = a->job.has_named_nodes && !a->job.is_for_everyone && a->job.group_count == 0 && !a->has_query;
    if (!is_named_only)
        return tx->db->node_list(tx->s, after, nodes, max, count, tx->why);
    enum err err = tx->db->job_target_list(tx->s, a->job.id, after, ids, max < JOB_NODES_MAX ? max : JOB_NODES_MAX,
                                           count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++)
        if ((err = tx->db->node_get(tx->s, ids[i], &nodes[i], tx->why)) == ERR_NOT_FOUND) {
            nodes[i] = (struct node){.is_online = false}; /* a name without a node: passed over as one that is away */
            text_copy(nodes[i].id, sizeof nodes[i].id, ids[i]);
            err = ERR_NONE;
        }
    return err;
}

/* The job's state remembers how far it came, so a crash repeats nothing. */
static enum err push_batch(struct ticking *t, struct active *a, struct job_state *state)
{
    struct node nodes[PUSH_PAGE];
    const char *ids[PUSH_PAGE];
    char after[NODE_ID_SIZE];
    struct tx *tx = t->tx;
    const unsigned most = tx->f->policy.push_batch < PUSH_PAGE ? tx->f->policy.push_batch : PUSH_PAGE;
    unsigned max = most < PUSH_FIRST ? most : PUSH_FIRST, count = max, done = 0;
    bool is_stopped = false;
    enum err err = ERR_NONE;
    text_copy(after, sizeof after, state->push_after);
    while (err == ERR_NONE && count == max && !is_stopped && done < tx->f->policy.push_batch) {
        /* Pages that grow: where a rate stops it, few were read for nothing. */
        max = done == 0 ? max : 2 * max < most ? 2 * max : most;
        max = max < tx->f->policy.push_batch - done ? max : tx->f->policy.push_batch - done;
        err = push_page(tx, a, after, nodes, max, &count);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            ids[i] = nodes[i].id;
        if (err == ERR_NONE)
            err = tx_expect(tx, ids, count);
        for (unsigned i = 0; err == ERR_NONE && i < count && !is_stopped; i++, done++) {
            err = push_one(t, a, &nodes[i], &is_stopped);
            if (err == ERR_NONE && !is_stopped)
                text_copy(after, sizeof after, nodes[i].id);
        }
    }
    if (err == ERR_NONE)
        err = tx_state(tx, a->job.id, state);
    bool is_over = count < max && !is_stopped;
    if (err != ERR_NONE)
        return err;
    state->is_pushing = state->is_pushing && !is_over && a->job.status == JOB_ACTIVE;
    text_copy(state->push_after, sizeof state->push_after, after);
    t->is_more |= state->is_pushing && !is_stopped;
    return tx->db->job_state_put(tx->s, state, tx->why);
}

static enum err push(struct ticking *t, struct active *a, struct job_state *state)
{
    if (a->job.status != JOB_ACTIVE) {
        state->is_pushing = false;
        return t->tx->db->job_state_put(t->tx->s, state, t->tx->why);
    }
    if (a->job.is_paused || is_phase_full(a, state))
        return ERR_NONE; /* it goes on when the job does */
    return push_batch(t, a, state);
}

/* --- sweeps ----------------------------------------------------------------------------------- */

static enum err sweep_one(struct tx *tx, struct active *a, enum job_sweep sweep, struct execution *e)
{
    struct node node;
    switch (sweep) {
    case SWEEP_CANCEL:
        /* What is offered or under way may still end well; its own deadline ends it otherwise. */
        return e->state == EX_OFFERED || e->state == EX_IN_PROGRESS
                   ? ERR_NONE
                   : execution_apply(tx, a, e, EX_CANCEL, "The job was cancelled", false);
    case SWEEP_TIME_OVER:
        return execution_apply(tx, a, e, EX_TIME_OVER, "The job's time is over", false);
    case SWEEP_EXCLUDE:
        return a->has_exclude && tx->db->node_get(tx->s, e->node_id, &node, NULL) == ERR_NONE &&
                       job_excludes(tx, a, &node)
                   ? execution_apply(tx, a, e, EX_EXCLUDE, "The job leaves it out", false)
                   : ERR_NONE;
    case SWEEP_RETRY:
        return e->state == EX_GAVE_UP || e->state == EX_TIMED_OUT || e->state == EX_FAILED
                   ? execution_apply(tx, a, e, EX_RETRY, "To be tried again", false)
                   : ERR_NONE;
    case SWEEP_RETRY_ALL:
        return e->state == EX_EXCLUDED || e->state == EX_CANCELLED || (e->state == EX_REJECTED && e->offers == 0)
                   ? ERR_NONE
                   : execution_apply(tx, a, e, EX_RETRY, "To be tried again", false);
    case SWEEP_WAKE:
        if (e->state != EX_WAITING || e->deadline_at <= tx->now)
            return ERR_NONE;
        e->has_slot = false;
        return look_again(tx, e, tx->now);
    case SWEEP_NONE:
        break;
    }
    return ERR_NONE;
}

static enum err sweep(struct ticking *t, struct active *a, struct job_state *state)
{
    struct execution page[SWEEP_BATCH];
    struct tx *tx = t->tx;
    unsigned count = 0;
    enum job_sweep kind = (enum job_sweep)state->sweep;
    enum err err = tx->db->execution_list(tx->s, a->job.id, state->sweep_after, page, SWEEP_BATCH, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = sweep_one(tx, a, kind, &page[i]);
    if (err == ERR_NONE)
        err = tx_state(tx, a->job.id, state);
    if (err != ERR_NONE)
        return err;
    if (count > 0)
        text_copy(state->sweep_after, sizeof state->sweep_after, page[count - 1].node_id);
    if (count < SWEEP_BATCH)
        state->sweep = SWEEP_NONE;
    t->is_more |= count > 0 || state->is_pushing; /* what it moved may be due now */
    if ((err = tx->db->job_state_put(tx->s, state, tx->why)) != ERR_NONE)
        return err;
    return state->sweep == SWEEP_NONE ? job_review(tx, a, state) : ERR_NONE;
}

static enum err work_on_busy(struct ticking *t)
{
    char ids[BUSY_MAX][ID_LEN + 1];
    unsigned count = 0;
    struct tx *tx = t->tx;
    enum err err = tx->db->jobs_busy(tx->s, ids, BUSY_MAX, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct active *a;
        struct job_state state;
        if ((err = active_find(tx, ids[i], &a)) != ERR_NONE || (err = tx_state(tx, ids[i], &state)) != ERR_NONE)
            break;
        if (state.sweep != SWEEP_NONE)
            err = sweep(t, a, &state);
        else if (state.is_pushing)
            err = push(t, a, &state);
    }
    return err;
}

/* --- active jobs ------------------------------------------------------------------------------ */

static enum err expire(struct ticking *t, struct active *a, struct job_state *state)
{
    struct tx *tx = t->tx;
    if (a->job.expires_at == 0 || tx->now < a->job.expires_at) {
        due_at(t, a->job.expires_at);
        return ERR_NONE;
    }
    a->job.status = JOB_FINISHED;
    a->job.is_paused = false;
    a->job.ended_at = tx->now;
    text_copy(a->job.stop_reason, sizeof a->job.stop_reason, "its time is over");
    state->is_pushing = false;
    state->sweep = SWEEP_TIME_OVER;
    state->sweep_after[0] = '\0';
    t->is_more = true;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\": its time is over", a->job.id, a->job.name);
    enum err err = active_write(tx, &a->job);
    if (err == ERR_NONE)
        err = tx->db->job_state_put(tx->s, state, tx->why);
    return err ? err : tx_event_told(tx, EVENT_JOB, NULL, a->job.id, a->job.stop_reason);
}

static enum err recount(struct ticking *t, struct active *a, struct job_state *state)
{
    struct tx *tx = t->tx;
    int64_t nodes = 0;
    enum err err = ERR_NONE;
    if (job_is_cheap_to_count(tx, a) && state->audience >= 0)
        return ERR_NONE;
    if ((err = tx->db->node_count(tx->s, &nodes, tx->why)) != ERR_NONE)
        return err;
    time_ms again = state->counted_at + RECOUNT_MS * (1 + nodes / RECOUNT_NODES);
    due_at(t, state->audience < 0 ? tx->now : again);
    if (state->audience >= 0 && tx->now < again)
        return ERR_NONE;
    if ((err = job_count_audience(tx, a, &state->audience)) != ERR_NONE)
        return err;
    state->counted_at = tx->now;
    if ((err = tx->db->job_state_put(tx->s, state, tx->why)) != ERR_NONE)
        return err;
    return job_review(tx, a, state);
}

/* How many more may be at work now, as far as the budgets of job and server go. */
static int64_t room_of(const struct tx *tx, const struct active *a, const struct job_state *s,
                       const struct job_state *all)
{
    int64_t room = ROOM_BATCH, own = a->plan.max_in_flight - counts_in_flight(s->counts),
            of_all = tx->f->policy.max_in_flight - counts_in_flight(all->counts);
    if (a->plan.max_in_flight > 0 && own < room)
        room = own;
    if (tx->f->policy.max_in_flight > 0 && of_all < room)
        room = of_all;
    return is_phase_full(a, s) ? 0 : room;
}

/* Places came free, or a phase began: whose slot is next comes sooner than it was told. */
static enum err fill_room(struct ticking *t, struct active *a, const struct job_state *state)
{
    struct execution next[ROOM_BATCH];
    struct tx *tx = t->tx;
    struct job_state all;
    unsigned count = 0;
    bool is_limited = a->plan.max_in_flight > 0 || tx->f->policy.max_in_flight > 0 || a->plan.phase_count > 0;
    if (!is_limited || a->job.is_paused || state->counts[EX_WAITING] == 0)
        return ERR_NONE;
    enum err err = tx_state(tx, "", &all);
    int64_t room = err ? 0 : room_of(tx, a, state, &all);
    if (room > 0)
        err = tx->db->executions_waiting(tx->s, a->job.id, next, (unsigned)room, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct node node;
        if (next[i].has_slot && next[i].deadline_at > tx->now)
            continue; /* its slot is one of the rate's */
        if (tx->db->node_get(tx->s, next[i].node_id, &node, NULL) == ERR_NONE)
            err = end_wait(tx, a, &node, &next[i]);
    }
    return err;
}

static enum err look_after(struct ticking *t, struct active *a)
{
    struct tx *tx = t->tx;
    struct job_state state;
    enum err err = tx_state(tx, a->job.id, &state);
    if (err == ERR_NONE && a->job.status == JOB_ACTIVE)
        err = expire(t, a, &state);
    if (err != ERR_NONE || a->job.status != JOB_ACTIVE)
        return err;
    if ((err = recount(t, a, &state)) != ERR_NONE || a->job.status != JOB_ACTIVE)
        return err;
    if (state.gate_at > 0 && state.phase < a->plan.phase_count && !a->job.is_paused) {
        time_ms soaked = state.gate_at + a->plan.phases[state.phase].soak_ms;
        due_at(t, soaked);
        if (soaked <= tx->now)
            err = job_review(tx, a, &state);
        t->is_more |= soaked <= tx->now;
    }
    if (err == ERR_NONE)
        err = tx_state(tx, a->job.id, &state);
    return err ? err : fill_room(t, a, &state);
}

static enum err look_after_jobs(struct ticking *t)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(t->tx, &jobs, &count);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = look_after(t, jobs[i]);
    return err;
}

enum err fleet_tick(struct fleet *f, time_ms now, time_ms *next_at, struct why *why)
{
    struct tx tx;
    struct ticking t = {.tx = &tx};
    *next_at = now + TICK_MS;
    enum err err = tx_begin(&tx, f, now, why);
    if (err != ERR_NONE)
        return err;
    err = look_after_jobs(&t);
    if (err == ERR_NONE)
        err = end_deadlines(&t);
    if (err == ERR_NONE)
        err = work_on_busy(&t);
    bool has_old = false;
    if (err == ERR_NONE)
        err = tidy_when_due(&tx, &has_old);
    t.is_more |= has_old;
    err = tx_end(&tx, err);
    if (t.is_more)
        *next_at = now;
    else if (t.next_at > 0 && t.next_at < *next_at)
        *next_at = t.next_at > now ? t.next_at : now;
    return err;
}
