/*
 * One job on one node.  What is true in each state:
 *   OFFERED      the job document is on its way or was taken; the node has not spoken yet
 *   IN_PROGRESS  the node said it works on it
 *   REBOOTING    the node said that the image is in its other slot and that it reboots
 *   ON_TRIAL     the new version described itself; nobody confirmed it yet; deadline_at is set
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
    bool is_over;
} names[EX_STATES] = {
    [EX_TRIGGERED] = {"triggered", "triggered", false},
    [EX_OFFERED] = {"offered", "started", false},
    [EX_IN_PROGRESS] = {"in-progress", "in-progress", false},
    [EX_REBOOTING] = {"rebooting", "in-progress", false},
    [EX_ON_TRIAL] = {"on-trial", "in-progress", false},
    [EX_PROVISIONAL] = {"provisional", "in-progress", false},
    [EX_DELAYED] = {"delayed", "delayed", false},
    [EX_FAILED] = {"failed", "failed", false},
    [EX_SUCCESS] = {"success", "success", true},
    [EX_REJECTED] = {"rejected", "rejected", true},
    [EX_ROLLED_BACK] = {"rolled-back", "rejected", true}, /* what RainMaker's nodes and clients call it */
    [EX_GAVE_UP] = {"gave-up", "failed", true},
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
    return names[state].is_over;
}

#define IN(state) (1u << (state))
#define WAITING   (IN(EX_TRIGGERED) | IN(EX_OFFERED) | IN(EX_DELAYED) | IN(EX_FAILED))
#define MOVING    (IN(EX_IN_PROGRESS) | IN(EX_REBOOTING) | IN(EX_ON_TRIAL) | IN(EX_PROVISIONAL))
#define OPEN      (WAITING | MOVING)

/* From any of the states in the mask, the event leads to the state.  The first row that fits counts. */
static const struct row {
    unsigned in;
    enum execution_event on;
    enum execution_state to;
} rows[] = {
    {WAITING | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING), EX_OFFER, EX_OFFERED},
    {WAITING | IN(EX_IN_PROGRESS), EX_R_PROGRESS, EX_IN_PROGRESS},
    {WAITING | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING), EX_R_REBOOTING, EX_REBOOTING},
    {WAITING | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING), EX_R_INSTALLED, EX_PROVISIONAL},
    {WAITING | IN(EX_IN_PROGRESS), EX_R_DELAYED, EX_DELAYED},
    {WAITING | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING), EX_R_FAILED, EX_FAILED},
    {WAITING | IN(EX_IN_PROGRESS) | IN(EX_REBOOTING), EX_R_FAILED_LAST, EX_GAVE_UP},
    {OPEN, EX_R_REJECTED, EX_REJECTED},
    /* A rollback is true whatever was believed before, a success included. */
    {OPEN | IN(EX_SUCCESS) | IN(EX_GAVE_UP) | IN(EX_ROLLED_BACK), EX_R_ROLLED_BACK, EX_ROLLED_BACK},
    {OPEN | IN(EX_GAVE_UP), EX_R_SUCCESS, EX_SUCCESS},
    {OPEN | IN(EX_GAVE_UP), EX_TARGET_CONFIRMED, EX_SUCCESS},
    {IN(EX_PROVISIONAL), EX_TARGET_SEEN, EX_SUCCESS},
    {OPEN & ~IN(EX_PROVISIONAL), EX_TARGET_SEEN, EX_ON_TRIAL},
    {IN(EX_REBOOTING) | IN(EX_ON_TRIAL) | IN(EX_PROVISIONAL), EX_OTHER_SEEN, EX_ROLLED_BACK},
    {IN(EX_ON_TRIAL), EX_TRIAL_OVER, EX_SUCCESS},
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

