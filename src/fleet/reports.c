/* What nodes say of executions, and what the version that they show says. */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define OPEN_MAX                                                                                                       \
    32 /* executions of one node that are looked at; more than that many open jobs wait for the next time */
#define SEEN_EVERY_MS 60000 /* a node's sign of life alone is written once a minute */

enum err node_mark_seen(struct tx *tx, struct node *node, bool is_changed)
{
    bool was_online = node->is_online;
    if (was_online && !is_changed && tx->now - node->seen_at < SEEN_EVERY_MS)
        return ERR_NONE;
    node->seen_at = tx->now;
    node->is_online = true;
    if (!was_online)
        node->presence_at = tx->now;
    enum err err = tx->db->node_put(tx->s, node, tx->why);
    return err == ERR_NONE && !was_online ? tx_event(tx, EVENT_NODE, node->id, NULL, NULL) : err;
}

/* --- reports ---------------------------------------------------------------------------------- */

static bool is_on_target(const struct active *a, const struct node *node)
{
    return a->has_image && node->fw_version[0] && strcmp(a->image.fw_version, node->fw_version) == 0;
}

static int64_t retries_of(const struct tx *tx, const struct active *a)
{
    return a->plan.retries >= 0 ? a->plan.retries : (int64_t)tx->f->policy.retries;
}

/* "OTA Attempt 1/3 failed: ...": the node tries again at once. */
static bool is_attempt_before_last(const char *info)
{
    unsigned i = 0, n = 0;
    const char *at = strstr(info, "ttempt ");
    return at != NULL && sscanf(at, "ttempt %u/%u failed", &i, &n) == 2 && i < n;
}

/* The status word alone does not tell a rollback from a refusal, nor a success before the reboot from one after. */
static enum execution_event classify(struct tx *tx, const struct active *a, const struct execution *e,
                                     const struct node *node, const struct status_report *r)
{
    /* A node that begins to download has found another version in the image than its own. */
    bool was_other = e->state == EX_IN_PROGRESS && e->percent >= 0;
    bool was_installed = e->state == EX_REBOOTING || e->state == EX_ON_TRIAL || e->state == EX_PROVISIONAL || was_other;
    if ((r->status == REPORT_REJECTED || r->status == REPORT_FAILED) && status_info_is_rollback(r->info))
        return EX_R_ROLLED_BACK;
    switch (r->status) {
    case REPORT_IN_PROGRESS:
        return status_info_is_rebooting(r->info) ? EX_R_REBOOTING : EX_R_PROGRESS;
    case REPORT_SUCCESS:
        return strstr(r->info, "OTA Upgrade finished successfully") && !is_on_target(a, node) && !a->job.is_host_mcu
                   ? EX_R_INSTALLED
                   : EX_R_SUCCESS;
    case REPORT_DELAYED:
        return EX_R_DELAYED;
    case REPORT_REJECTED:
        /* A second copy of the job met the version that the first one installed; what the node said of itself in
         * between may have been lost. */
        return was_installed && (is_on_target(a, node) || strstr(r->info, "Same version")) ? EX_TARGET_CONFIRMED
                                                                                           : EX_R_REJECTED;
    case REPORT_FAILED:
        if (is_attempt_before_last(r->info))
            return EX_R_ATTEMPT_FAILED;
        break;
    case REPORT_INVALID:
        break;
    }
    return e->failures >= retries_of(tx, a) ? EX_R_FAILED_LAST : EX_R_FAILED;
}

/* A node's clock is believed when it is within a day of ours and not before 2019. */
static void take_clock(struct execution *e, int64_t ts, time_ms now)
{
    int64_t off = ts - now / 1000;
    bool is_believable = ts > 1546300800 && off < 86400 && off > -86400;
    e->node_ts = is_believable ? ts : 0;
    e->invalid_node_ts = is_believable ? 0 : ts;
}

static enum err load_execution(struct tx *tx, const struct active *a, const struct node *node, struct execution *e)
{
    bool is_target = false;
    enum err err = tx->db->execution_get(tx->s, a->job.id, node->id, e, tx->why);
    if (err != ERR_NOT_FOUND)
        return err;
    err = job_is_for(tx, a, node, &is_target);
    if (err == ERR_NONE && !is_target)
        err = why_set(tx->why, ERR_NO_JOB, "job %s is not for node %s", a->job.id, node->id);
    execution_init(e, a->job.id, node->id);
    text_copy(e->from_version, sizeof e->from_version, node->fw_version);
    return err;
}

/* A success is what the node is expected to run from now on; and what it runs, when its description, which came before
 * it, was lost. */
static enum err expect_version(struct tx *tx, const struct active *a, struct node *node, const struct execution *e,
                               enum execution_state before)
{
    if (e->state != EX_SUCCESS || before == EX_SUCCESS || a->job.is_host_mcu || !a->has_image)
        return ERR_NONE;
    text_copy(node->expected_version, sizeof node->expected_version, a->image.fw_version);
    if (strcmp(node->fw_version, e->from_version) == 0)
        text_copy(node->fw_version, sizeof node->fw_version, a->image.fw_version);
    node->is_astray = false;
    return tx->db->node_put(tx->s, node, tx->why);
}

enum err execution_apply_of(struct tx *tx, struct active *a, struct node *node, struct execution *e,
                            enum execution_event event, const char *info, bool is_from_node)
{
    enum execution_state before = e->state;
    enum err err = execution_apply(tx, a, e, event, info, is_from_node);
    return err ? err : expect_version(tx, a, node, e, before);
}

