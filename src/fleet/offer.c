#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

/* --- facts ------------------------------------------------------------------------------------ */

/* Everything that a decision looks at, and where it lies while it does. */
struct question {
    struct facts facts;
    struct execution e;
    struct job_state state, all;
};

/* Others at work on the node's network; asked only when it matters. */
static enum err count_network(struct tx *tx, const struct node *node, struct active *a, struct facts *f)
{
    const char *network = node_network(node);
    enum err err = ERR_NONE;
    if (*network == '\0')
        return ERR_NONE;
    if (a->job.is_serial)
        err = tx->db->network_load(tx->s, network, a->job.id, tx->now - a->job.serial_task_ms, &f->on_network, tx->why);
    if (err == ERR_NONE && tx->f->policy.network_max > 0)
        err = tx->db->network_load(tx->s, network, "", 0, &f->on_network_all, tx->why);
    return err;
}

static enum err ask(struct tx *tx, const struct node *node, struct active *a, enum occasion occasion, const char *ahead,
                    struct question *q, struct verdict *verdict)
{
    struct facts *f = &q->facts;
    *f = (struct facts){.node = node,
                        .job = &a->job,
                        .image = active_image(a, node),
                        .e = &q->e,
                        .plan = &a->plan,
                        .state = &q->state,
                        .all = &q->all,
                        .policy = &tx->f->policy,
                        .occasion = occasion,
                        .now = tx->now,
                        .is_target = true,
                        .ahead = ahead};
    enum err err = tx->db->execution_get(tx->s, a->job.id, node->id, &q->e, tx->why);
    if (err == ERR_NOT_FOUND) {
        f->e = NULL;
        execution_init(&q->e, a->job.id, node->id);
        err = job_is_for(tx, a, node, &f->is_target);
    }
    if (err == ERR_NONE && f->is_target && !(f->e && execution_is_over(f->e->state))) {
        f->is_excluded = a->has_exclude && job_excludes(tx, a, node);
        err = count_network(tx, node, a, f);
    }
    if (err != ERR_NONE || (err = tx_state(tx, a->job.id, &q->state)) != ERR_NONE ||
        (err = tx_state(tx, "", &q->all)) != ERR_NONE)
        return err;
    fleet_decide(f, verdict);
    return ERR_NONE;
}

/* The name of a job before this one in the node's order which does not let others pass, or NULL. */
static enum err find_ahead(struct tx *tx, const struct node *node, const struct active *a, const char **ahead)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(tx, &jobs, &count);
    *ahead = NULL;
    for (unsigned i = 0; err == ERR_NONE && i < count && jobs[i] != a && *ahead == NULL; i++) {
        struct question q;
        struct verdict v;
        err = ask(tx, node, jobs[i], ON_QUESTION, NULL, &q, &v);
        if (err == ERR_NONE && decision_blocks(v.decision))
            *ahead = jobs[i]->job.name;
    }
    return err;
}

/* --- booking ---------------------------------------------------------------------------------- */

/* When the next one is due after one that takes `amount` of so many an hour; all in microseconds. */
static int64_t next_slot(int64_t at, int64_t now, int64_t amount, int64_t per_hour)
{
    if (per_hour <= 0)
        return at;
    return (at > now ? at : now) + (int64_t)((double)amount * 3600e6 / (double)per_hour);
}