static bool is_worth_keeping(struct tx *tx, const struct execution *e)
{
    struct timeline_row kept[TIMELINE_KEPT];
    unsigned count = 0;
    if (e->state != EX_IN_PROGRESS)
        return true;
    return tx->db->timeline_list(tx->s, e->job_id, e->node_id, kept, TIMELINE_KEPT, &count, NULL) != ERR_NONE ||
           count < TIMELINE_KEPT;
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

enum err execution_apply(struct tx *tx, struct execution *e, enum execution_event event, const char *info,
                         bool is_from_node)
{
    enum execution_state before = e->state;
    if (!execution_step(e, event)) {
        log_line(tx->f->log, LOG_DEBUG, "fleet", "node=%s job=%s state=%s ignored: \"%s\"", e->node_id, e->job_id,
                 execution_state_text(e->state), info ? info : "");
        return ERR_NONE;
    }
    if (info != NULL)
        text_copy(e->info, sizeof e->info, info);
    e->updated_at = tx->now;
    e->deadline_at = e->state == EX_ON_TRIAL ? tx->now + tx->f->policy.trial_ms : 0;
    if (e->state == EX_OFFERED || execution_is_over(e->state))
        e->percent = e->state == EX_SUCCESS ? 100 : -1;
    struct timeline_row row = {tx->now, is_from_node, e->state, {0}};
    text_copy(row.info, sizeof row.info, e->info);
    enum err err = ERR_NONE;
    if (is_worth_keeping(tx, e))
        err = tx->db->timeline_add(tx->s, e->job_id, e->node_id, &row, tx->why);
    if (err == ERR_NONE)
        err = tx->db->execution_put(tx->s, e, tx->why);
    if (err == ERR_NONE)
        err = write_event(tx, e);
    if (before != e->state)
        log_line(tx->f->log, LOG_INFO, "fleet", "node=%s job=%s %s -> %s \"%s\"", e->node_id, e->job_id,
                 execution_state_text(before), execution_state_text(e->state), e->info);
    if (err == ERR_NONE && execution_is_over(e->state))
        err = job_check_finished(tx, e->job_id);
    return err;
}

/* --- what nodes say --------------------------------------------------------------------------- */

static bool is_on_target(struct tx *tx, const struct node *node, const struct job *job)
{
    struct image image;
    return tx->db->image_get(tx->s, job->image_id, &image, tx->why) == ERR_NONE && node->fw_version[0] &&
           strcmp(image.fw_version, node->fw_version) == 0;
}

/* The status word alone does not tell a rollback from a refusal, nor a success before the reboot from one after. */
static enum execution_event classify(struct tx *tx, struct execution *e, const struct node *node, const struct job *job,
                                     const struct status_report *r)
{
    bool was_installed = e->state == EX_REBOOTING || e->state == EX_ON_TRIAL || e->state == EX_PROVISIONAL;
    if ((r->status == REPORT_REJECTED || r->status == REPORT_FAILED) && status_info_is_rollback(r->info))
        return EX_R_ROLLED_BACK;
    switch (r->status) {
    case REPORT_IN_PROGRESS:
        return status_info_is_rebooting(r->info) ? EX_R_REBOOTING : EX_R_PROGRESS;
    case REPORT_SUCCESS:
        return strstr(r->info, "OTA Upgrade finished successfully") && !is_on_target(tx, node, job) ? EX_R_INSTALLED
                                                                                                    : EX_R_SUCCESS;
    case REPORT_DELAYED:
        return EX_R_DELAYED;
    case REPORT_REJECTED:
        /* A second copy of the job met the version that the first one installed. */
        return was_installed && is_on_target(tx, node, job) ? EX_TARGET_CONFIRMED : EX_R_REJECTED;
    case REPORT_FAILED:
    case REPORT_INVALID:
        break;
    }
    e->failures++;
    return e->failures >= tx->f->policy.failures_max ? EX_R_FAILED_LAST : EX_R_FAILED;
}

/* A node's clock is believed when it is within a day of ours and not before 2019. */
static void take_clock(struct execution *e, int64_t ts, time_ms now)
{
    int64_t off = ts - now / 1000;
    bool is_believable = ts > 1546300800 && off < 86400 && off > -86400;
    e->node_ts = is_believable ? ts : 0;
    e->invalid_node_ts = is_believable ? 0 : ts;
}

static enum err load_execution(struct tx *tx, const struct job *job, const struct node *node, struct execution *e)
{
    bool is_target = false;
    enum err err = tx->db->execution_get(tx->s, job->id, node->id, e, tx->why);
    if (err != ERR_NOT_FOUND)
        return err;
    err = tx->db->job_has_target(tx->s, job, node->id, &is_target, tx->why);
    if (err == ERR_NONE && !is_target)
        err = why_set(tx->why, ERR_NO_JOB, "job %s is not for node %s", job->id, node->id);
    *e = (struct execution){.state = EX_TRIGGERED, .percent = -1};
    text_copy(e->job_id, sizeof e->job_id, job->id);
    text_copy(e->node_id, sizeof e->node_id, node->id);
    text_copy(e->from_version, sizeof e->from_version, node->fw_version);
    return err;
}

static enum err mark_seen(struct tx *tx, struct node *node)
{
    bool was_online = node->is_online;
    node->seen_at = tx->now;
    node->is_online = true;
    if (!was_online)
        node->presence_at = tx->now;
    enum err err = tx->db->node_put(tx->s, node, tx->why);
    return err == ERR_NONE && !was_online ? tx_event(tx, EVENT_NODE, node->id, NULL, NULL) : err;
}

static enum err take_report(struct tx *tx, const char *node_id, const struct status_report *r)
{
    struct node node;
    struct job job;
    struct execution e;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = mark_seen(tx, &node)) != ERR_NONE ||
        (err = tx_job(tx, r->job_id, &job)) != ERR_NONE || (err = load_execution(tx, &job, &node, &e)) != ERR_NONE)
        return err;
    take_clock(&e, r->ts, tx->now);
    int percent = status_info_percent(r->info);
    if (percent >= 0 && r->status == REPORT_IN_PROGRESS)
        e.percent = percent;
    return execution_apply(tx, &e, classify(tx, &e, &node, &job, r), r->info, true);
}

