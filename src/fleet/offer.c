#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define JOBS_OF_NODE_MAX 16 /* active jobs of one node that one question looks at */

/* Real chips report their ESP-IDF target.  A node that reports none is not refused: it decides itself. */
static bool is_other_chip(const struct node *node, const struct image *image)
{
    return node->platform[0] && image->platform[0] && strcmp(node->platform, image->platform) != 0;
}

static bool has_booted_since(const struct node *node, time_ms at)
{
    return node->booted_at > at || node->subscribed_at > at;
}

static enum decision decide_again(const struct node *node, const struct execution *e, enum occasion occasion,
                                  const struct fleet_policy *policy, time_ms now)
{
    bool is_same_connection = e->offered_at >= node->subscribed_at && e->offered_at >= node->booted_at;
    switch (e->state) {
    case EX_OFFERED:
        return occasion != ON_PUSH && is_same_connection && now - e->offered_at < policy->repeat_ms
                   ? DECIDE_JUST_OFFERED
                   : DECIDE_OFFER;
    case EX_IN_PROGRESS:
        /* A node that works has no use for a second copy.  One that asks after a boot has lost its work; one that only
         * listens again may still be working. */
        return occasion == ON_FETCH && has_booted_since(node, e->updated_at)           ? DECIDE_OFFER
               : occasion == ON_FETCH && now - e->updated_at > policy->reboot_grace_ms ? DECIDE_OFFER
                                                                                       : DECIDE_WORKING;
    case EX_REBOOTING:
    case EX_ON_TRIAL:
    case EX_PROVISIONAL:
        return DECIDE_WORKING;
    default:
        return execution_is_over(e->state) ? DECIDE_ENDED : DECIDE_OFFER;
    }
}

enum decision fleet_decide(const struct node *node, const struct job *job, const struct image *image,
                           const struct execution *e, enum occasion occasion, const struct fleet_policy *policy,
                           time_ms now)
{
    if (job->status != JOB_ACTIVE)
        return DECIDE_JOB_OVER;
    if (e != NULL && execution_is_over(e->state))
        return DECIDE_ENDED;
    if (image == NULL || !image->is_ready)
        return DECIDE_IMAGE_GONE;
    if (is_other_chip(node, image))
        return DECIDE_OTHER_CHIP;
    bool is_untouched = e == NULL || e->state == EX_TRIGGERED;
    if (is_untouched && node->fw_version[0] && strcmp(node->fw_version, image->fw_version) == 0)
        return DECIDE_ON_VERSION;
    return is_untouched ? DECIDE_OFFER : decide_again(node, e, occasion, policy, now);
}

/* Reasons that will not change end the execution, so that the job can finish and tells why. */
static enum err book(struct tx *tx, const struct node *node, const struct image *image, struct execution *e,
                     enum decision decision)
{
    char info[STATUS_INFO_SIZE];
    if (decision == DECIDE_OFFER) {
        e->offers++;
        e->offered_at = tx->now;
        if (e->from_version[0] == '\0')
            text_copy(e->from_version, sizeof e->from_version, node->fw_version);
        return execution_apply(tx, e, EX_OFFER, "OTA URL Sent to Node", false);
    }
    if (decision == DECIDE_ON_VERSION) {
        snprintf(info, sizeof info, "Runs %s already", image->fw_version);
        return execution_apply(tx, e, EX_R_REJECTED, info, false);
    }
    if (decision == DECIDE_OTHER_CHIP) {
        snprintf(info, sizeof info, "Image is for %s, node is %s", image->platform, node->platform);
        return execution_apply(tx, e, EX_R_REJECTED, info, false);
    }
    return ERR_NONE;
}

enum err offer_consider(struct tx *tx, struct node *node, struct job *job, enum occasion occasion, struct image *image,
                        bool *is_offered)
{
    struct execution e;
    *is_offered = false;
    enum err err = tx->db->execution_get(tx->s, job->id, node->id, &e, tx->why);
    bool has_row = err == ERR_NONE;
    if (err == ERR_NOT_FOUND) {
        e = (struct execution){.state = EX_TRIGGERED, .percent = -1};
        text_copy(e.job_id, sizeof e.job_id, job->id);
        text_copy(e.node_id, sizeof e.node_id, node->id);
        err = ERR_NONE;
    }
    if (err != ERR_NONE)
        return err;
    err = tx->db->image_get(tx->s, job->image_id, image, tx->why);
    bool has_image = err == ERR_NONE;
    if (err != ERR_NONE && err != ERR_NOT_FOUND)
        return err;
    enum decision decision =
        fleet_decide(node, job, has_image ? image : NULL, has_row ? &e : NULL, occasion, &tx->f->policy, tx->now);
    *is_offered = decision == DECIDE_OFFER;
    return book(tx, node, image, &e, decision);
}

enum err offer_find(struct tx *tx, struct node *node, enum occasion occasion, struct job *job, struct image *image,
                    bool *is_offered)
{
    struct job jobs[JOBS_OF_NODE_MAX];
    unsigned count = 0;
    *is_offered = false;
    enum err err = tx->db->jobs_of_node(tx->s, node->id, jobs, JOBS_OF_NODE_MAX, &count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        err = offer_consider(tx, node, &jobs[i], occasion, image, is_offered);
        *job = jobs[i];
        struct execution e;
        bool is_open =
            tx->db->execution_get(tx->s, jobs[i].id, node->id, &e, NULL) == ERR_NONE && !execution_is_over(e.state);
        if (*is_offered || is_open)
            break; /* one job at a time; the next one waits until this one has ended */
    }
    return err;
}

enum err offer_send(struct tx *tx, const char *node_id, const char *job_id)
{
    struct outbox_row row = {.at = tx->now};
    text_copy(row.node_id, sizeof row.node_id, node_id);
    text_copy(row.job_id, sizeof row.job_id, job_id);
    tx->is_ringing = true;
    return tx->db->outbox_add(tx->s, &row, tx->why);
}

/* --- the outbox ------------------------------------------------------------------------------- */

enum err fleet_outbox_list(struct fleet *f, int64_t after, struct outgoing *to, unsigned max, unsigned *count,
                           struct why *why)
{
    struct outbox_row rows[32];
    struct tx tx;
    unsigned n = 0;
    *count = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->outbox_list(tx.s, after, rows, max < 32 ? max : 32, &n, why);
    for (unsigned i = 0; err == ERR_NONE && i < n; i++) {
        struct outgoing *o = &to[i];
        struct execution e;
        *o = (struct outgoing){.row = rows[i]};
        /* The state may have moved on since the row was written, for example while the server was down. */
        o->is_stale = tx.db->job_get(tx.s, rows[i].job_id, &o->job, why) != ERR_NONE || o->job.status != JOB_ACTIVE ||
                      tx.db->image_get(tx.s, o->job.image_id, &o->image, why) != ERR_NONE ||
                      tx.db->execution_get(tx.s, rows[i].job_id, rows[i].node_id, &e, why) != ERR_NONE ||
                      e.state != EX_OFFERED;
    }
    *count = n;
    return tx_end(&tx, err);
}

enum err fleet_outbox_done(struct fleet *f, int64_t id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->outbox_delete(tx.s, id, why));
}