/* Takes the offer's place in every rate. */
static enum err take_rate(struct tx *tx, struct active *a, struct question *q)
{
    const struct fleet_policy *p = &tx->f->policy;
    int64_t now = tx->now * 1000, bytes = a->has_image ? a->image.size_bytes : 0;
    int64_t per_hour =
        a->plan.rate.per_hour > 0 ? rollout_rate_now(&a->plan, q->state.started, q->state.counts[EX_SUCCESS]) : 0;
    if (per_hour == 0 && a->plan.bytes_per_second == 0 && p->per_hour == 0 && p->bytes_per_second == 0)
        return ERR_NONE;
    q->state.rate_at = next_slot(q->state.rate_at, now, 1, per_hour);
    q->state.bytes_at = next_slot(q->state.bytes_at, now, bytes, a->plan.bytes_per_second * 3600);
    q->all.rate_at = next_slot(q->all.rate_at, now, 1, p->per_hour);
    q->all.bytes_at = next_slot(q->all.bytes_at, now, bytes, p->bytes_per_second * 3600);
    enum err err = tx->db->job_state_put(tx->s, &q->state, tx->why);
    return err ? err : tx->db->job_state_put(tx->s, &q->all, tx->why);
}

static enum err book_offer(struct tx *tx, const struct node *node, struct active *a, struct question *q)
{
    struct execution *e = &q->e;
    bool is_at_work = e->state >= EX_OFFERED && e->state <= EX_PROVISIONAL;
    enum err err = is_at_work || e->has_slot ? ERR_NONE : take_rate(tx, a, q);
    if (e->from_version[0] == '\0')
        text_copy(e->from_version, sizeof e->from_version, node->fw_version);
    if (a->job.is_serial || tx->f->policy.network_max > 0)
        text_copy(e->network, sizeof e->network, node_network(node));
    return err ? err : execution_apply(tx, a, e, EX_OFFER, "OTA URL Sent to Node", false);
}

/* A later slot.  What only moves a slot is not worth a line in the timeline. */
static enum err promise(struct tx *tx, struct active *a, struct question *q, const struct verdict *v)
{
    struct execution *e = &q->e;
    bool is_rate = v->decision == DECIDE_RATE;
    enum err err = is_rate ? take_rate(tx, a, q) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    if (e->state != EX_WAITING) {
        e->deadline_at = v->next_at;
        e->has_slot = is_rate;
        return execution_apply(tx, a, e, EX_PROMISE, v->text, false);
    }
    bool is_same = strcmp(e->info, v->text) == 0 && (e->deadline_at == v->next_at || e->deadline_at > tx->now);
    if (is_same && q->facts.occasion != ON_SLOT && !is_rate)
        return ERR_NONE;
    e->deadline_at = v->next_at;
    e->has_slot = is_rate;
    text_copy(e->info, sizeof e->info, v->text);
    return tx->db->execution_put(tx->s, e, NULL, tx->why);
}

/* A push walks over all nodes; it gives slots only to those that it will not meet again. */
static bool is_promised(enum occasion occasion, enum decision decision)
{
    if (occasion != ON_PUSH)
        return true;
    return decision == DECIDE_NETWORK || decision == DECIDE_NOT_YET;
}

static enum err book(struct tx *tx, const struct node *node, struct active *a, struct question *q,
                     const struct verdict *v)
{
    switch (decision_consequence(v->decision)) {
    case OFFERS:
        return book_offer(tx, node, a, q);
    case WAITS:
        return is_promised(q->facts.occasion, v->decision) ? promise(tx, a, q, v) : ERR_NONE;
    case ENDS_REJECTED:
        return execution_apply(tx, a, &q->e, EX_R_REJECTED, v->text, false);
    case ENDS_EXCLUDED:
        return execution_apply(tx, a, &q->e, EX_EXCLUDE, v->text, false);
    case ENDS_TIMED_OUT:
        return execution_apply(tx, a, &q->e, EX_TIME_OVER, v->text, false);
    case ENDS_CANCELLED:
        return execution_apply(tx, a, &q->e, EX_CANCEL, v->text, false);
    case KEEPS:
        break;
    }
    return ERR_NONE;
}

enum err offer_consider(struct tx *tx, struct node *node, struct active *a, enum occasion occasion,
                        struct verdict *verdict)
{
    struct question q;
    const char *ahead;
    enum err err = find_ahead(tx, node, a, &ahead);
    if (err == ERR_NONE)
        err = ask(tx, node, a, occasion, ahead, &q, verdict);
    return err ? err : book(tx, node, a, &q, verdict);
}

