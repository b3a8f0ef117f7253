/*
 * One job on one node.  What is true in each state:
 *   OFFERED      the job document is on its way or was taken; the node has not spoken yet
 *   IN_PROGRESS  the node said it works on it; one that came back since, and says nothing, is asked at deadline_at
 *   REBOOTING    the node said that the image is in its other slot and that it reboots
 *   ON_TRIAL     the new version described itself; nobody confirmed it yet; at deadline_at the node is asked
 *   PROVISIONAL  a node without rollback said success before its reboot
 *   DELAYED      the node will ask again
 *   FAILED       the node failed; it may be offered the job again
 *   SUCCESS      the new version booted, proved itself and said so
 *   REJECTED     the node does not want it;  ROLLED_BACK  it tried it and went back;  GAVE_UP  it failed too often
 */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const struct names {
    const char *text, *word;
} names[EX_STATES] = {
    [EX_TRIGGERED] = {"triggered", "triggered"},
    [EX_OFFERED] = {"offered", "started"},
    [EX_IN_PROGRESS] = {"in-progress", "in-progress"},
    [EX_REBOOTING] = {"rebooting", "in-progress"},
    [EX_ON_TRIAL] = {"on-trial", "in-progress"},
    [EX_PROVISIONAL] = {"provisional", "in-progress"},
    [EX_DELAYED] = {"delayed", "delayed"},
    [EX_FAILED] = {"failed", "failed"},
    [EX_WAITING] = {"waiting", "triggered"},
    [EX_SUCCESS] = {"success", "success"},
    [EX_REJECTED] = {"rejected", "rejected"},
    [EX_ROLLED_BACK] = {"rolled-back", "rejected"}, /* what RainMaker's nodes and clients call it */
    [EX_GAVE_UP] = {"gave-up", "failed"},
    /* RainMaker has no word for these; its clients know "unknown" and count them as other. */
    [EX_TIMED_OUT] = {"timed-out", "unknown"},
    [EX_CANCELLED] = {"cancelled", "unknown"},
    [EX_EXCLUDED] = {"excluded", "unknown"},
};

const char *execution_state_text(enum execution_state state)
{
    return names[state].text;
}

const char *execution_state_word(enum execution_state state)
{
    return names[state].word;
}

bool execution_is_over(enum execution_state state)
{
    return state >= EX_FIRST_OVER;
}

#define IN(state)  (1u << (state))
#define WAITING    (IN(EX_TRIGGERED) | IN(EX_WAITING) | IN(EX_DELAYED) | IN(EX_FAILED))
#define OFFERED    (WAITING | IN(EX_OFFERED))
#define MOVING     (IN(EX_IN_PROGRESS) | IN(EX_REBOOTING) | IN(EX_ON_TRIAL) | IN(EX_PROVISIONAL))
#define OPEN       (OFFERED | MOVING)
#define UNTIL_BOOT (OFFERED | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING))
/* Ended by the server's own doing: a later word of the node is the truth. */
#define ENDED_BY_US (IN(EX_GAVE_UP) | IN(EX_TIMED_OUT) | IN(EX_CANCELLED) | IN(EX_EXCLUDED))
#define FAILURES    (IN(EX_GAVE_UP) | IN(EX_TIMED_OUT) | IN(EX_REJECTED) | IN(EX_ROLLED_BACK))

