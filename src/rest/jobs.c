#include "rest/inner.h"

#include "base/text.h"
#include "sim/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_DEFAULT 25
#define PAGE_MAX     100
#define METADATA_OUT (METADATA_MAX + 1)

static void write_time(struct json_out *out, const char *key, time_ms at)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, at / 1000); /* RainMaker types these as strings */
    json_out_text(out, key, text);
}

static int64_t sum_of(const struct job_summary *s, const char *word)
{
    int64_t sum = 0;
    for (int i = 0; i < EX_STATES; i++)
        sum += strcmp(execution_state_word((enum execution_state)i), word) == 0 ? s->counts[i] : 0;
    return sum;
}

static int64_t ended_count(const struct job_summary *s)
{
    int64_t sum = 0;
    for (int i = 0; i < EX_STATES; i++)
        sum += execution_is_over((enum execution_state)i) ? s->counts[i] : 0;
    return sum;
}

static void write_counts(struct json_out *out, const struct job_summary *s)
{
    json_out_int(out, "completed_count", ended_count(s));
    json_out_int(out, "total_count", s->total);
    json_out_int(out, "total_node_count", s->total);
    json_out_int(out, "triggered_count", sum_of(s, "triggered"));
    json_out_int(out, "started_count", sum_of(s, "started"));
    json_out_int(out, "in_progress_count", sum_of(s, "in-progress"));
    json_out_int(out, "success_count", sum_of(s, "success"));
    json_out_int(out, "rejected_count", sum_of(s, "rejected"));
    json_out_int(out, "delayed_count", sum_of(s, "delayed"));
    json_out_int(out, "failed_count", sum_of(s, "failed"));
    json_out_int(out, "other_count", sum_of(s, "unknown"));
    json_out_object(out, "states"); /* our own, finer words */
    for (int i = 0; i < EX_STATES; i++)
        json_out_int(out, execution_state_text((enum execution_state)i), s->counts[i]);
    json_out_end_object(out);
}

static void write_serial(struct json_out *out, const struct job *j)
{
    json_out_bool(out, "network_serialised", j->is_serial);
    if (!j->is_serial)
        return;
    json_out_object(out, "network_serialisation");
    json_out_int(out, "ota_task_duration", j->serial_task_ms / 1000);
    if (j->serial_max_wait_ms > 0) {
        json_out_int(out, "min_wait", j->serial_min_wait_ms / 1000);
        json_out_int(out, "max_wait", j->serial_max_wait_ms / 1000);
    }
    json_out_int(out, "max_nodes", j->serial_max);
    json_out_end_object(out);
}

/* What RainMaker does not have. */
static void write_rollout(struct json_out *out, const struct job_summary *s)
{
    struct rollout plan;
    json_out_bool(out, "paused", s->job.is_paused);
    json_out_text(out, "stop_reason", s->job.stop_reason);
    json_out_text(out, "rollout", s->job.plan);
    json_out_text(out, "exclude", s->job.exclude);
    if (rollout_read(&plan, s->job.plan, NULL) == ERR_NONE && plan.phase_count > 0) {
        json_out_object(out, "phase");
        json_out_int(out, "number", s->state.phase < plan.phase_count ? s->state.phase + 1 : plan.phase_count);
        json_out_int(out, "of", plan.phase_count);
        json_out_int(out, "nodes", rollout_limit(&plan, s->state.phase, s->state.audience));
        json_out_int(out, "started", s->state.started);
        json_out_int(out, "since_ms", s->state.phase_at);
        json_out_end_object(out);
    }
    json_out_object(out, "failures");
    for (int k = FAILURE_NONE + 1; k < FAILURE_KINDS; k++)
        if (s->state.failures[k] > 0)
            json_out_int(out, failure_kind_text((enum failure_kind)k), s->state.failures[k]);
    json_out_end_object(out);
}

static void write_job(struct json_out *out, const char *key, const struct job_summary *s)
{
    const struct job *j = &s->job;
    json_out_object(out, key);
    json_out_text(out, "ota_job_id", j->id);
    json_out_text(out, "ota_job_name", j->name);
    json_out_text(out, "ota_image_id", j->image_id);
    json_out_text(out, "description", j->description);
    json_out_text(out, "status", job_status_text(j->status));
    json_out_text(out, "owner", j->owner);
    write_time(out, "triggered_timestamp", j->created_at);
    if (j->status == JOB_CANCELLED)
        write_time(out, "cancelled_timestamp", j->ended_at);
    if (j->status == JOB_FINISHED)
        write_time(out, "finished_timestamp", j->ended_at);
    write_counts(out, s);
    json_out_array(out, "groups");
    if (j->is_for_everyone)
        json_out_text(out, NULL, GROUP_EVERYONE);
    for (unsigned i = 0; i < j->group_count; i++)
        json_out_text(out, NULL, j->groups[i]);
    json_out_end_array(out);
    if (j->query[0])
        json_out_text(out, "group_query", j->query);
    json_out_bool(out, "archived", j->is_archived);
    json_out_bool(out, "force_push", j->is_force_push);
    json_out_bool(out, "user_approval", j->needs_approval);
    json_out_bool(out, "continuous", j->is_continuous);
    json_out_bool(out, "notify_flag", j->notifies);
    json_out_int(out, "priority", j->priority);
    if (j->expires_at > 0)
        json_out_int(out, "expiry_timestamp_num", j->expires_at / 1000);
    write_serial(out, j);
    if (j->gives_image)
        json_out_bool(out, "user_ota_image_acccess", true); /* three c: RainMaker's spelling */
    if (j->metadata[0])
        json_out_raw(out, "metadata", j->metadata);
    write_rollout(out, s);
    json_out_end_object(out);
}