enum err offer_find(struct tx *tx, struct node *node, enum occasion occasion, struct chosen *to)
{
    struct active **jobs;
    unsigned count = 0;
    enum err err = active_list(tx, &jobs, &count);
    *to = (struct chosen){.verdict = {.decision = DECIDE_NOT_TARGET}};
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct question q;
        struct verdict v;
        err = ask(tx, node, jobs[i], occasion, NULL, &q, &v);
        if (err == ERR_NONE)
            err = book(tx, node, jobs[i], &q, &v);
        if (err == ERR_NONE && v.decision == DECIDE_NO_NETWORK)
            to->verdict = v; /* worth telling, unless another job has more to say */
        if (err != ERR_NONE || !decision_blocks(v.decision))
            continue;
        to->verdict = v;
        text_copy(to->job_id, sizeof to->job_id, jobs[i]->job.id);
        to->active = v.decision == DECIDE_OFFER ? jobs[i] : NULL;
        break; /* one job at a time; the next one waits until this one has ended */
    }
    return err;
}

enum err offer_send(struct tx *tx, const char *node_id, const char *job_id)
{
    struct outbox_row row = {.at = tx->now, .topic = TOPIC_OTAURL};
    text_copy(row.node_id, sizeof row.node_id, node_id);
    text_copy(row.job_id, sizeof row.job_id, job_id);
    tx->is_ringing = true;
    return tx->db->outbox_add(tx->s, &row, NULL, tx->why);
}

enum err offer_ask(struct tx *tx, const struct node *node, struct active *a, bool is_approved, struct verdict *verdict)
{
    struct question q;
    const char *ahead = NULL;
    bool needs_approval = a->job.needs_approval;
    enum err err = a->job.status == JOB_ACTIVE ? find_ahead(tx, node, a, &ahead) : ERR_NONE;
    a->job.needs_approval = needs_approval && !is_approved;
    if (err == ERR_NONE)
        err = ask(tx, node, a, ON_QUESTION, ahead, &q, verdict);
    a->job.needs_approval = needs_approval;
    return err;
}

/* --- why -------------------------------------------------------------------------------------- */

static enum err ask_why(struct tx *tx, const char *job_id, const char *node_id, struct verdict *to)
{
    struct node node;
    struct active *a;
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = active_find(tx, job_id, &a)) != ERR_NONE)
        return err;
    err = offer_ask(tx, &node, a, false, to);
    if (err == ERR_NONE && to->decision == DECIDE_OFFER)
        snprintf(to->text, sizeof to->text, "It is offered the job when it asks%s",
                 a->job.is_force_push ? ", or when the push reaches it" : " or connects");
    return err;
}

enum err fleet_why(struct fleet *f, const char *job_id, const char *node_id, time_ms now, struct verdict *to,
                   struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, ask_why(&tx, job_id, node_id, to));
}

/* --- streams ---------------------------------------------------------------------------------- */

static enum err stream_image(struct tx *tx, const char *node_id, const char *job_id, struct image *to)
{
    struct execution e;
    struct node node;
    struct active *a;
    enum err err = tx->db->execution_get(tx->s, job_id, node_id, &e, tx->why);
    if (err == ERR_NOT_FOUND || (err == ERR_NONE && e.state != EX_OFFERED && e.state != EX_IN_PROGRESS))
        return why_set(tx->why, ERR_NO_JOB, "node %.64s does not work on job %.64s", node_id, job_id);
    if (err != ERR_NONE || (err = tx_node(tx, node_id, &node)) != ERR_NONE ||
        (err = active_find(tx, job_id, &a)) != ERR_NONE)
        return err;
    const struct image *image = active_image(a, &node);
    if (image == NULL)
        return why_set(tx->why, ERR_IMAGE_NOT_FOUND, "the image of job %.64s is gone", job_id);
    *to = *image;
    return ERR_NONE;
}