enum err fleet_on_report(struct fleet *f, const char *node_id, const struct status_report *r, time_ms now,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_report(&tx, node_id, r));
}

/* --- truth by version ------------------------------------------------------------------------- */

#define OPEN_MAX                                                                                                       \
    32 /* executions of one node that are looked at; more than that many open jobs wait for the next time */

/* The version that a node shows decides what its silence left open.  `is_confirmed`: it asks for updates, which a node
 * does only when nothing is on trial; a description alone may come from a trial. */
static enum err settle_by_version(struct tx *tx, const struct node *node, bool is_confirmed)
{
    struct execution open[OPEN_MAX];
    unsigned count = 0;
    enum err err = tx->db->executions_open(tx->s, node->id, open, OPEN_MAX, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct job job;
        struct execution *e = &open[i];
        char info[STATUS_INFO_SIZE];
        if (tx->db->job_get(tx->s, e->job_id, &job, tx->why) != ERR_NONE)
            continue;
        bool has_booted = node->booted_at > e->updated_at || tx->now - e->updated_at > tx->f->policy.reboot_grace_ms;
        if (is_on_target(tx, node, &job)) {
            snprintf(info, sizeof info, "Runs %s", node->fw_version);
            bool is_new = e->from_version[0] == '\0' || strcmp(e->from_version, node->fw_version) != 0;
            if (is_new)
                err = execution_apply(tx, e, is_confirmed ? EX_TARGET_CONFIRMED : EX_TARGET_SEEN, info, false);
        } else if (has_booted && node->fw_version[0]) {
            snprintf(info, sizeof info, "Runs %s after it said it would reboot into the new firmware",
                     node->fw_version);
            err = execution_apply(tx, e, EX_OTHER_SEEN, info, false);
        }
    }
    return err;
}

static enum err take_config(struct tx *tx, const char *node_id, const struct node_description *d, struct bytes payload)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    bool is_changed = strcmp(node.fw_version, d->fw_version) != 0 || node.activated_at == 0;
    memcpy(node.name, d->name, sizeof node.name);
    memcpy(node.fw_version, d->fw_version, sizeof node.fw_version);
    memcpy(node.type, d->type, sizeof node.type);
    memcpy(node.subtype, d->subtype, sizeof node.subtype);
    memcpy(node.model, d->model, sizeof node.model);
    memcpy(node.project_name, d->project_name, sizeof node.project_name);
    memcpy(node.platform, d->platform, sizeof node.platform);
    memcpy(node.network_id, d->network_id, sizeof node.network_id);
    node.booted_at = tx->now;
    if (node.activated_at == 0)
        node.activated_at = tx->now;
    if ((err = mark_seen(tx, &node)) != ERR_NONE ||
        (err = tx->db->node_config_put(tx->s, node_id, payload, tx->why)) != ERR_NONE ||
        (is_changed && (err = tx_event(tx, EVENT_NODE, node_id, NULL, NULL)) != ERR_NONE))
        return err;
    return settle_by_version(tx, &node, false);
}

enum err fleet_on_config(struct fleet *f, const char *node_id, struct bytes payload, time_ms now, struct why *why)
{
    struct node_description d;
    struct tx tx;
    enum err err = node_description_read(&d, payload, why);
    if (err == ERR_NONE)
        err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_config(&tx, node_id, &d, payload));
}