static enum err take_report(struct tx *tx, const char *node_id, const struct status_report *r, enum err *told)
{
    struct node node;
    struct active *a;
    struct execution e;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = active_find(tx, r->job_id, &a)) != ERR_NONE ||
        (err = load_execution(tx, a, &node, &e)) != ERR_NONE || (err = node_mark_seen(tx, &node, false)) != ERR_NONE)
        return err;
    enum job_status status = a->job.status;
    bool is_expired = a->job.expires_at > 0 && tx->now >= a->job.expires_at;
    take_clock(&e, r->ts, tx->now);
    int percent = status_info_percent(r->info);
    if (percent >= 0 && r->status == REPORT_IN_PROGRESS)
        e.percent = percent;
    err = execution_apply_of(tx, a, &node, &e, classify(tx, a, &e, &node, r), r->info, true);
    /* Taken all the same: what the node did is true.  RainMaker tells nodes that ask by HTTP. */
    if (status == JOB_CANCELLED || is_expired)
        *told = ERR_JOB_OVER;
    else if (status == JOB_FINISHED)
        *told = ERR_JOB_FINISHED;
    return err;
}

enum err fleet_on_report(struct fleet *f, const char *node_id, const struct status_report *r, time_ms now,
                         struct why *why)
{
    struct tx tx;
    enum err told = ERR_NONE, err = tx_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, take_report(&tx, node_id, r, &told));
    return err || told == ERR_NONE ? err
                                   : why_set(why, told, "job %s is %s; the report was kept", r->job_id,
                                             told == ERR_JOB_FINISHED ? "finished" : "cancelled or expired");
}

/* --- truth by version ------------------------------------------------------------------------- */

static enum err settle_one(struct tx *tx, struct node *node, struct execution *e, bool is_confirmed)
{
    struct active *a;
    char info[STATUS_INFO_SIZE];
    if (active_find(tx, e->job_id, &a) != ERR_NONE || a->job.is_host_mcu)
        return ERR_NONE;
    bool has_booted = node->booted_at > e->updated_at || tx->now - e->updated_at > tx->f->policy.reboot_grace_ms;
    if (is_on_target(a, node)) {
        bool is_new = e->offers > 0 && strcmp(e->from_version, node->fw_version) != 0;
        snprintf(info, sizeof info, "Runs %s", node->fw_version);
        return is_new ? execution_apply_of(tx, a, node, e, is_confirmed ? EX_TARGET_CONFIRMED : EX_TARGET_SEEN, info,
                                           false)
                      : ERR_NONE;
    }
    if (!has_booted || node->fw_version[0] == '\0')
        return ERR_NONE;
    snprintf(info, sizeof info, "Runs %s after it said it would reboot into the new firmware", node->fw_version);
    return execution_apply_of(tx, a, node, e, EX_OTHER_SEEN, info, false);
}

/* The version that a node shows decides what its silence left open.  `is_confirmed`: it asks for updates, which a node
 * does only when nothing is on trial; a description alone may come from a trial. */
static enum err settle_by_version(struct tx *tx, struct node *node, bool is_confirmed, bool *is_explained)
{
    struct execution open[OPEN_MAX];
    unsigned count = 0;
    enum err err = tx->db->executions_open(tx->s, node->id, open, OPEN_MAX, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        *is_explained |= open[i].offers > 0;
        err = settle_one(tx, node, &open[i], is_confirmed);
    }
    return err;
}

/* Its successful execution that is not true any more; offered again when the policy says so. */
static enum err reopen(struct tx *tx, const struct node *node, const char *info)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(tx, &jobs, &count);
    for (unsigned i = 0; err == ERR_NONE && i < count && tx->f->policy.reoffers_strayed; i++) {
        struct execution e;
        struct active *a = jobs[i];
        if (!a->has_image || strcmp(a->image.fw_version, node->expected_version) != 0 ||
            tx->db->execution_get(tx->s, a->job.id, node->id, &e, NULL) != ERR_NONE || e.state != EX_SUCCESS)
            continue;
        return execution_apply(tx, a, &e, EX_STRAYED, info, false);
    }
    return err;
}

/* A node that runs neither what its last job gave it nor what a job is giving it: flashed by hand, rolled back late, or
 * swapped. */
static enum err notice_stray(struct tx *tx, struct node *node, bool is_explained)
{
    char info[STATUS_INFO_SIZE];
    bool is_astray = node->expected_version[0] && node->fw_version[0] &&
                     strcmp(node->expected_version, node->fw_version) != 0 && !is_explained;
    if (is_astray == node->is_astray)
        return ERR_NONE;
    node->is_astray = is_astray;
    enum err err = tx->db->node_put(tx->s, node, tx->why);
    if (err != ERR_NONE || !is_astray)
        return err;
    snprintf(info, sizeof info, "Runs %s, expected %s", node->fw_version, node->expected_version);
    log_line(tx->f->log, LOG_WARN, "fleet", "node=%s is astray: %s", node->id, info);
    err = tx_event_told(tx, EVENT_NODE, node->id, NULL, info);
    return err ? err : reopen(tx, node, info);
}

enum err node_settle(struct tx *tx, struct node *node, bool is_confirmed)
{
    bool is_explained = false;
    enum err err = settle_by_version(tx, node, is_confirmed, &is_explained);
    return err ? err : notice_stray(tx, node, is_explained);
}
