/* What a node's user sees and decides of updates (C.5). */
#include "rest/inner.h"

#include "base/text.h"
#include "wire/stream.h"

#include <string.h>

HANDLER(get_approval)
{
    struct job job;
    struct image image;
    const char *node_id = query_node(q);
    enum err err = users_node(rest, q, node_id, why);
    if (err == ERR_NONE)
        err = fleet_approval_get(rest->fleet, node_id, q->now, &job, &image, why);
    if (err != ERR_NONE && err != ERR_NO_JOB)
        return err;
    /* The phone apps refuse an answer without these two. */
    struct json_out out = answer_success(p);
    json_out_bool(&out, "ota_available", err == ERR_NONE);
    json_out_text(&out, "description", err == ERR_NONE ? job.description : "There is no update for this node");
    if (err == ERR_NONE) {
        json_out_text(&out, "fw_version", image.fw_version);
        json_out_text(&out, "ota_job_id", job.id);
        json_out_int(&out, "file_size", image.size_bytes);
    }
    if (err == ERR_NONE && job.gives_image) {
        char url[JOB_URL_SIZE];
        rest_image_url(rest, &image, q->now, url, sizeof url);
        json_out_text(&out, "url", url);
        json_out_text(&out, "file_md5", image.md5);
        if (strlen(node_id) + strlen(job.id) <= STREAM_IDS_MAX && image.size_bytes <= STREAM_FILE_MAX)
            json_out_text(&out, "stream_id", job.id);
        if (job.metadata[0])
            json_out_raw(&out, "metadata", job.metadata);
    }
    json_out_end_object(&out);
    return ERR_NONE;
}

/* The same refusal has another number on each path. */
static enum err check_user(struct rest *rest, const struct rest_request *q, const char *node_id, enum err refusal,
                           struct why *why)
{
    enum err err = users_node(rest, q, node_id, why);
    return err == ERR_NOT_THE_USERS ? refusal : err;
}

HANDLER(post_approval)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *job_id = member_text(doc, "ota_job_id"), *node_id = member_text(doc, "node_id");
    if (job_id == NULL)
        err = why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    if (err == ERR_NONE)
        err = check_user(rest, q, node_id, ERR_NO_MAPPING, why);
    if (err == ERR_NONE)
        err = fleet_approve(rest->fleet, node_id, job_id, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "The update was sent to the node");
    json_free(doc);
    return err;
}

HANDLER(get_user_status)
{
    struct execution e;
    const char *node_id = query_node(q), *job_id = query(q, "ota_job_id");
    enum err err = job_id ? check_user(rest, q, node_id, ERR_STATUS_NOT_THE_USERS, why)
                          : why_set(why, ERR_JOB_ID, "ota_job_id is missing");
    if (err == ERR_NONE)
        err = fleet_execution(rest->fleet, job_id, node_id, q->now, &e, why);
    if (err == ERR_NONE && e.state == EX_TRIGGERED)
        err = why_set(why, ERR_NO_STATUS, "node %.64s has said nothing of the job yet", node_id);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer(p);
    json_out_text(&out, "node_id", e.node_id);
    json_out_text(&out, "status", execution_state_word(e.state));
    json_out_text(&out, "additional_info", e.info);
    /* A number of milliseconds: the only value that suits both phone apps. */
    json_out_int(&out, "timestamp", e.node_ts ? e.node_ts * 1000 : e.updated_at);
    json_out_text(&out, "ts_source", e.node_ts ? "NODE" : "CLOUD");
    json_out_int(&out, "invalid_node_ts", e.invalid_node_ts);
    json_out_end_object(&out);
    return ERR_NONE;
}
