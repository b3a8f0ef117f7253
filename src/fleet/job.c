#include "fleet/inner.h"

#include "base/text.h"

#include <string.h>

#define PRIORITY_DEFAULT 5
#define PRIORITY_LOWEST  10

const char *job_status_text(enum job_status status)
{
    static const char *const texts[] = {"active", "finished", "cancelled"};
    return texts[status];
}

enum err job_summarise(struct tx *tx, struct job_summary *to)
{
    enum err err = tx->db->job_target_count(tx->s, &to->job, &to->total, tx->why);
    if (err == ERR_NONE)
        err = tx->db->execution_counts(tx->s, to->job.id, to->counts, tx->why);
    int64_t with_row = 0;
    for (int s = EX_TRIGGERED + 1; s < EX_STATES; s++)
        with_row += to->counts[s];
    to->counts[EX_TRIGGERED] = to->total > with_row ? to->total - with_row : 0;
    return err;
}

enum err job_check_finished(struct tx *tx, const char *job_id)
{
    struct job_summary sum;
    enum err err;
    if ((err = tx_job(tx, job_id, &sum.job)) != ERR_NONE || (err = job_summarise(tx, &sum)) != ERR_NONE)
        return err;
    int64_t ended = 0;
    for (int s = 0; s < EX_STATES; s++)
        ended += execution_is_over((enum execution_state)s) ? sum.counts[s] : 0;
    if (sum.job.status != JOB_ACTIVE || sum.job.is_continuous || ended < sum.total)
        return ERR_NONE;
    sum.job.status = JOB_FINISHED;
    sum.job.ended_at = tx->now;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" finished: %lld of %lld succeeded", sum.job.id,
             sum.job.name, (long long)sum.counts[EX_SUCCESS], (long long)sum.total);
    err = tx->db->job_put(tx->s, &sum.job, tx->why);
    return err ? err : tx_event(tx, EVENT_JOB, NULL, job_id, NULL);
}

static enum err check_order(struct tx *tx, const struct job_order *o)
{
    struct job other;
    struct image image;
    if (o->name == NULL || *o->name == '\0' || strlen(o->name) >= NAME_SIZE)
        return why_set(tx->why, ERR_JOB_NAME, "ota_job_name must have 1 to %d characters", NAME_SIZE - 1);
    enum err err = tx->db->job_find_name(tx->s, o->name, &other, tx->why);
    if (err == ERR_NONE)
        return why_set(tx->why, ERR_JOB_EXISTS, "a job named %s exists already", o->name);
    if (err != ERR_NOT_FOUND)
        return err;
    if (o->image_id == NULL || *o->image_id == '\0')
        return why_set(tx->why, ERR_IMAGE_ID, "ota_image_id is missing");
    if ((err = tx_image(tx, o->image_id, &image)) != ERR_NONE)
        return err;
    if (!image.is_ready)
        return why_set(tx->why, ERR_IMAGE_NOT_UPLOADED, "image %s was announced, but its upload was never confirmed",
                       image.name);
    if (image.is_archived)
        return why_set(tx->why, ERR_IMAGE_ARCHIVED, "image %s is archived: bring it back first", image.name);
    if (o->priority < 0 || o->priority > PRIORITY_LOWEST)
        return why_set(tx->why, ERR_JOB_PRIORITY, "priority %d is not 1 to %d", o->priority, PRIORITY_LOWEST);
    if (!o->is_for_everyone && o->node_count == 0)
        return why_set(tx->why, ERR_JOB_TARGETS, "the job has no targets: give nodes, or the group " GROUP_EVERYONE);
    if (o->metadata && strlen(o->metadata) > METADATA_MAX)
        return why_set(tx->why, ERR_TOO_BIG, "metadata has more than %d characters", METADATA_MAX);
    return ERR_NONE;
}

static enum err add_targets(struct tx *tx, const struct job *job, const struct job_order *o)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && !o->is_for_everyone && i < o->node_count; i++) {
        struct node node;
        if (tx->db->node_get(tx->s, o->nodes[i], &node, tx->why) == ERR_NOT_FOUND)
            return why_set(tx->why, ERR_JOB_NO_NODES, "there is no node %.64s", o->nodes[i]);
        err = tx->db->job_target_add(tx->s, job->id, o->nodes[i], tx->why);
    }
    return err;
}

static enum err start_job(struct tx *tx, const struct job_order *o, struct job *to)
{
    enum err err = check_order(tx, o);
    if (err != ERR_NONE)
        return err;
    *to = (struct job){
        .is_force_push = o->is_force_push,
        .is_pushing = o->is_force_push,
        .is_continuous = o->is_continuous,
        .is_for_everyone = o->is_for_everyone,
        .priority = o->priority ? o->priority : PRIORITY_DEFAULT,
        .created_at = tx->now,
    };
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    text_copy(to->name, sizeof to->name, o->name);
    text_copy(to->image_id, sizeof to->image_id, o->image_id);
    text_copy(to->description, sizeof to->description, o->description);
    text_copy(to->owner, sizeof to->owner, o->owner);
    text_copy(to->metadata, sizeof to->metadata, o->metadata);
    if ((err = tx->db->job_put(tx->s, to, tx->why)) != ERR_NONE || (err = add_targets(tx, to, o)) != ERR_NONE)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" started by %s", to->id, to->name, to->owner);
    return tx_event(tx, EVENT_JOB, NULL, to->id, NULL);
}

enum err fleet_job_start(struct fleet *f, const struct job_order *order, time_ms now, struct job *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, start_job(&tx, order, to));
}