/* --- create ----------------------------------------------------------------------------------- */

static enum err take_nodes(const struct json *list, struct job_order *o, struct why *why)
{
    JSON_EACH (node, list) {
        const char *id = json_text(node);
        if (id == NULL || *id == '\0')
            return why_set(why, ERR_BODY, "nodes must be strings");
        if (o->node_count == JOB_NODES_MAX)
            return why_set(why, ERR_JOB_NODES, "more than %d nodes: make a group", JOB_NODES_MAX);
        o->nodes[o->node_count++] = id;
    }
    return ERR_NONE;
}

static enum err take_groups(const struct json *list, struct job_order *o, struct why *why)
{
    JSON_EACH (group, list) {
        const char *id = json_text(group);
        if (id == NULL || *id == '\0')
            return why_set(why, ERR_BODY, "groups must be strings");
        if (strcmp(id, GROUP_EVERYONE) == 0) {
            o->is_for_everyone = true;
            continue;
        }
        if (o->group_count == JOB_GROUPS_MAX)
            return why_set(why, ERR_JOB_GROUPS, "more than %d groups", JOB_GROUPS_MAX);
        o->groups[o->group_count++] = id;
    }
    return ERR_NONE;
}

/* Whole numbers of an object, 0 when absent. */
static enum err take_number(const struct json *object, const char *key, int64_t *to, struct why *why)
{
    const struct json *value = json_get(object, key);
    *to = 0;
    if (value != NULL && !json_int(value, to))
        return why_set(why, ERR_BODY, "%s must be a whole number", key);
    return ERR_NONE;
}

static enum err take_serial(const struct rest_request *q, const struct json *doc, struct job_order *o, struct why *why)
{
    const struct json *serial = json_get(doc, "network_serialisation");
    int64_t max = 0;
    enum err err;
    o->is_serial = query_is_true(q, "network_serialised");
    if (serial != NULL && !json_is_object(serial))
        return why_set(why, ERR_BODY, "network_serialisation must be a JSON object");
    /* One of RainMaker's schemas spells it nim_wait. */
    const char *least = json_get(serial, "nim_wait") ? "nim_wait" : "min_wait";
    if ((err = take_number(serial, "ota_task_duration", &o->serial_task_s, why)) != ERR_NONE ||
        (err = take_number(serial, least, &o->serial_min_wait_s, why)) != ERR_NONE ||
        (err = take_number(serial, "max_wait", &o->serial_max_wait_s, why)) != ERR_NONE ||
        (err = take_number(serial, "max_nodes", &max, why)) != ERR_NONE)
        return err;
    if (max < 0 || max > 1000000)
        return why_set(why, ERR_BODY, "max_nodes must be 1 to 1000000");
    o->serial_max = (unsigned)max;
    return ERR_NONE;
}

/* What of the metadata means something to the server too; the node is the judge of it (spec: "the node enforces"). */
static enum err take_metadata(const struct json *meta, struct job_order *o, struct why *why)
{
    const struct json *validity = json_get(meta, "validity");
    const char *target = json_text(json_get(meta, "esp.ota.target"));
    int64_t start = 0, end = 0;
    enum err err;
    if (meta != NULL && !json_is_object(meta))
        return why_set(why, ERR_BODY, "metadata must be a JSON object");
    if ((err = take_number(validity, "start", &start, why)) != ERR_NONE ||
        (err = take_number(validity, "end", &end, why)) != ERR_NONE)
        return err;
    static const int64_t latest = 253402300799; /* the year 9999 */
    o->valid_from = start > 0 && start <= latest ? start * 1000 : 0;
    o->valid_until = end > 0 && end <= latest ? end * 1000 : 0;
    o->is_host_mcu = target != NULL && strcmp(target, "host_mcu") == 0;
    return ERR_NONE;
}

/* RainMaker's rule of a dynamic job in the words of the query language. */
static enum err take_rule(const struct json *doc, char *rule, size_t size, struct job_order *o, struct why *why)
{
    static const char *const keys[] = {"node_type", "node_model", "node_fw_version"};
    struct text t;
    text_init(&t, rule, size);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = member_text(doc, keys[i]);
        if (value != NULL && strpbrk(value, "\"\\") != NULL)
            return why_set(why, ERR_BODY, "%s must not hold quotes or backslashes", keys[i]);
        if (value != NULL)
            text_add(&t, "%s%s: \"%s\"", t.len > 0 ? " && " : "", keys[i], value);
    }
    const char *query = member_text(doc, "query");
    if (query != NULL && t.len > 0)
        return why_set(why, ERR_JOB_RULE, "give either query, or node_type, node_model and node_fw_version");
    if (query != NULL && !text_copy(rule, size, query))
        return why_set(why, ERR_QUERY, "query has more than %zu characters", size - 1);
    o->query = *rule ? rule : NULL;
    return t.is_cut ? why_set(why, ERR_BODY, "the rule is too long") : ERR_NONE;
}