/* From any of the states in the mask, the event leads to the state.  The first row that fits counts. */
static const struct row {
    unsigned in;
    enum execution_event on;
    enum execution_state to;
} rows[] = {
    {UNTIL_BOOT, EX_OFFER, EX_OFFERED},
    {WAITING, EX_PROMISE, EX_WAITING},
    {IN(EX_OFFERED), EX_UNSENT, EX_WAITING},
    {OFFERED | IN(EX_IN_PROGRESS), EX_R_PROGRESS, EX_IN_PROGRESS},
    {UNTIL_BOOT, EX_R_REBOOTING, EX_REBOOTING},
    {UNTIL_BOOT, EX_R_INSTALLED, EX_PROVISIONAL},
    {OFFERED | IN(EX_IN_PROGRESS), EX_R_DELAYED, EX_DELAYED},
    {OFFERED | IN(EX_IN_PROGRESS), EX_R_ATTEMPT_FAILED, EX_IN_PROGRESS},
    {UNTIL_BOOT, EX_R_FAILED, EX_FAILED},
    {UNTIL_BOOT, EX_R_FAILED_LAST, EX_GAVE_UP},
    {OPEN, EX_R_REJECTED, EX_REJECTED},
    /* A rollback is true whatever was believed before, a success included. */
    {OPEN | ENDED_BY_US | IN(EX_SUCCESS) | IN(EX_ROLLED_BACK), EX_R_ROLLED_BACK, EX_ROLLED_BACK},
    {OPEN | ENDED_BY_US, EX_R_SUCCESS, EX_SUCCESS},
    {OPEN | ENDED_BY_US, EX_TARGET_CONFIRMED, EX_SUCCESS},
    {IN(EX_PROVISIONAL), EX_TARGET_SEEN, EX_SUCCESS},
    {OPEN & ~IN(EX_PROVISIONAL), EX_TARGET_SEEN, EX_ON_TRIAL},
    {IN(EX_REBOOTING) | IN(EX_ON_TRIAL) | IN(EX_PROVISIONAL), EX_OTHER_SEEN, EX_ROLLED_BACK},
    {IN(EX_SUCCESS), EX_STRAYED, EX_WAITING},
    {IN(EX_OFFERED) | IN(EX_IN_PROGRESS), EX_SILENT, EX_WAITING},
    {IN(EX_REBOOTING) | IN(EX_ON_TRIAL) | IN(EX_PROVISIONAL), EX_LOST, EX_TIMED_OUT},
    {OPEN, EX_TIME_OVER, EX_TIMED_OUT},
    {OFFERED | IN(EX_IN_PROGRESS), EX_CANCEL, EX_CANCELLED},
    {OFFERED | FAILURES, EX_EXCLUDE, EX_EXCLUDED},
    {FAILURES | IN(EX_EXCLUDED) | IN(EX_CANCELLED) | IN(EX_FAILED), EX_RETRY, EX_WAITING},
};

bool execution_step(struct execution *e, enum execution_event event)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].on == event && (rows[i].in & IN(e->state)) != 0) {
            e->state = rows[i].to;
            return true;
        }
    return false;
}

void execution_init(struct execution *e, const char *job_id, const char *node_id)
{
    *e = (struct execution){.state = EX_TRIGGERED, .percent = -1};
    text_copy(e->job_id, sizeof e->job_id, job_id);
    text_copy(e->node_id, sizeof e->node_id, node_id);
}

/* The same share of a node's wait each time, so that nodes that failed together do not come back together. */
static int64_t spread(const struct execution *e, int64_t wait)
{
    return wait - wait / 5 +
           (int64_t)((double)rollout_place(e->job_id, e->node_id) / ROLLOUT_PLACES * (double)wait * 0.4);
}

/* When something is to be done about an execution that stays as it is.  A deadline that is only moved on by each word
 * of the node is not written each time: when it comes, the last word is looked at (tick.c). */
static time_ms deadline_of(const struct tx *tx, const struct active *a, const struct execution *e,
                           enum execution_event event, enum execution_state before)
{
    const struct fleet_policy *p = &tx->f->policy;
    time_ms first_look = tx->now + p->trial_ms + p->trial_ms / 4; /* a node boots, and is on trial */
    switch (e->state) {
    case EX_IN_PROGRESS:
        return before == EX_OFFERED || before == EX_IN_PROGRESS ? e->deadline_at : first_look;
    case EX_OFFERED:
    case EX_REBOOTING:
        return first_look;
    case EX_PROVISIONAL:
        return tx->now + p->lost_ms;
    case EX_ON_TRIAL:
        return tx->now + p->trial_ms;
    case EX_DELAYED:
        return tx->now + p->delayed_ms;
    case EX_FAILED:
        return tx->now + spread(e, failure_backoff_ms(e->failure, e->failures, a->plan.backoff_ms));
    case EX_WAITING:
        return event == EX_PROMISE ? e->deadline_at : tx->now;
    default:
        return 0;
    }
}

/* What an event means for the execution beside its state. */
static void take_event(const struct tx *tx, struct execution *e, enum execution_event event)
{
    switch (event) {
    case EX_OFFER:
        e->offers++;
        e->offered_at = tx->now;
        break;
    case EX_R_FAILED:
    case EX_R_FAILED_LAST:
        e->failures++;
        e->failure = failure_kind_of(e->info);
        break;
    case EX_SILENT:
        e->failures++;
        e->failure = FAILURE_NETWORK;
        break;
    case EX_RETRY:
    case EX_STRAYED:
        e->failures = 0;
        break;
    default:
        break;
    }
}

/* The kind under which an execution in that state counts as failed. */
static enum failure_kind failure_of(const struct execution *e)
{
    switch (e->state) {
    case EX_FAILED:
    case EX_GAVE_UP:
        return e->failure;
    case EX_REJECTED:
        return e->offers > 0 ? FAILURE_REJECTED : FAILURE_NONE;
    case EX_ROLLED_BACK:
        return FAILURE_ROLLED_BACK;
    case EX_TIMED_OUT:
        return FAILURE_TIMED_OUT;
    default:
        return FAILURE_NONE;
    }
}