static enum err get_summary(struct tx *tx, const char *id, struct job_summary *to)
{
    enum err err = tx_job(tx, id, &to->job);
    return err ? err : job_summarise(tx, to);
}

enum err fleet_job_get(struct fleet *f, const char *id, struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, get_summary(&tx, id, to));
}

static enum err list_jobs(struct tx *tx, const char *after, struct job_summary *to, unsigned max, unsigned *count)
{
    struct job jobs[25];
    enum err err = tx->db->job_list(tx->s, after, jobs, max < 25 ? max : 25, count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++) {
        to[i].job = jobs[i];
        err = job_summarise(tx, &to[i]);
    }
    return err;
}

enum err fleet_job_list(struct fleet *f, const char *after, struct job_summary *to, unsigned max, unsigned *count,
                        struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, list_jobs(&tx, after, to, max, count));
}

/* What nodes have begun cannot be called back; it ends as it ends.  Nobody else is offered the job any more. */
static enum err cancel(struct tx *tx, const char *id, struct job_summary *to)
{
    enum err err = tx->db->job_get(tx->s, id, &to->job, tx->why);
    if (err == ERR_NOT_FOUND || (err == ERR_NONE && to->job.status != JOB_ACTIVE))
        return why_set(tx->why, ERR_JOB_OVER, "job %s is unknown, cancelled or finished", id);
    if (err != ERR_NONE)
        return err;
    to->job.status = JOB_CANCELLED;
    to->job.is_pushing = false;
    to->job.ended_at = tx->now;
    if ((err = tx->db->job_put(tx->s, &to->job, tx->why)) != ERR_NONE || (err = job_summarise(tx, to)) != ERR_NONE)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" cancelled", to->job.id, to->job.name);
    return tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_cancel(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, cancel(&tx, id, to));
}

static enum err archive_job(struct tx *tx, const char *id, bool is_archived, struct job_summary *to)
{
    enum err err = get_summary(tx, id, to);
    if (err == ERR_NONE && to->job.status == JOB_ACTIVE)
        err = why_set(tx->why, ERR_JOB_NOT_OVER, "job %s is still active: cancel it first", to->job.name);
    if (err != ERR_NONE)
        return err;
    to->job.is_archived = is_archived;
    err = tx->db->job_put(tx->s, &to->job, tx->why);
    return err ? err : tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_archive(struct fleet *f, const char *id, bool is_archived, time_ms now, struct job_summary *to,
                           struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, archive_job(&tx, id, is_archived, to));
}

static enum err retrigger(struct tx *tx, const char *id)
{
    struct job job;
    enum err err = tx_job(tx, id, &job);
    if (err == ERR_NONE && job.status != JOB_ACTIVE)
        err = why_set(tx->why, ERR_JOB_INACTIVE, "job %s is %s", job.name, job_status_text(job.status));
    if (err != ERR_NONE)
        return err;
    job.is_pushing = true;
    job.push_after[0] = '\0';
    err = tx->db->job_put(tx->s, &job, tx->why);
    return err ? err : tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_retrigger(struct fleet *f, const char *id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, retrigger(&tx, id));
}

/* Targets are walked in the order of their ids; each shows its execution, or that it has none yet. */
static enum err list_executions(struct tx *tx, const char *job_id, const char *after, struct execution *to,
                                unsigned max, unsigned *count)
{
    char ids[100][NODE_ID_SIZE];
    struct job job;
    enum err err = tx_job(tx, job_id, &job);
    if (err == ERR_NONE)
        err = tx->db->job_target_list(tx->s, &job, after, ids, max < 100 ? max : 100, count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++) {
        err = tx->db->execution_get(tx->s, job_id, ids[i], &to[i], tx->why);
        if (err == ERR_NOT_FOUND) {
            to[i] = (struct execution){.state = EX_TRIGGERED, .percent = -1, .updated_at = job.created_at};
            text_copy(to[i].job_id, sizeof to[i].job_id, job_id);
            text_copy(to[i].node_id, sizeof to[i].node_id, ids[i]);
            err = ERR_NONE;
        }
    }
    return err;
}

enum err fleet_job_executions(struct fleet *f, const char *job_id, const char *after, struct execution *to,
                              unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, list_executions(&tx, job_id, after, to, max, count));
}

static enum err get_execution(struct tx *tx, const char *job_id, const char *node_id, struct execution *to)
{
    struct job job;
    bool is_target = false;
    enum err err = tx_job(tx, job_id, &job);
    if (err == ERR_NONE)
        err = tx->db->execution_get(tx->s, job_id, node_id, to, tx->why);
    if (err != ERR_NOT_FOUND)
        return err;
    err = tx->db->job_has_target(tx->s, &job, node_id, &is_target, tx->why);
    if (err != ERR_NONE || !is_target)
        return err ? err : why_set(tx->why, ERR_JOB_NO_NODES, "job %s is not for node %.64s", job.name, node_id);
    *to = (struct execution){.state = EX_TRIGGERED, .percent = -1, .updated_at = job.created_at};
    text_copy(to->job_id, sizeof to->job_id, job_id);
    text_copy(to->node_id, sizeof to->node_id, node_id);
    return ERR_NONE;
}

enum err fleet_execution(struct fleet *f, const char *job_id, const char *node_id, struct execution *to,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, get_execution(&tx, job_id, node_id, to));
}

enum err fleet_timeline(struct fleet *f, const char *job_id, const char *node_id, struct timeline_row *to, unsigned max,
                        unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->timeline_list(tx.s, job_id, node_id, to, max, count, why));
}