/* secure_boot, as RainMaker checks it (C.2, C.9). */
static enum err check_signing(const struct rest_request *q, const struct json *doc, const char **to, unsigned *count,
                              bool *is_auto_to, struct why *why)
{
    const struct json *signing = json_get(doc, "secure_boot"), *names = json_get(signing, "key_names");
    bool is_auto = false, is_pushed = query_is_true(q, "force_push");
    if (signing == NULL)
        return ERR_NONE;
    json_bool(json_get(signing, "auto_select_key"), &is_auto);
    if (member_text(doc, "ota_image_url") != NULL)
        return why_set(why, ERR_JOB_URL_SIGNING, "an image by URL cannot be signed here: upload it");
    if (is_auto && names != NULL)
        return why_set(why, ERR_JOB_KEYS, "give either key_names or auto_select_key");
    if (is_auto && is_pushed)
        return why_set(why, ERR_JOB_AUTO_KEY_PUSH,
                       "auto_select_key waits for nodes to ask: it goes with no force_push");
    if (is_pushed)
        return why_set(why, ERR_JOB_PUSH_UNSIGNED, "sign the image before a force push");
    *is_auto_to = is_auto;
    if (is_auto)
        return ERR_NONE;
    JSON_EACH (name, names) {
        if (*count == SIGN_KEYS_MAX)
            return why_set(why, ERR_SIGN_KEYS_MANY, "an image carries %d signatures at most", SIGN_KEYS_MAX);
        if (json_text(name) == NULL)
            return why_set(why, ERR_SIGN_KEY_NAME, "key_names must be strings");
        to[(*count)++] = json_text(name);
    }
    return *count > 0 ? ERR_NONE : why_set(why, ERR_SIGN_KEY_NAME, "secure_boot names no key");
}

/* Which image, and who signs it. */
static enum err read_image_choice(const struct rest_request *q, const struct json *doc, const char **keys,
                                  unsigned *count, bool *is_auto, struct why *why)
{
    const char *url = member_text(doc, "ota_image_url");
    if (url != NULL && member_text(doc, "ota_image_id") != NULL)
        return why_set(why, ERR_IMAGE_OR_URL, "give either ota_image_id or ota_image_url");
    return check_signing(q, doc, keys, count, is_auto, why);
}

/* An order as it is read: it points into the document and in here. */
struct reading {
    struct job_order order;          /* first: orders of readings lead back to them */
    const char *image_url;           /* in the place of an image's id; NULL: none */
    const char *keys[SIGN_KEYS_MAX]; /* that sign the image for this job */
    unsigned key_count;
    bool picks_key; /* each node is given the image as one of its own keys has signed it */
    char rule[QUERY_SIZE];
    char *metadata;
};

static bool is_flag(const struct json *doc, const char *key)
{
    bool value = false;
    return json_bool(json_get(doc, key), &value) && value;
}

