/* Jobs as people order, stop, change and end them. */
#include "fleet/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIORITY_DEFAULT 5
#define PRIORITY_LOWEST  10
#define TIMEOUT_MAX_S    2592000 /* 30 days */
#define SERIAL_DEFAULT   3
#define DAY_S            86400

const char *job_status_text(enum job_status status)
{
    static const char *const texts[] = {"active", "finished", "cancelled"};
    return texts[status];
}

/* --- who it is for ---------------------------------------------------------------------------- */

/* A job that is not continuous is for those who were there when it began. */
static bool is_in_time(const struct job *job, time_ms since)
{
    return job->is_continuous || since <= job->created_at;
}

static bool is_in_its_groups(struct tx *tx, const struct job *job, const struct node *node)
{
    for (unsigned i = 0; i < job->group_count; i++) {
        time_ms since = 0;
        if (group_has_node(tx, job->groups[i], node, 0, &since) && is_in_time(job, since))
            return true;
    }
    return false;
}

static bool fits_its_query(struct tx *tx, const struct active *a, const struct node *node)
{
    struct group_asker asker;
    group_asker_init(&asker, tx);
    return a->has_query && query_matches(&a->query, node, &asker.port, tx->now);
}

/* Organisations are kept apart; and who started the job may look after some of its nodes alone. */
static bool is_in_its_scope(struct tx *tx, const struct active *a, const struct node *node)
{
    struct group_asker asker;
    if (strcmp(a->job.org, node->org) != 0)
        return false;
    group_asker_init(&asker, tx);
    return a->job.scope[0] == '\0' || query_matches(&a->scope, node, &asker.port, tx->now);
}

enum err job_is_for(struct tx *tx, const struct active *a, const struct node *node, bool *is_target)
{
    const struct job *job = &a->job;
    enum err err = ERR_NONE;
    if (!is_in_its_scope(tx, a, node)) {
        *is_target = false;
        return ERR_NONE;
    }
    *is_target = job->is_for_everyone && is_in_time(job, node->registered_at);
    if (!*is_target && job->has_named_nodes)
        err = tx->db->job_has_target(tx->s, job->id, node->id, is_target, tx->why);
    if (err == ERR_NONE && !*is_target)
        *is_target = is_in_its_groups(tx, job, node) || fits_its_query(tx, a, node);
    return err;
}

bool job_excludes(struct tx *tx, const struct active *a, const struct node *node)
{
    struct group_asker asker;
    group_asker_init(&asker, tx);
    return query_matches(&a->exclude, node, &asker.port, tx->now);
}

struct counter {
    struct node_visitor port;
    struct tx *tx;
    const struct active *active;
    int64_t count;
    enum err err;
};

/* Nodes that have an execution stay counted, whether they still fit or not; who is left out and has none is not. */
static bool count_node(struct node_visitor *v, const struct node *node)
{
    struct counter *c = (struct counter *)v;
    struct execution e;
    bool is_target = false;
    c->err = job_is_for(c->tx, c->active, node, &is_target);
    if (c->err == ERR_NONE && is_target && c->active->has_exclude)
        is_target = !job_excludes(c->tx, c->active, node);
    if (c->err == ERR_NONE && !is_target)
        is_target = c->tx->db->execution_get(c->tx->s, c->active->job.id, node->id, &e, NULL) == ERR_NONE;
    c->count += is_target;
    return c->err == ERR_NONE;
}

bool job_is_cheap_to_count(struct tx *tx, const struct active *a)
{
    bool is_everyone = a->job.is_for_everyone && a->job.org[0] == '\0' && !memory_has_orgs(tx);
    return !a->has_exclude && a->job.scope[0] == '\0' &&
           (is_everyone || (!a->job.is_for_everyone && a->job.group_count == 0 && !a->has_query));
}

static enum err count_named(struct tx *tx, const struct active *a, int64_t *count)
{
    char ids[JOB_NODES_MAX][NODE_ID_SIZE];
    unsigned n = 0;
    enum err err = tx->db->job_target_list(tx->s, a->job.id, "", ids, JOB_NODES_MAX, &n, tx->why);
    *count = n;
    return err;
}

