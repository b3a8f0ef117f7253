#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    json_out_int(out, "other_count", 0);
    json_out_object(out, "states"); /* our own, finer words */
    for (int i = 0; i < EX_STATES; i++)
        json_out_int(out, execution_state_text((enum execution_state)i), s->counts[i]);
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
    json_out_end_array(out);
    json_out_bool(out, "archived", j->is_archived);
    json_out_bool(out, "force_push", j->is_force_push);
    json_out_bool(out, "user_approval", false);
    json_out_bool(out, "continuous", j->is_continuous);
    json_out_bool(out, "notify_flag", false);
    json_out_int(out, "priority", j->priority);
    if (j->metadata[0])
        json_out_raw(out, "metadata", j->metadata);
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
    unsigned count = 0;
    JSON_EACH (group, list) {
        const char *id = json_text(group);
        if (++count > JOB_GROUPS_MAX)
            return why_set(why, ERR_JOB_GROUPS, "more than %d groups", JOB_GROUPS_MAX);
        if (id == NULL || strcmp(id, GROUP_EVERYONE) != 0)
            return why_set(why, ERR_JOB_NO_NODES, "there is no group %.64s; the group of every node is " GROUP_EVERYONE,
                           id ? id : "");
        o->is_for_everyone = true;
    }
    return ERR_NONE;
}

/* Options that this server does not carry out are refused: a job that silently ignores one is worse than none. */
static enum err refuse_unknown(const struct rest_request *q, const struct json *doc, struct why *why)
{
    static const char *const flags[] = {"user_approval", "notify", "network_serialised"};
    static const char *const keys[] = {
        "node_type",   "node_model",   "node_fw_version", "timeout", "network_serialisation",
        "secure_boot", "ota_image_url"};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (query_is_true(q, flags[i]))
            return why_set(why, ERR_BODY, "%s=true is not supported yet", flags[i]);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_get(doc, keys[i]) != NULL && member_text(doc, keys[i]) != NULL)
            return why_set(why, ERR_BODY, "%s is not supported yet", keys[i]);
    return ERR_NONE;
}

static enum err read_order(const struct rest_request *q, const struct json *doc, struct job_order *o, char **metadata,
                           struct why *why)
{
    int64_t priority = 0;
    const struct json *given = json_get(doc, "priority");
    *o = (struct job_order){
        .name = member_text(doc, "ota_job_name"),
        .image_id = member_text(doc, "ota_image_id"),
        .description = member_text(doc, "description"),
        .owner = q->user.name,
        .is_force_push = query_is_true(q, "force_push"),
        .is_continuous = query_is_true(q, "continuous"),
    };
    if (given != NULL && (!json_int(given, &priority) || priority < 1 || priority > 10))
        return why_set(why, ERR_JOB_PRIORITY, "priority must be a number from 1 to 10");
    o->priority = (int)priority;
    const struct json *meta = json_get(doc, "metadata");
    if (meta != NULL && !json_is_object(meta))
        return why_set(why, ERR_BODY, "metadata must be a JSON object");
    if (meta != NULL && (*metadata = json_dup_text(meta)) == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    o->metadata = *metadata;
    enum err err = refuse_unknown(q, doc, why);
    if (err == ERR_NONE)
        err = take_nodes(json_get(doc, "nodes"), o, why);
    return err ? err : take_groups(json_get(doc, "groups"), o, why);
}

HANDLER(post_job)
{
    struct json *doc;
    struct job_order order;
    struct job job;
    char *metadata = NULL;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_order(q, doc, &order, &metadata, why);
    if (err == ERR_NONE)
        err = fleet_job_start(rest->fleet, &order, q->now, &job, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "ota_job_id", job.id);
        json_out_end_object(&out);
    }
    free(metadata);
    json_free(doc);
    return err;
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

/* --- progress --------------------------------------------------------------------------------- */

static void write_execution(struct json_out *out, const struct execution *e)
{
    json_out_object(out, NULL);
    json_out_text(out, "node_id", e->node_id);
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

static const char *wanted_job(const struct rest_request *q, struct why *why, enum err *err)
{
    const char *id = query(q, "ota_job_id");
    *err = id ? ERR_NONE : why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    return id;
}

HANDLER(get_job_status)
{
    static const unsigned most = PAGE_MAX;
    enum err err;
    int64_t max;
    unsigned count = 0;
    const char *job_id = wanted_job(q, why, &err), *node_id = query(q, "node_id");
    if (err != ERR_NONE || (err = query_int(q, "num_records", 1, most, most, &max, why)) != ERR_NONE)
        return err;
    if (query_is_true(q, "summary"))
        return get_job_summary(rest, q, p, why);
    struct execution *page = calloc(most, sizeof *page);
    if (page == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (node_id != NULL) {
        err = fleet_execution(rest->fleet, job_id, node_id, page, why);
        count = 1;
    } else
        err = fleet_job_executions(rest->fleet, job_id, query(q, "start_id") ? query(q, "start_id") : "", page,
                                   (unsigned)max, &count, why);
    if (err == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_array(&out, "node_ota_status");
        for (unsigned i = 0; i < count; i++)
            write_execution(&out, &page[i]);
        json_out_end_array(&out);
        if (node_id == NULL && count == max)
            json_out_text(&out, "next_id", page[count - 1].node_id);
        json_out_end_object(&out);
    }
    free(page);
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