static enum err read_order(const struct rest_request *q, const struct json *doc, struct reading *r, struct why *why)
{
    int64_t priority = 0;
    struct job_order *o = &r->order;
    const struct json *given = json_get(doc, "priority"), *meta = json_get(doc, "metadata");
    *r = (struct reading){
        .order = {
            .name = member_text(doc, "ota_job_name"),
            .image_id = member_text(doc, "ota_image_id"),
            .description = member_text(doc, "description"),
            .owner = q->user.name,
            .plan = member_text(doc, "rollout"),
            .exclude = member_text(doc, "exclude"),
            .is_force_push = query_is_true(q, "force_push"),
            .is_continuous = query_is_true(q, "continuous"),
            .needs_approval = query_is_true(q, "user_approval"),
            .notifies = query_is_true(q, "notify"),
            .skips_project = is_flag(doc, "skip_project_check"),
            .gives_image = is_flag(doc, "user_ota_image_acccess") || is_flag(doc, "user_ota_image_access"),
        }};
    r->image_url = o->image_id ? NULL : member_text(doc, "ota_image_url");
    if (given != NULL && (!json_int(given, &priority) || priority < 1 || priority > 10))
        return why_set(why, ERR_JOB_PRIORITY, "priority must be a number from 1 to 10");
    o->priority = (int)priority;
    enum err err;
    if ((err = read_image_choice(q, doc, r->keys, &r->key_count, &r->picks_key, why)) != ERR_NONE ||
        (err = take_metadata(meta, o, why)) != ERR_NONE ||
        (err = take_number(doc, "timeout", &o->timeout_s, why)) != ERR_NONE ||
        (err = take_serial(q, doc, o, why)) != ERR_NONE ||
        (err = take_rule(doc, r->rule, sizeof r->rule, o, why)) != ERR_NONE ||
        (err = take_nodes(json_get(doc, "nodes"), o, why)) != ERR_NONE ||
        (err = take_groups(json_get(doc, "groups"), o, why)) != ERR_NONE)
        return err;
    /* A timeout pushes by default (C.2). */
    if (o->timeout_s > 0 && query(q, "force_push") == NULL && !o->needs_approval)
        o->is_force_push = true;
    if (meta != NULL && (r->metadata = json_dup_text(meta)) == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    o->metadata = r->metadata;
    return ERR_NONE;
}

typedef enum err (*order_act)(struct rest *rest, const struct rest_request *q, const struct job_order *o,
                              struct rest_response *p, struct why *why);

/* Reads the order that the request describes and does with it what `act` does. */
static enum err with_order(struct rest *rest, struct rest_request *q, struct rest_response *p, order_act act,
                           struct why *why)
{
    struct json *doc;
    struct reading r;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_order(q, doc, &r, why);
    if (err == ERR_NONE)
        err = act(rest, q, &r.order, p, why);
    free(r.metadata);
    json_free(doc);
    return err;
}

/* --- an image that lies elsewhere ------------------------------------------------------------- */

static void fetched_path(const struct rest_request *q, char *to, size_t size)
{
    snprintf(to, size, "%s-fetched", q->body_file);
}

enum err fetch_job_image(struct rest *rest, const struct rest_request *q, struct why *why)
{
    struct json *doc;
    char path[700];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *url = member_text(doc, "ota_image_url");
    fetched_path(q, path, sizeof path);
    /* What the order is refused for anyway is not fetched. */
    if (url != NULL && member_text(doc, "ota_image_id") == NULL && json_get(doc, "secure_boot") == NULL) {
        if (rest->fetch == NULL || (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0))
            err = why_set(why, ERR_BODY, "ota_image_url must begin with https:// or http://");
        else if (strlen(url) >= NAME_SIZE)
            err = why_set(why, ERR_BODY, "ota_image_url has more than %d characters", NAME_SIZE - 1);
        else
            err = rest->fetch->fetch(rest->fetch, url, path, why);
    }
    json_free(doc);
    if (err != ERR_NONE)
        unlink(path);
    return err == ERR_NETWORK ? why_add(why, ERR_BODY, "fetch the image") : err;
}

/* What was fetched becomes an image called by its URL, checked as every upload; nodes get it from here. */
static enum err adopt_fetched(struct rest *rest, const struct rest_request *q, const char *url, struct image *to,
                              struct why *why)
{
    struct image_facts facts;
    char path[700], name[NAME_SIZE];
    fetched_path(q, path, sizeof path);
    enum err err = verify_file(path, &facts, why);
    snprintf(name, sizeof name, "%.200s (%.8s)", url, id_new(rest->entropy).text);
    const struct image_upload upload = {.name = name, .uploader = q->user.name, .facts = &facts};
    if (err == ERR_NONE)
        err = adopt_file(rest, path, NULL, &upload, q->now, to, why);
    unlink(path);
    return err;
}

static enum err start_order(struct rest *rest, const struct rest_request *q, const struct job_order *o,
                            struct rest_response *p, struct why *why)
{
    const struct reading *r = (const struct reading *)(const void *)o;
    struct job_order order = *o;
    struct image image;
    struct job job;
    char variants[JOB_VARIANTS_MAX][ID_LEN + 1];
    enum err err = ERR_NONE;
    if (r->image_url != NULL) {
        err = adopt_fetched(rest, q, r->image_url, &image, why);
        order.image_id = image.id;
    }
    if (err == ERR_NONE && r->picks_key)
        err = sign_with_each(rest, q, o->image_id ? o->image_id : "", variants, JOB_VARIANTS_MAX, &order.variant_count,
                             why);
    for (unsigned i = 0; i < order.variant_count; i++)
        order.variants[i] = variants[i];
    if (r->key_count > 0) {
        err = sign_image(rest, q, o->image_id ? o->image_id : "", r->keys, r->key_count, &image, why);
        order.image_id = image.id;
    }
    if (err == ERR_NONE)
        err = fleet_job_start(rest->fleet, &order, q->now, &job, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "ota_job_id", job.id);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(post_job)
{
    char path[700];
    enum err err = with_order(rest, q, p, start_order, why);
    fetched_path(q, path, sizeof path);
    unlink(path); /* what a refused order had fetched */
    return err;
}

static void write_audience(struct json_out *out, const struct audience *a)
{
    json_out_int(out, "total", a->total);
    json_out_int(out, "online", a->online);
    json_out_int(out, "on_version", a->on_version);
    json_out_int(out, "other_chip", a->other_chip);
    json_out_int(out, "other_project", a->other_project);
    json_out_int(out, "never_seen", a->never_seen);
    json_out_int(out, "excluded", a->excluded);
    json_out_array(out, "kinds");
    for (unsigned i = 0; i < a->part_count; i++) {
        json_out_object(out, NULL);
        json_out_text(out, "platform", a->parts[i].platform);
        json_out_text(out, "model", a->parts[i].model);
        json_out_text(out, "fw_version", a->parts[i].fw_version);
        json_out_int(out, "nodes", a->parts[i].count);
        json_out_end_object(out);
    }
    json_out_end_array(out);
}

static enum err count_order(struct rest *rest, const struct rest_request *q, const struct job_order *o,
                            struct rest_response *p, struct why *why)
{
    struct audience audience;
    enum err err = fleet_job_audience(rest->fleet, o, q->now, &audience, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    write_audience(&out, &audience);
    json_out_end_object(&out);
    return ERR_NONE;
}

/* Takes the body of post_job, counts, starts nothing. */
HANDLER(post_job_audience)
{
    return with_order(rest, q, p, count_order, why);
}

static void write_plan(struct json_out *out, const struct sim_plan *p)
{
    json_out_int(out, "nodes", p->nodes);
    json_out_int(out, "simulated_nodes", p->simulated);
    json_out_int(out, "finish_s", p->finish_ms / 1000);
    json_out_int(out, "bytes", p->bytes);
    json_out_int(out, "most_at_work", p->most_at_work);
    json_out_int(out, "success", p->states[EX_SUCCESS]);
    json_out_int(out, "gave_up", p->states[EX_GAVE_UP]);
    json_out_array(out, "curve");
    for (unsigned i = 0; i < p->points; i++) {
        json_out_object(out, NULL);
        json_out_int(out, "at_s", p->curve[i].at_ms / 1000);
        json_out_int(out, "begun", p->curve[i].offered);
        json_out_int(out, "ended", p->curve[i].ended);
        json_out_int(out, "success", p->curve[i].succeeded);
        json_out_end_object(out);
    }
    json_out_end_array(out);
    json_out_object(out, "if_half_fail");
    json_out_int(out, "nodes_hit", p->hit_if_bad);
    json_out_text(out, "stopped", p->stopped_if_bad);
    json_out_end_object(out);
    json_out_array(out, "risks");
    for (unsigned i = 0; i < p->risk_count; i++)
        json_out_text(out, NULL, p->risks[i]);
    json_out_end_array(out);
}

static enum err plan_order(struct rest *rest, const struct rest_request *q, const struct job_order *o,
                           struct rest_response *p, struct why *why)
{
    struct audience audience;
    struct image image;
    struct sim_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = rest->scratch ? ERR_NONE : why_set(why, ERR_BODY, "dry runs are not set up here");
    if (err == ERR_NONE && o->image_id == NULL)
        err = why_set(why, ERR_IMAGE_ID, "ota_image_id is missing");
    if (err == ERR_NONE)
        err = fleet_job_audience(rest->fleet, o, q->now, &audience, why);
    if (err == ERR_NONE)
        err = fleet_image_get(rest->fleet, o->image_id, &image, why);
    struct sim_plan_request request = {.audience = &audience,
                                       .rollout = o->plan,
                                       .image_bytes = image.size_bytes,
                                       .is_force_push = o->is_force_push,
                                       .flaky = 10000};
    if (err == ERR_NONE)
        err = sim_plan_run(&request, rest->scratch, plan, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        write_plan(&out, plan);
        json_out_end_object(&out);
    }
    free(plan);
    return err;
}

/* Takes the body of post_job, simulates, starts nothing. */
HANDLER(post_job_plan)
{
    return with_order(rest, q, p, plan_order, why);
}

/* --- list ------------------------------------------------------------------------------------- */

static enum err one_job(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why)
{
    struct job_summary sum;
    enum err err = fleet_job_get(rest->fleet, query(q, "ota_job_id"), &sum, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out;
    json_out_init(&out, &p->body);
    write_job(&out, NULL, &sum);
    return ERR_NONE;
}

static bool job_wanted(const struct rest_request *q, const struct job *j)
{
    const char *name = query(q, "ota_job_name"), *image = query(q, "ota_image_id");
    bool is_shown = query_is_true(q, "all") || j->is_archived == query_is_true(q, "archived");
    return is_shown && (!name || strstr(j->name, name) != NULL) && (!image || strcmp(image, j->image_id) == 0);
}

HANDLER(get_jobs)
{
    int64_t max;
    char after[ID_LEN + 1];
    unsigned count = 0, shown = 0;
    if (query(q, "ota_job_id") != NULL)
        return one_job(rest, q, p, why);
    enum err err = query_int(q, "num_records", 1, PAGE_MAX, PAGE_DEFAULT, &max, why);
    struct job_summary *page = calloc(PAGE_DEFAULT, sizeof *page);
    if (page == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (query(q, "ota_image_id") != NULL)
        max = 1; /* the latest job of that image */
    text_copy(after, sizeof after, query(q, "start_id"));
    struct json_out out = answer(p);
    json_out_array(&out, "ota_jobs");
    do {
        if (err == ERR_NONE)
            err = fleet_job_list(rest->fleet, after, page, PAGE_DEFAULT, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count && shown < max; i++) {
            text_copy(after, sizeof after, page[i].job.id);
            if (!job_wanted(q, &page[i].job))
                continue;
            write_job(&out, NULL, &page[i]);
            shown++;
        }
    } while (err == ERR_NONE && count == PAGE_DEFAULT && shown < max);
    json_out_end_array(&out);
    if (shown == max && query(q, "ota_image_id") == NULL)
        json_out_text(&out, "next_id", after);
    json_out_end_object(&out);
    free(page);
    return err;
}

/* --- cancel, archive, push again -------------------------------------------------------------- */

HANDLER(put_job)
{
    struct json *doc;
    struct job_summary sum;
    bool is_archived = false;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "ota_job_id");
    const struct json *archive = json_get(doc, "archive");
    if (id == NULL)
        err = why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    else if (archive != NULL && !json_bool(archive, &is_archived))
        err = why_set(why, ERR_BODY, "archive must be true or false");
    else
        err = archive ? fleet_job_archive(rest->fleet, id, is_archived, q->now, &sum, why)
                      : fleet_job_cancel(rest->fleet, id, q->now, &sum, why);
    if (err == ERR_NONE) {
        struct json_out out;
        json_out_init(&out, &p->body);
        write_job(&out, NULL, &sum);
    }
    json_free(doc);
    return err;
}

HANDLER(post_job_retrigger)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "ota_job_id");
    err = id ? fleet_job_retrigger(rest->fleet, id, q->now, why) : why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "ota_job_id", id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

/* --- what RainMaker does not have: pause, resume, edit, exclude, retry -------------------------- */

static enum err do_pause(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                         struct job_summary *to, struct why *why)
{
    return fleet_job_pause(rest->fleet, id, member_text(doc, "reason"), q->now, to, why);
}

static enum err do_resume(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                          struct job_summary *to, struct why *why)
{
    (void)doc;
    return fleet_job_resume(rest->fleet, id, q->now, to, why);
}

static enum err do_edit(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                        struct job_summary *to, struct why *why)
{
    struct job_edit change = {.editor = q->user.name,
                              .description = json_text(json_get(doc, "description")),
                              .plan = json_text(json_get(doc, "rollout")),
                              .exclude = json_text(json_get(doc, "exclude"))};
    const struct json *meta = json_get(doc, "metadata");
    int64_t priority = 0;
    enum err err = take_number(doc, "priority", &priority, why);
    if (err == ERR_NONE && (priority < 0 || priority > 10))
        err = why_set(why, ERR_JOB_PRIORITY, "priority must be 1 (first) to 10 (last)");
    if (err == ERR_NONE && meta != NULL && !json_is_object(meta))
        err = why_set(why, ERR_BODY, "metadata must be a JSON object");
    if (err != ERR_NONE)
        return err;
    char *metadata = meta ? json_dup_text(meta) : NULL;
    change.metadata = metadata;
    change.priority = (int)priority;
    err = fleet_job_edit(rest->fleet, id, &change, q->now, to, why);
    free(metadata);
    return err;
}

static enum err do_exclude(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                           struct job_summary *to, struct why *why)
{
    const char *query = member_text(doc, "query");
    return query ? fleet_job_exclude(rest->fleet, id, query, q->now, to, why)
                 : why_set(why, ERR_BODY, "query is missing: which nodes the job shall leave out");
}

static enum err do_retry(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                         struct job_summary *to, struct why *why)
{
    return fleet_job_retry(rest->fleet, id, is_flag(doc, "all"), q->now, to, why);
}

static enum err do_approve(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                           struct job_summary *to, struct why *why)
{
    (void)doc;
    return fleet_job_approve(rest->fleet, id, q->user.name, q->now, to, why);
}

static const struct verb {
    const char *name;
    enum err (*act)(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                    struct job_summary *to, struct why *why);
} verbs[] = {
    {"pause", do_pause},     {"resume", do_resume}, {"edit", do_edit},
    {"exclude", do_exclude}, {"retry", do_retry},   {"approve", do_approve},
};

HANDLER(post_job_verb)
{
    struct json *doc;
    struct job_summary sum;
    const char *name = strrchr(q->path, '/') + 1;
    const struct verb *verb = verbs;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    while (strcmp(verb->name, name) != 0)
        verb++;
    const char *id = member_text(doc, "ota_job_id");
    err = id ? verb->act(rest, q, doc, id, &sum, why) : why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    if (err == ERR_NONE) {
        struct json_out out;
        json_out_init(&out, &p->body);
        write_job(&out, NULL, &sum);
    }
    json_free(doc);
    return err;
}

static const char *wanted_job(const struct rest_request *q, struct why *why, enum err *err)
{
    const char *id = query(q, "ota_job_id");
    *err = id ? ERR_NONE : why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    return id;
}

/* --- why, and what fails ---------------------------------------------------------------------- */

HANDLER(get_job_why)
{
    struct verdict v;
    enum err err;
    const char *job_id = wanted_job(q, why, &err), *node_id = query(q, "node_id");
    if (err == ERR_NONE && node_id == NULL)
        err = why_set(why, ERR_NODE_ID, "node_id is missing");
    if (err != ERR_NONE || (err = fleet_why(rest->fleet, job_id, node_id, q->now, &v, why)) != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "node_id", node_id);
    json_out_text(&out, "ota_job_id", job_id);
    json_out_text(&out, "decision", decision_text(v.decision));
    json_out_text(&out, "reason", v.text);
    if (v.next_at > 0)
        json_out_int(&out, "next_ms", v.next_at);
    json_out_end_object(&out);
    return ERR_NONE;
}

#define CLUSTERS_SHOWN 50

HANDLER(get_job_clusters)
{
    enum err err;
    unsigned count = 0;
    const char *job_id = wanted_job(q, why, &err);
    if (err != ERR_NONE)
        return err;
    struct cluster *all = calloc(CLUSTERS_SHOWN, sizeof *all);
    if (all == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    err = fleet_job_clusters(rest->fleet, job_id, all, CLUSTERS_SHOWN, &count, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_array(&out, "clusters");
        for (unsigned i = 0; i < count; i++) {
            char rule[QUERY_SIZE];
            cluster_query(&all[i], rule);
            json_out_object(&out, NULL);
            json_out_int(&out, "nodes", all[i].count);
            json_out_text(&out, "state", execution_state_text(all[i].state));
            json_out_text(&out, "kind", failure_kind_text(all[i].failure));
            json_out_text(&out, "info", all[i].info);
            json_out_text(&out, "platform", all[i].platform);
            json_out_text(&out, "model", all[i].model);
            json_out_text(&out, "from_version", all[i].from_version);
            json_out_text(&out, "query", rule);
            json_out_end_object(&out);
        }
        json_out_end_array(&out);
        json_out_end_object(&out);
    }
    free(all);
    return err;
}

/* --- progress --------------------------------------------------------------------------------- */

/* Of which job it is stands in lists of one node's. */
static void write_execution(struct json_out *out, const struct execution *e, const char *job_name)
{
    json_out_object(out, NULL);
    json_out_text(out, "node_id", e->node_id);
    if (job_name != NULL) {
        json_out_text(out, "ota_job_id", e->job_id);
        json_out_text(out, "ota_job_name", job_name);
    }
    json_out_text(out, "status", execution_state_word(e->state));
    write_time(out, "timestamp", e->node_ts ? e->node_ts * 1000 : e->updated_at);
    json_out_text(out, "additional_info", e->info);
    json_out_text(out, "ts_source", e->node_ts ? "NODE" : "CLOUD");
    json_out_int(out, "invalid_node_ts", e->invalid_node_ts);
    json_out_text(out, "state", execution_state_text(e->state));
    if (e->percent >= 0)
        json_out_int(out, "percent", e->percent);
    json_out_text(out, "from_version", e->from_version);
    json_out_int(out, "failures", e->failures);
    json_out_int(out, "updated_ms", e->updated_at);
    json_out_end_object(out);
}

/* "failed,gave-up" as a set; every state when the query names none. */
static enum err wanted_states(const struct rest_request *q, uint32_t *states, struct why *why)
{
    const char *at = query(q, "state");
    *states = at != NULL && *at ? 0 : UINT32_MAX;
    while (at != NULL && *at) {
        size_t len = strcspn(at, ",");
        int state = 0;
        while (state < EX_STATES && (strlen(execution_state_text((enum execution_state)state)) != len ||
                                     strncmp(execution_state_text((enum execution_state)state), at, len) != 0))
            state++;
        if (state == EX_STATES)
            return why_set(why, ERR_BODY, "there is no state %.*s", len < 40 ? (int)len : 40, at);
        *states |= UINT32_C(1) << state;
        at += len + (at[len] == ',');
    }
    return ERR_NONE;
}

#define LOOKED_THROUGH_MAX 20000 /* executions, for one page of those in rare states */

struct status_page {
    struct json_out out;
    uint32_t states;
    unsigned max, shown, looked_through;
    char after[NODE_ID_SIZE];
    bool is_more;
};

/* Pages of all, of which those in the wanted states are written. */
static enum err write_statuses(struct rest *rest, const struct rest_request *q, const char *job_id,
                               struct execution *page, struct status_page *s, struct why *why)
{
    enum err err = ERR_NONE;
    do {
        unsigned count = 0;
        err = fleet_job_executions(rest->fleet, job_id, s->after, q->now, page, PAGE_MAX, &count, why);
        s->is_more = err == ERR_NONE && count == PAGE_MAX;
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            text_copy(s->after, sizeof s->after, page[i].node_id);
            if ((s->states & UINT32_C(1) << page[i].state) == 0)
                continue;
            write_execution(&s->out, &page[i], NULL);
            if (++s->shown == s->max) {
                s->is_more |= i + 1 < count;
                return ERR_NONE;
            }
        }
        s->looked_through += count;
    } while (s->is_more && s->looked_through < LOOKED_THROUGH_MAX);
    return err;
}

static enum err list_statuses(struct rest *rest, const struct rest_request *q, struct rest_response *p,
                              const char *job_id, unsigned max, struct why *why)
{
    struct status_page s = {.max = max};
    const char *after = query(q, "start_id");
    enum err err = wanted_states(q, &s.states, why);
    struct execution *page = err ? NULL : calloc(PAGE_MAX, sizeof *page);
    if (page == NULL)
        return err ? err : why_set(why, ERR_NO_MEMORY, "no memory");
    text_copy(s.after, sizeof s.after, after ? after : "");
    s.out = answer(p);
    json_out_array(&s.out, "node_ota_status");
    err = write_statuses(rest, q, job_id, page, &s, why);
    json_out_end_array(&s.out);
    if (s.is_more)
        json_out_text(&s.out, "next_id", s.after);
    json_out_end_object(&s.out);
    free(page);
    return err;
}

static enum err one_status(struct rest *rest, const struct rest_request *q, struct rest_response *p, const char *job_id,
                           struct why *why)
{
    struct execution e;
    enum err err = fleet_execution(rest->fleet, job_id, query(q, "node_id"), q->now, &e, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer(p);
    json_out_array(&out, "node_ota_status");
    write_execution(&out, &e, NULL);
    json_out_end_array(&out);
    json_out_end_object(&out);
    return ERR_NONE;
}

/* Without a job: what the latest jobs did on the node. */
static enum err node_statuses(struct rest *rest, struct rest_response *p, const char *node_id, unsigned max,
                              struct why *why)
{
    unsigned count = 0;
    struct node_run *runs = calloc(max, sizeof *runs);
    if (runs == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = fleet_node_runs(rest->fleet, node_id, runs, max, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "node_ota_status");
    for (unsigned i = 0; i < count; i++)
        write_execution(&out, &runs[i].execution, runs[i].job_name);
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(runs);
    return err;
}

HANDLER(get_job_status)
{
    enum err err;
    int64_t max;
    const char *node_id = query(q, "node_id");
    if ((err = query_int(q, "num_records", 1, PAGE_MAX, PAGE_MAX, &max, why)) != ERR_NONE)
        return err;
    if (node_id != NULL && query(q, "ota_job_id") == NULL)
        return node_statuses(rest, p, node_id, (unsigned)max, why);
    const char *job_id = wanted_job(q, why, &err);
    if (err != ERR_NONE)
        return err;
    if (query_is_true(q, "summary"))
        return get_job_summary(rest, q, p, why);
    return node_id ? one_status(rest, q, p, job_id, why) : list_statuses(rest, q, p, job_id, (unsigned)max, why);
}

HANDLER(get_job_course)
{
    enum err err;
    unsigned count = 0;
    const char *job_id = wanted_job(q, why, &err);
    if (err != ERR_NONE)
        return err;
    struct course_point *points = calloc(COURSE_POINTS, sizeof *points);
    if (points == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    err = fleet_job_course(rest->fleet, job_id, points, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "curve");
    for (unsigned i = 0; i < count; i++) {
        json_out_object(&out, NULL);
        json_out_int(&out, "at_ms", points[i].at);
        json_out_int(&out, "ended", points[i].ended);
        json_out_int(&out, "success", points[i].succeeded);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(points);
    return err;
}

HANDLER(get_job_summary)
{
    static const struct {
        const char *key, *word;
    } rows[] = {{"triggered", "triggered"}, {"started", "started"}, {"in_progress", "in-progress"},
                {"rejected", "rejected"},   {"delayed", "delayed"}, {"success", "success"},
                {"failed", "failed"}};
    struct job_summary sum;
    enum err err;
    const char *job_id = wanted_job(q, why, &err);
    if (err != ERR_NONE || (err = fleet_job_get(rest->fleet, job_id, &sum, why)) != ERR_NONE)
        return err;
    struct json_out out = answer(p);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        json_out_int(&out, rows[i].key, sum_of(&sum, rows[i].word));
    json_out_int(&out, "total", sum.total);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(get_timeline)
{
    struct timeline_row *rows;
    unsigned count = 0;
    enum err err;
    const char *job_id = wanted_job(q, why, &err), *node_id = query(q, "node_id");
    if (err == ERR_NONE && node_id == NULL)
        err = why_set(why, ERR_NODE_ID, "node_id is missing");
    if (err != ERR_NONE)
        return err;
    if ((rows = calloc(2 * TIMELINE_KEPT, sizeof *rows)) == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    err = fleet_timeline(rest->fleet, job_id, node_id, rows, 2 * TIMELINE_KEPT, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "timeline");
    for (unsigned i = 0; i < count; i++) {
        json_out_object(&out, NULL);
        json_out_int(&out, "at_ms", rows[i].at);
        json_out_text(&out, "source", rows[i].is_from_node ? "NODE" : "CLOUD");
        json_out_text(&out, "state", execution_state_text(rows[i].state));
        json_out_text(&out, "additional_info", rows[i].info);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(rows);
    return err;
}