enum err job_count_audience(struct tx *tx, const struct active *a, int64_t *count)
{
    struct counter c = {{count_node}, tx, a, 0, ERR_NONE};
    if (job_is_cheap_to_count(tx, a) && a->job.is_for_everyone)
        return tx->db->node_count(tx->s, count, tx->why);
    if (job_is_cheap_to_count(tx, a))
        return count_named(tx, a, count);
    enum err err = tx->db->node_scan(tx->s, "", &c.port, tx->why);
    *count = c.count;
    return err ? err : c.err;
}

/* --- summaries -------------------------------------------------------------------------------- */

enum err job_summarise(struct tx *tx, struct job_summary *to)
{
    int64_t rows = 0;
    enum err err = tx_state(tx, to->job.id, &to->state);
    to->total = to->state.audience > 0 ? to->state.audience : 0;
    if (err == ERR_NONE && to->job.is_for_everyone && to->job.is_continuous && to->job.status == JOB_ACTIVE)
        err = tx->db->node_count(tx->s, &to->total, tx->why);
    memcpy(to->counts, to->state.counts, sizeof to->counts);
    for (int s = EX_TRIGGERED + 1; s < EX_STATES; s++)
        rows += to->counts[s];
    if (to->total < rows)
        to->total = rows;
    to->counts[EX_TRIGGERED] = to->total - rows;
    return err;
}

static enum err get_summary(struct tx *tx, const char *id, struct job_summary *to)
{
    enum err err = tx_job(tx, id, &to->job);
    return err ? err : job_summarise(tx, to);
}

enum err fleet_job_get(struct fleet *f, const char *id, struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, get_summary(&tx, id, to));
}

static enum err list_jobs(struct tx *tx, const char *after, struct job_summary *to, unsigned max, unsigned *count)
{
    struct job *jobs = calloc(max ? max : 1, sizeof *jobs);
    if (jobs == NULL)
        return why_set(tx->why, ERR_NO_MEMORY, "no memory");
    enum err err = tx->db->job_list(tx->s, after, jobs, max, count, tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < *count; i++) {
        to[i].job = jobs[i];
        err = job_summarise(tx, &to[i]);
    }
    free(jobs);
    return err;
}

enum err fleet_job_list(struct fleet *f, const char *after, struct job_summary *to, unsigned max, unsigned *count,
                        struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, list_jobs(&tx, after, to, max, count));
}

/* --- orders ----------------------------------------------------------------------------------- */

static bool is_given(const char *text)
{
    return text != NULL && *text;
}

static enum err check_image(struct tx *tx, const char *id)
{
    struct image image;
    if (!is_given(id))
        return why_set(tx->why, ERR_IMAGE_ID, "ota_image_id is missing");
    enum err err = tx_image(tx, id, &image);
    if (err != ERR_NONE)
        return err;
    if (!image.is_ready)
        return why_set(tx->why, ERR_IMAGE_NOT_UPLOADED, "image %s was announced, but its upload was never confirmed",
                       image.name);
    if (image.is_archived)
        return why_set(tx->why, ERR_IMAGE_ARCHIVED, "image %s is archived: bring it back first", image.name);
    return ERR_NONE;
}