/* What an execution is in the counts of its job. */
struct counted {
    enum execution_state state;
    enum failure_kind failure;
    bool is_started, is_refused;
};

static struct counted counted_of(const struct execution *e)
{
    /* Who was left out or whose job was cancelled is in a count of its own. */
    bool is_judged = execution_is_over(e->state) && e->state != EX_EXCLUDED && e->state != EX_CANCELLED;
    return (struct counted){e->state, failure_of(e), e->offers > 0, is_judged && e->offers == 0};
}

static void move_counts(struct job_state *s, struct counted from, struct counted to)
{
    /* Without row an execution is in no count. */
    if (from.state != EX_TRIGGERED)
        s->counts[from.state]--;
    if (from.failure != FAILURE_NONE)
        s->failures[from.failure]--;
    if (to.state != EX_TRIGGERED)
        s->counts[to.state]++;
    if (to.failure != FAILURE_NONE)
        s->failures[to.failure]++;
    s->started += to.is_started - from.is_started;
    s->refused += to.is_refused - from.is_refused;
}

static enum err write_counts(struct tx *tx, struct active *a, struct counted from, struct counted to)
{
    struct job_state state, all;
    enum err err = tx_state(tx, a->job.id, &state);
    if (err == ERR_NONE)
        err = tx_state(tx, "", &all);
    if (err != ERR_NONE)
        return err;
    bool is_review = from.state != to.state && (to.failure != FAILURE_NONE || execution_is_over(to.state));
    move_counts(&state, from, to);
    move_counts(&all, from, to);
    /* Left-out nodes are counted among the job's from their first row on (job_count_audience), for it has ended. */
    if (from.state == EX_TRIGGERED && to.state == EX_EXCLUDED && state.audience >= 0 && !job_is_cheap_to_count(tx, a))
        state.audience++;
    if ((err = tx->db->job_state_put(tx->s, &state, tx->why)) == ERR_NONE)
        err = tx->db->job_state_put(tx->s, &all, tx->why);
    return err == ERR_NONE && is_review ? job_review(tx, a, &state) : err;
}

static enum err write_event(struct tx *tx, const struct execution *e)
{
    struct event event = {.kind = EVENT_EXECUTION, .at = tx->now, .state = e->state, .percent = e->percent};
    text_copy(event.node_id, sizeof event.node_id, e->node_id);
    text_copy(event.job_id, sizeof event.job_id, e->job_id);
    text_copy(event.info, sizeof event.info, e->info);
    tx->is_ringing = true;
    return tx->db->event_add(tx->s, &event, tx->why);
}

/* Ends are always kept; so is what fits. */
static bool is_worth_keeping(const struct execution *e)
{
    unsigned room = e->state == EX_IN_PROGRESS || e->state == EX_WAITING ? TIMELINE_KEPT / 2 : TIMELINE_KEPT;
    return e->timeline_count < room || (execution_is_over(e->state) && e->timeline_count < 2 * TIMELINE_KEPT);
}

enum err execution_apply(struct tx *tx, struct active *a, struct execution *e, enum execution_event event,
                         const char *info, bool is_from_node)
{
    enum execution_state before = e->state;
    struct counted was = counted_of(e);
    if (!execution_step(e, event)) {
        log_line(tx->f->log, LOG_DEBUG, "fleet", "node=%s job=%s state=%s ignored: \"%s\"", e->node_id, e->job_id,
                 execution_state_text(e->state), info ? info : "");
        return ERR_NONE;
    }
    if (info != NULL)
        text_copy(e->info, sizeof e->info, info);
    take_event(tx, e, event);
    e->updated_at = tx->now;
    e->deadline_at = deadline_of(tx, a, e, event, before);
    if (e->state != EX_WAITING)
        e->has_slot = false;
    if (e->state == EX_OFFERED || e->state == EX_WAITING || execution_is_over(e->state))
        e->percent = e->state == EX_SUCCESS ? 100 : -1;
    struct timeline_row row = {tx->now, is_from_node, e->state, {0}};
    text_copy(row.info, sizeof row.info, e->info);
    bool is_kept = is_worth_keeping(e);
    e->timeline_count += is_kept;
    enum err err = tx->db->execution_put(tx->s, e, is_kept ? &row : NULL, tx->why);
    if (err == ERR_NONE)
        err = write_event(tx, e);
    if (before != e->state)
        log_line(tx->f->log, LOG_INFO, "fleet", "node=%s job=%s %s -> %s \"%s\"", e->node_id, e->job_id,
                 execution_state_text(before), execution_state_text(e->state), e->info);
    struct counted is = counted_of(e);
    bool is_same = was.state == is.state && was.failure == is.failure && was.is_started == is.is_started;
    return err || is_same ? err : write_counts(tx, a, was, is);
}