enum err fleet_stream_image(struct fleet *f, const char *node_id, const char *job_id, time_ms now, struct image *to,
                            struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, stream_image(&tx, node_id, job_id, to));
}

/* --- the outbox ------------------------------------------------------------------------------- */

#define OUTBOX_PAGE 64

static enum err fill_outgoing(struct tx *tx, const struct outbox_row *row, struct outgoing *o)
{
    struct execution e;
    struct active *a;
    struct node node = {.broker = 0};
    o->row = *row;
    o->broker = 0;
    if (tx->f->policy.broker_count > 1) {
        tx->db->node_get(tx->s, row->node_id, &node, NULL); /* one that is not there is nowhere */
        o->broker = node.broker;
    }
    if (row->topic != TOPIC_OTAURL) {
        o->is_stale = false;
        return tx->db->outbox_text(tx->s, row->id, o->text, sizeof o->text, tx->why);
    }
    /* The state may have moved on since the row was written, for example while the server was down. */
    o->is_stale = active_find(tx, row->job_id, &a) != ERR_NONE || a->job.status != JOB_ACTIVE || a->job.is_paused ||
                  !a->has_image || tx->db->execution_get(tx->s, row->job_id, row->node_id, &e, NULL) != ERR_NONE ||
                  (e.state != EX_OFFERED && e.state != EX_ON_TRIAL &&
                   ((e.state != EX_IN_PROGRESS && e.state != EX_REBOOTING) ||
                    row->at <= e.updated_at)); /* a question, not the offer itself */
    if (!o->is_stale) {
        bool is_known = a->variant_count > 0 && tx->db->node_get(tx->s, row->node_id, &node, NULL) == ERR_NONE;
        o->image = is_known ? *active_image(a, &node) : a->image;
        text_copy(o->text, sizeof o->text, a->job.metadata);
    }
    return ERR_NONE;
}

enum err fleet_outbox_list(struct fleet *f, int64_t after, struct outgoing *to, unsigned max, unsigned *count,
                           struct why *why)
{
    struct outbox_row rows[OUTBOX_PAGE];
    const char *ids[OUTBOX_PAGE];
    struct tx tx;
    unsigned n = 0;
    *count = 0;
    enum err err = tx_begin(&tx, f, 0, why);
    if (err != ERR_NONE)
        return err;
    err = tx.db->outbox_list(tx.s, after, rows, max < OUTBOX_PAGE ? max : OUTBOX_PAGE, &n, why);
    for (unsigned i = 0; i < n; i++)
        ids[i] = rows[i].node_id;
    if (err == ERR_NONE)
        err = tx_expect(&tx, ids, n);
    for (unsigned i = 0; err == ERR_NONE && i < n; i++)
        err = fill_outgoing(&tx, &rows[i], &to[i]);
    *count = err == ERR_NONE ? n : 0;
    return tx_end(&tx, err);
}

enum err fleet_outbox_done(struct fleet *f, int64_t id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->outbox_delete(tx.s, id, why));
}

static enum err drop_row(struct tx *tx, const struct outbox_row *row)
{
    struct execution e;
    struct active *a;
    enum err err = tx->db->outbox_delete(tx->s, row->id, tx->why);
    /* What the row was for may be gone, or have moved on: then there is nothing to set right. */
    if (err != ERR_NONE || active_find(tx, row->job_id, &a) != ERR_NONE ||
        tx->db->execution_get(tx->s, row->job_id, row->node_id, &e, NULL) != ERR_NONE || e.state != EX_OFFERED ||
        e.offered_at > row->at)
        return err;
    return a->job.status == JOB_ACTIVE
               ? execution_apply(tx, a, &e, EX_UNSENT, "The job was stopped before the node was told", false)
               : execution_apply(tx, a, &e, EX_CANCEL, "The job was cancelled before the node was told", false);
}

enum err fleet_outbox_drop(struct fleet *f, const struct outbox_row *row, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, drop_row(&tx, row));
}