static enum err check_name(struct tx *tx, const char *name)
{
    struct job other;
    if (!is_given(name) || strlen(name) >= NAME_SIZE)
        return why_set(tx->why, ERR_JOB_NAME, "ota_job_name must have 1 to %d characters", NAME_SIZE - 1);
    enum err err = tx->db->job_find_name(tx->s, "", name, &other, tx->why);
    if (err == ERR_NONE)
        return why_set(tx->why, ERR_JOB_EXISTS, "a job named %s exists already", name);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

static enum err check_texts(struct tx *tx, const char *query, const char *exclude, const char *plan,
                            const char *metadata)
{
    struct query q;
    struct rollout r;
    enum err err = ERR_NONE;
    if (query != NULL && (strlen(query) >= QUERY_SIZE || (err = query_read(&q, query, tx->why)) != ERR_NONE))
        return err ? why_add(tx->why, ERR_QUERY, "query")
                   : why_set(tx->why, ERR_QUERY, "a query has at most %d characters", QUERY_SIZE - 1);
    if (exclude != NULL && (strlen(exclude) >= QUERY_SIZE || (err = query_read(&q, exclude, tx->why)) != ERR_NONE))
        return err ? why_add(tx->why, ERR_QUERY, "exclude")
                   : why_set(tx->why, ERR_QUERY, "an exclusion has at most %d characters", QUERY_SIZE - 1);
    if (plan != NULL && (strlen(plan) >= PLAN_SIZE || (err = rollout_read(&r, plan, tx->why)) != ERR_NONE))
        return err ? why_add(tx->why, ERR_PLAN, "rollout")
                   : why_set(tx->why, ERR_PLAN, "a rollout has at most %d characters", PLAN_SIZE - 1);
    if (metadata != NULL && strlen(metadata) > METADATA_MAX)
        return why_set(tx->why, ERR_TOO_BIG, "metadata has more than %d characters", METADATA_MAX);
    return ERR_NONE;
}

static bool has_no_targets(const struct job_order *o)
{
    return !o->is_for_everyone && o->node_count == 0 && o->group_count == 0 && !is_given(o->query);
}

static bool has_bad_priority(const struct job_order *o)
{
    return o->priority < 0 || o->priority > PRIORITY_LOWEST;
}

static bool has_bad_timeout(const struct job_order *o)
{
    return o->timeout_s < 0 || o->timeout_s > TIMEOUT_MAX_S;
}

static bool times_approval(const struct job_order *o)
{
    return o->timeout_s > 0 && o->needs_approval;
}

static bool notifies_nobody(const struct job_order *o)
{
    return o->notifies && !o->needs_approval;
}

static bool pushes_approval(const struct job_order *o)
{
    return o->is_force_push && o->needs_approval;
}

static bool gives_without_approval(const struct job_order *o)
{
    return o->gives_image && !o->needs_approval;
}

static bool lacks_task(const struct job_order *o)
{
    return o->is_serial && o->serial_task_s <= 0;
}

static bool has_half_a_wait(const struct job_order *o)
{
    return (o->serial_min_wait_s > 0) != (o->serial_max_wait_s > 0) || o->serial_max_wait_s < o->serial_min_wait_s ||
           o->serial_min_wait_s < 0;
}

static bool mixes_rule_and_nodes(const struct job_order *o)
{
    return is_given(o->query) && (o->node_count > 0 || o->group_count > 0);
}

/* RainMaker's rules for one order. */
static const struct order_rule {
    enum err err;
    const char *text;
    bool (*is_broken)(const struct job_order *o);
} order_rules[] = {
    {ERR_JOB_TARGETS, "the job has no targets: give nodes, groups, a rule, or the group " GROUP_EVERYONE,
     has_no_targets},
    {ERR_JOB_RULE, "a rule finds its nodes itself: give neither nodes nor groups with it", mixes_rule_and_nodes},
    {ERR_JOB_PRIORITY, "priority must be 1 (first) to 10 (last)", has_bad_priority},
    {ERR_JOB_TIMEOUT, "timeout must be at most 2592000 seconds, 30 days", has_bad_timeout},
    {ERR_JOB_TIMEOUT_APPROVAL, "a job with user approval takes no timeout", times_approval},
    {ERR_JOB_NOTIFY, "notify needs user_approval", notifies_nobody},
    {ERR_JOB_PUSH_APPROVAL, "force_push and user_approval exclude each other", pushes_approval},
    {ERR_JOB_IMAGE_ACCESS, "user_ota_image_acccess is for jobs with user approval alone", gives_without_approval},
    {ERR_JOB_SERIAL_TASK, "network_serialisation needs ota_task_duration", lacks_task},
    {ERR_JOB_SERIAL_WAIT, "network_serialisation takes both min_wait and max_wait, or neither", has_half_a_wait},
};

static enum err check_rules(struct tx *tx, const struct job_order *o)
{
    for (size_t i = 0; i < sizeof order_rules / sizeof order_rules[0]; i++)
        if (order_rules[i].is_broken(o))
            return why_set(tx->why, order_rules[i].err, "%s", order_rules[i].text);
    return ERR_NONE;
}

static enum err check_order(struct tx *tx, const struct job_order *o)
{
    enum err err;
    if ((err = check_name(tx, o->name)) != ERR_NONE || (err = check_image(tx, o->image_id)) != ERR_NONE ||
        (err = check_rules(tx, o)) != ERR_NONE)
        return err;
    return check_texts(tx, o->query, o->exclude, o->plan, o->metadata);
}

static enum err check_targets(struct tx *tx, const struct job_order *o)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < o->node_count; i++) {
        struct node node;
        err = tx->db->node_get(tx->s, o->nodes[i], &node, tx->why);
        if (err == ERR_NOT_FOUND)
            err = why_set(tx->why, ERR_JOB_NO_NODES, "there is no node %.64s", o->nodes[i]);
    }
    for (unsigned i = 0; err == ERR_NONE && i < o->group_count; i++) {
        struct group group;
        err = tx->db->group_get(tx->s, o->groups[i], &group, tx->why);
        if (err == ERR_NOT_FOUND)
            err = why_set(tx->why, ERR_JOB_NO_NODES,
                          "there is no group %.64s; the group of every node is " GROUP_EVERYONE, o->groups[i]);
    }
    return err;
}