static enum err take_version(struct tx *tx, struct node *node, const char *fw_version, const char *network_id)
{
    if (fw_version[0])
        text_copy(node->fw_version, sizeof node->fw_version, fw_version);
    if (network_id[0])
        text_copy(node->network_id, sizeof node->network_id, network_id);
    enum err err = mark_seen(tx, node);
    return err ? err : settle_by_version(tx, node, true);
}

static enum err take_fetch(struct tx *tx, const char *node_id, const struct fetch_message *m)
{
    struct node node;
    struct job job;
    struct image image;
    bool is_offered;
    enum err err;
    if (m->node_id[0] && strcmp(m->node_id, node_id) != 0)
        return why_set(tx->why, ERR_FORMAT, "otafetch of node %s names node %s", node_id, m->node_id);
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE ||
        (err = take_version(tx, &node, m->fw_version, m->network_id)) != ERR_NONE ||
        (err = offer_find(tx, &node, ON_FETCH, &job, &image, &is_offered)) != ERR_NONE)
        return err;
    return is_offered ? offer_send(tx, node_id, job.id) : ERR_NONE;
}

enum err fleet_on_fetch(struct fleet *f, const char *node_id, const struct fetch_message *m, time_ms now,
                        struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_fetch(&tx, node_id, m));
}

static enum err fetch_now(struct tx *tx, const char *node_id, struct job *job, struct image *image, bool *is_offered)
{
    struct node node;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = take_version(tx, &node, "", "")) != ERR_NONE)
        return err;
    return offer_find(tx, &node, ON_FETCH, job, image, is_offered);
}

enum err fleet_fetch_now(struct fleet *f, const char *node_id, time_ms now, struct job *job, struct image *image,
                         struct why *why)
{
    struct tx tx;
    bool is_offered = false;
    enum err err = tx_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, fetch_now(&tx, node_id, job, image, &is_offered));
    if (err == ERR_NONE && !is_offered)
        err = why_set(why, ERR_NO_JOB, "there is no update for node %s", node_id);
    return err;
}

/* --- time ------------------------------------------------------------------------------------- */

#define DUE_BATCH 50
#define TICK_MS   5000 /* how late a deadline may be noticed */

static enum err end_trials(struct tx *tx, bool *is_more)
{
    struct execution due[DUE_BATCH];
    unsigned count = 0;
    enum err err = tx->db->executions_due(tx->s, tx->now, due, DUE_BATCH, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = execution_apply(tx, &due[i], EX_TRIAL_OVER, NULL, false);
    *is_more = count == DUE_BATCH;
    return err;
}

/* One batch of one force push: the job's row remembers how far it came, so a crash repeats at most nothing. */
static enum err push_batch(struct tx *tx, struct job *job)
{
    char ids[256][NODE_ID_SIZE];
    unsigned count = 0, max = tx->f->policy.push_batch < 256 ? tx->f->policy.push_batch : 256;
    enum err err = tx->db->job_target_list(tx->s, job, job->push_after, ids, max, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct node node;
        struct image image;
        bool is_offered = false;
        if (tx->db->node_get(tx->s, ids[i], &node, tx->why) != ERR_NONE)
            continue;
        err = offer_consider(tx, &node, job, ON_PUSH, &image, &is_offered);
        if (err == ERR_NONE && is_offered)
            err = offer_send(tx, node.id, job->id);
    }
    if (err != ERR_NONE)
        return err;
    struct job fresh; /* considering the last node may have finished the job */
    err = tx->db->job_get(tx->s, job->id, &fresh, tx->why);
    fresh.is_pushing = count == max && fresh.status == JOB_ACTIVE;
    if (count > 0)
        text_copy(fresh.push_after, sizeof fresh.push_after, ids[count - 1]);
    return err ? err : tx->db->job_put(tx->s, &fresh, tx->why);
}

static enum err push_jobs(struct tx *tx, bool *is_more)
{
    struct job jobs[4];
    unsigned count = 0;
    enum err err = tx->db->jobs_pushing(tx->s, jobs, 4, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = push_batch(tx, &jobs[i]);
    *is_more = count > 0;
    return err;
}

enum err fleet_tick(struct fleet *f, time_ms now, time_ms *next_at, struct why *why)
{
    struct tx tx;
    bool more_trials = false, more_pushes = false;
    *next_at = now + TICK_MS;
    enum err err = tx_begin(&tx, f, now, why);
    if (err != ERR_NONE)
        return err;
    err = end_trials(&tx, &more_trials);
    if (err == ERR_NONE)
        err = push_jobs(&tx, &more_pushes);
    err = tx_end(&tx, err);
    if (more_trials || more_pushes)
        *next_at = now;
    return err;
}