static time_ms expiry(const struct job_order *o, time_ms now)
{
    time_ms by_timeout = o->timeout_s > 0 ? now + o->timeout_s * 1000 : 0;
    if (by_timeout == 0 || o->valid_until == 0)
        return by_timeout ? by_timeout : o->valid_until;
    return by_timeout < o->valid_until ? by_timeout : o->valid_until;
}

/* The job that the order describes; its id is left to the caller. */
static void fill_job(const struct job_order *o, time_ms now, struct job *to)
{
    *to = (struct job){
        .is_force_push = o->is_force_push,
        .is_continuous = o->is_continuous || is_given(o->query), /* a rule goes on finding nodes */
        .needs_approval = o->needs_approval,
        .notifies = o->notifies,
        .gives_image = o->gives_image,
        .is_host_mcu = o->is_host_mcu,
        .skips_project = o->skips_project,
        .is_for_everyone = o->is_for_everyone,
        .has_named_nodes = o->node_count > 0,
        .priority = o->priority ? o->priority : PRIORITY_DEFAULT,
        .created_at = now,
        .expires_at = expiry(o, now),
        .valid_from = o->valid_from,
        .is_serial = o->is_serial,
        .serial_max = o->serial_max ? o->serial_max : SERIAL_DEFAULT,
        .serial_task_ms = o->serial_task_s * 1000,
        .serial_min_wait_ms = o->serial_min_wait_s * 1000,
        .serial_max_wait_ms = o->serial_max_wait_s * 1000,
    };
    text_copy(to->name, sizeof to->name, o->name);
    text_copy(to->image_id, sizeof to->image_id, o->image_id);
    text_copy(to->description, sizeof to->description, o->description);
    text_copy(to->owner, sizeof to->owner, o->owner);
    text_copy(to->metadata, sizeof to->metadata, o->metadata);
    text_copy(to->query, sizeof to->query, o->query);
    text_copy(to->exclude, sizeof to->exclude, o->exclude);
    text_copy(to->plan, sizeof to->plan, o->plan);
    for (; to->group_count < o->group_count; to->group_count++)
        text_copy(to->groups[to->group_count], sizeof to->groups[0], o->groups[to->group_count]);
}

#define COUNTED_AT_ONCE 20000 /* nodes; in larger fleets a rule's nodes are counted after the answer */

static enum err first_state(struct tx *tx, const struct job *job)
{
    struct job_state state = {.is_pushing = job->is_force_push, .phase_at = tx->now};
    struct active *a = &tx->f->memory->spare;
    int64_t nodes = 0;
    enum err err;
    text_copy(state.job_id, sizeof state.job_id, job->id);
    if ((err = active_fill(tx, job, a)) != ERR_NONE || (err = tx->db->node_count(tx->s, &nodes, tx->why)) != ERR_NONE)
        return err;
    state.audience = -1;
    if (job_is_cheap_to_count(tx, a) || nodes <= COUNTED_AT_ONCE) {
        err = job_count_audience(tx, a, &state.audience);
        state.counted_at = tx->now;
    }
    return err ? err : tx->db->job_state_put(tx->s, &state, tx->why);
}

#define HELD_TEXT "Waits until a second person approves it"

static enum err hold(struct tx *tx, struct job *job, const char *by)
{
    if (!tx->f->policy.needs_two)
        return ERR_NONE;
    job->is_paused = true;
    text_copy(job->stop_reason, sizeof job->stop_reason, HELD_TEXT);
    return tx->db->card_put(tx->s, CARD_HELD, job->id, bytes_of_text(by && *by ? by : "?"), tx->why);
}

static enum err add_variant(struct tx *tx, const char *job_id, const char *image_id)
{
    char key[CARD_KEY_SIZE];
    card_key(key, job_id, image_id);
    enum err err = tx->db->card_put(tx->s, CARD_VARIANT, key, bytes_of_text("{}"), tx->why);
    card_key(key, image_id, job_id);
    return err ? err : tx->db->card_put(tx->s, CARD_VARIANT_OF, key, bytes_of_text("{}"), tx->why);
}

static enum err start_job(struct tx *tx, const struct job_order *o, struct job *to)
{
    enum err err = check_order(tx, o);
    if (err == ERR_NONE)
        err = check_targets(tx, o);
    if (err != ERR_NONE)
        return err;
    fill_job(o, tx->now, to);
    struct id id = id_new(tx->f->entropy);
    text_copy(to->id, sizeof to->id, id.text);
    if ((err = hold(tx, to, o->owner)) != ERR_NONE || (err = tx->db->job_put(tx->s, to, tx->why)) != ERR_NONE)
        return err;
    for (unsigned i = 0; err == ERR_NONE && i < o->node_count; i++)
        err = tx->db->job_target_add(tx->s, to->id, o->nodes[i], tx->why);
    for (unsigned i = 0; err == ERR_NONE && i < o->variant_count; i++)
        err = add_variant(tx, to->id, o->variants[i]);
    if (err != ERR_NONE || (err = first_state(tx, to)) != ERR_NONE)
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

/* --- who it would be for ---------------------------------------------------------------------- */

struct surveyor {
    struct node_visitor port;
    struct tx *tx;
    const struct job_order *order;
    struct active *active;
    struct audience *to;
};

static bool is_named(const struct job_order *o, const char *id)
{
    for (unsigned i = 0; i < o->node_count; i++)
        if (strcmp(o->nodes[i], id) == 0)
            return true;
    return false;
}

static void add_part(struct audience *to, const struct node *node)
{
    const unsigned max = sizeof to->parts / sizeof to->parts[0];
    unsigned i = 0;
    while (i < to->part_count &&
           (strcmp(to->parts[i].platform, node->platform) != 0 || strcmp(to->parts[i].model, node->model) != 0 ||
            strcmp(to->parts[i].fw_version, node->fw_version) != 0))
        i++;
    if (i == max)
        return;
    if (i == to->part_count) {
        struct audience_part *part = &to->parts[to->part_count++];
        memcpy(part->platform, node->platform, sizeof part->platform);
        memcpy(part->model, node->model, sizeof part->model);
        memcpy(part->fw_version, node->fw_version, sizeof part->fw_version);
        part->count = 0;
    }
    to->parts[i].count++;
}

static bool survey(struct node_visitor *v, const struct node *node)
{
    struct surveyor *s = (struct surveyor *)v;
    struct audience *to = s->to;
    bool is_target = false;
    if (job_is_for(s->tx, s->active, node, &is_target) != ERR_NONE || (!is_target && !is_named(s->order, node->id)))
        return true;
    if (s->active->has_exclude && job_excludes(s->tx, s->active, node)) {
        to->excluded++;
        return true;
    }
    const struct job_state none = {.audience = 0};
    struct rollout at_once = {.retries = 0};
    struct facts f = {.node = node,
                      .job = &s->active->job,
                      .image = active_image(s->active, node),
                      .plan = &at_once,
                      .state = &none,
                      .all = &none,
                      .policy = &s->tx->f->policy,
                      .occasion = ON_FETCH,
                      .now = s->tx->now,
                      .is_target = true};
    struct verdict verdict;
    fleet_decide(&f, &verdict);
    to->total++;
    to->online += node->is_online;
    to->never_seen += node->seen_at == 0;
    to->on_version += verdict.decision == DECIDE_ON_VERSION;
    to->other_chip += verdict.decision == DECIDE_OTHER_CHIP;
    to->other_project += verdict.decision == DECIDE_OTHER_PROJECT;
    add_part(to, node);
    return true;
}

static int by_count(const void *a, const void *b)
{
    const struct audience_part *x = a, *y = b;
    return (x->count < y->count) - (x->count > y->count);
}

static enum err count_audience(struct tx *tx, const struct job_order *o, struct active *a, struct audience *to)
{
    struct job job;
    struct surveyor s = {{survey}, tx, o, a, to};
    enum err err;
    /* Without an image it is a question about nodes alone. */
    if (is_given(o->image_id) && (err = check_image(tx, o->image_id)) != ERR_NONE)
        return err;
    if ((err = check_rules(tx, o)) != ERR_NONE ||
        (err = check_texts(tx, o->query, o->exclude, o->plan, o->metadata)) != ERR_NONE ||
        (err = check_targets(tx, o)) != ERR_NONE)
        return err;
    fill_job(o, tx->now, &job);
    job.has_named_nodes = false; /* they are in the order, not in the store */
    if ((err = active_fill(tx, &job, a)) == ERR_NONE)
        err = tx->db->node_scan(tx->s, "", &s.port, tx->why);
    qsort(to->parts, to->part_count, sizeof to->parts[0], by_count);
    return err;
}

enum err fleet_job_audience(struct fleet *f, const struct job_order *order, time_ms now, struct audience *to,
                            struct why *why)
{
    struct tx tx;
    struct active *a = calloc(1, sizeof *a);
    *to = (struct audience){.total = 0};
    if (a == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = tx_begin_reading(&tx, f, why);
    tx.now = now;
    if (err == ERR_NONE)
        err = tx_end(&tx, count_audience(&tx, order, a, to));
    free(a);
    return err;
}

/* --- stop, go on, change ---------------------------------------------------------------------- */

/* What nodes have begun cannot be called back; it ends as it ends.  Nobody else is offered the job from this
 * transaction on. */
enum err job_stop(struct tx *tx, struct job *job, bool is_pause, const char *reason)
{
    struct job_state state;
    enum err err = tx_state(tx, job->id, &state);
    if (err != ERR_NONE)
        return err;
    text_copy(job->stop_reason, sizeof job->stop_reason, reason);
    job->is_paused = is_pause;
    if (!is_pause) {
        job->status = JOB_CANCELLED;
        job->ended_at = tx->now;
        state.is_pushing = false;
        state.sweep = SWEEP_CANCEL;
        state.sweep_after[0] = '\0';
    }
    if ((err = active_write(tx, job)) != ERR_NONE || (err = tx->db->job_state_put(tx->s, &state, tx->why)) != ERR_NONE)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" %s%s%s", job->id, job->name,
             is_pause ? "paused" : "cancelled", *reason ? ": " : "", reason);
    return tx_event_told(tx, EVENT_JOB, NULL, job->id, reason);
}

static enum err cancel(struct tx *tx, const char *id, struct job_summary *to)
{
    enum err err = tx->db->job_get(tx->s, id, &to->job, tx->why);
    if (err == ERR_NOT_FOUND || (err == ERR_NONE && to->job.status != JOB_ACTIVE))
        return why_set(tx->why, ERR_JOB_OVER, "job %s is unknown, cancelled or finished", id);
    if (err == ERR_NONE)
        err = job_stop(tx, &to->job, false, "");
    return err ? err : job_summarise(tx, to);
}

enum err fleet_job_cancel(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, cancel(&tx, id, to));
}

static enum err get_active(struct tx *tx, const char *id, struct job_summary *to)
{
    enum err err = get_summary(tx, id, to);
    if (err == ERR_NONE && to->job.status != JOB_ACTIVE)
        err = why_set(tx->why, ERR_JOB_INACTIVE, "job %s is %s", to->job.name, job_status_text(to->job.status));
    return err;
}

static enum err pause_job(struct tx *tx, const char *id, const char *reason, struct job_summary *to)
{
    enum err err = get_active(tx, id, to);
    if (err == ERR_NONE && !to->job.is_paused)
        err = job_stop(tx, &to->job, true, reason ? reason : "");
    return err;
}

enum err fleet_job_pause(struct fleet *f, const char *id, const char *reason, time_ms now, struct job_summary *to,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, pause_job(&tx, id, reason, to));
}

static enum err resume(struct tx *tx, const char *id, struct job_summary *to)
{
    char text[160];
    struct rollout plan;
    struct rollout_score score;
    char *held = NULL;
    enum err err = get_active(tx, id, to);
    if (err != ERR_NONE || !to->job.is_paused)
        return err;
    err = tx_card(tx, CARD_HELD, id, &held);
    bool is_held = held != NULL;
    free(held);
    if (err == ERR_NONE && is_held)
        err = why_set(tx->why, ERR_JOB_HELD, "job %s waits until a second person approves it", to->job.name);
    if (err != ERR_NONE)
        return err;
    rollout_read(&plan, to->job.plan, NULL);
    job_score(&to->state, &score);
    if (rollout_crossed(&plan, &score, text, sizeof text) != NULL)
        return why_set(tx->why, ERR_JOB_CROSSED,
                       "the job would stop again at once: %s; change its rollout, or leave out who fails", text);
    to->job.is_paused = false;
    to->job.stop_reason[0] = '\0';
    to->state.is_pushing = to->job.is_force_push;
    to->state.push_after[0] = '\0';
    to->state.rate_at = to->state.bytes_at = 0; /* promised by a plan that may have changed */
    if (to->state.sweep == SWEEP_NONE) {
        to->state.sweep = SWEEP_WAKE;
        to->state.sweep_after[0] = '\0';
    }
    if ((err = active_write(tx, &to->job)) != ERR_NONE ||
        (err = tx->db->job_state_put(tx->s, &to->state, tx->why)) != ERR_NONE)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" goes on", to->job.id, to->job.name);
    return tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_resume(struct fleet *f, const char *id, time_ms now, struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, resume(&tx, id, to));
}

static enum err edit(struct tx *tx, const char *id, const struct job_edit *e, struct job_summary *to)
{
    enum err err = get_active(tx, id, to);
    struct job *job = &to->job;
    if (err == ERR_NONE && !job->is_paused)
        err = why_set(tx->why, ERR_JOB_NOT_PAUSED, "job %s is not paused: pause it before changing it", job->name);
    if (err == ERR_NONE && (e->priority < 0 || e->priority > PRIORITY_LOWEST))
        err = why_set(tx->why, ERR_JOB_PRIORITY, "priority must be 1 (first) to 10 (last)");
    if (err == ERR_NONE)
        err = check_texts(tx, NULL, e->exclude, e->plan, e->metadata);
    if (err != ERR_NONE)
        return err;
    job->priority = e->priority ? e->priority : job->priority;
    if (e->description != NULL)
        text_copy(job->description, sizeof job->description, e->description);
    if (e->metadata != NULL)
        text_copy(job->metadata, sizeof job->metadata, e->metadata);
    if (e->plan != NULL)
        text_copy(job->plan, sizeof job->plan, e->plan);
    if (e->exclude != NULL && strcmp(e->exclude, job->exclude) != 0) {
        text_copy(job->exclude, sizeof job->exclude, e->exclude);
        to->state.sweep = SWEEP_EXCLUDE;
        to->state.sweep_after[0] = '\0';
        to->state.counted_at = 0;
    }
    to->state.gate_at = 0;
    struct rollout plan;
    rollout_read(&plan, job->plan, NULL);
    if (to->state.phase > plan.phase_count)
        to->state.phase = plan.phase_count;
    if ((err = hold(tx, job, e->editor)) != ERR_NONE || (err = active_write(tx, job)) != ERR_NONE ||
        (err = tx->db->job_state_put(tx->s, &to->state, tx->why)) != ERR_NONE)
        return err;
    return tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_edit(struct fleet *f, const char *id, const struct job_edit *change, time_ms now,
                        struct job_summary *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, edit(&tx, id, change, to));
}

static enum err approve_held(struct tx *tx, const char *id, const char *person, struct job_summary *to)
{
    char *by = NULL;
    enum err err = get_active(tx, id, to);
    if (err == ERR_NONE)
        err = tx_card(tx, CARD_HELD, id, &by);
    if (err == ERR_NONE && by == NULL)
        err = why_set(tx->why, ERR_JOB_NOT_HELD, "job %s does not wait for a second person", to->job.name);
    if (err == ERR_NONE && (strcmp(by, person) == 0 || strcmp(to->job.owner, person) == 0))
        err = why_set(tx->why, ERR_FORBIDDEN, "%s started job %s or changed it last: somebody else has to approve it",
                      person, to->job.name);
    free(by);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_HELD, id, tx->why);
    return err ? err : resume(tx, id, to);
}

enum err fleet_job_approve(struct fleet *f, const char *id, const char *person, time_ms now, struct job_summary *to,
                           struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, approve_held(&tx, id, person, to));
}

static enum err exclude(struct tx *tx, const char *id, const char *query, struct job_summary *to)
{
    char joined[2 * QUERY_SIZE];
    struct query q;
    enum err err = get_active(tx, id, to);
    if (err == ERR_NONE && (err = query_read(&q, query, tx->why)) != ERR_NONE)
        err = why_add(tx->why, ERR_QUERY, "exclude");
    if (err != ERR_NONE)
        return err;
    snprintf(joined, sizeof joined, to->job.exclude[0] ? "(%s) or (%s)" : "%s%s", to->job.exclude, query);
    if ((err = check_texts(tx, NULL, joined, NULL, NULL)) != ERR_NONE)
        return err;
    text_copy(to->job.exclude, sizeof to->job.exclude, joined);
    to->state.sweep = SWEEP_EXCLUDE;
    to->state.sweep_after[0] = '\0';
    to->state.counted_at = 0;
    if ((err = active_write(tx, &to->job)) != ERR_NONE ||
        (err = tx->db->job_state_put(tx->s, &to->state, tx->why)) != ERR_NONE)
        return err;
    log_line(tx->f->log, LOG_INFO, "fleet", "job=%s name=\"%s\" leaves out %s", to->job.id, to->job.name, query);
    return tx_event_told(tx, EVENT_JOB, NULL, id, query);
}

enum err fleet_job_exclude(struct fleet *f, const char *id, const char *query, time_ms now, struct job_summary *to,
                           struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, exclude(&tx, id, query, to));
}

/* A finished job goes on: its nodes have something to do again. */
static enum err retry(struct tx *tx, const char *id, bool is_all, struct job_summary *to)
{
    enum err err = get_summary(tx, id, to);
    if (err == ERR_NONE && to->job.status == JOB_CANCELLED)
        err = why_set(tx->why, ERR_JOB_INACTIVE, "job %s is cancelled", to->job.name);
    if (err == ERR_NONE && to->job.expires_at > 0 && tx->now >= to->job.expires_at)
        err = why_set(tx->why, ERR_JOB_OVER, "job %s: its time is over", to->job.name);
    if (err != ERR_NONE)
        return err;
    to->job.status = JOB_ACTIVE;
    to->job.ended_at = 0;
    to->state.sweep = is_all ? SWEEP_RETRY_ALL : SWEEP_RETRY;
    to->state.sweep_after[0] = '\0';
    if ((err = active_write(tx, &to->job)) != ERR_NONE ||
        (err = tx->db->job_state_put(tx->s, &to->state, tx->why)) != ERR_NONE)
        return err;
    return tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_retry(struct fleet *f, const char *id, bool is_all, time_ms now, struct job_summary *to,
                         struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, retry(&tx, id, is_all, to));
}

static enum err archive_job(struct tx *tx, const char *id, bool is_archived, struct job_summary *to)
{
    enum err err = get_summary(tx, id, to);
    if (err == ERR_NONE && to->job.status == JOB_ACTIVE)
        err = why_set(tx->why, ERR_JOB_NOT_OVER, "job %s is still active: cancel it first", to->job.name);
    if (err != ERR_NONE)
        return err;
    to->job.is_archived = is_archived;
    err = active_write(tx, &to->job);
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
    struct job_summary s;
    enum err err = get_active(tx, id, &s);
    if (err == ERR_NONE && s.job.needs_approval)
        err = why_set(tx->why, ERR_JOB_APPROVAL, "job %s waits for its users' approval: it is not pushed", s.job.name);
    if (err != ERR_NONE)
        return err;
    s.state.is_pushing = true;
    s.state.push_after[0] = '\0';
    err = tx->db->job_state_put(tx->s, &s.state, tx->why);
    return err ? err : tx_event(tx, EVENT_JOB, NULL, id, NULL);
}

enum err fleet_job_retrigger(struct fleet *f, const char *id, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, retrigger(&tx, id));
}

const char *node_status_text(const struct node *node)
{
    return node->is_deactivated      ? "deactivated"
           : node->activated_at == 0 ? "not_activated"
           : node->is_online         ? "online"
                                     : "offline";
}
