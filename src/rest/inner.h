/* inner.h - what the handlers of REST share. */
#ifndef PLUVIO_REST_INNER_H
#define PLUVIO_REST_INNER_H

#include "codec/json.h"
#include "rest/rest.h"

#define HANDLER(name) enum err name(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why)

HANDLER(get_api_versions);
HANDLER(get_mqtt_host);
HANDLER(get_health);
HANDLER(post_login);
HANDLER(post_logout);
HANDLER(get_user);
HANDLER(get_images);
HANDLER(post_image);
HANDLER(put_image);
HANDLER(delete_image);
HANDLER(get_image_upload);
HANDLER(put_image_bytes);
HANDLER(post_image_confirm);
HANDLER(get_image_bytes);
HANDLER(get_jobs);
HANDLER(post_job);
HANDLER(put_job);
HANDLER(post_job_retrigger);
HANDLER(get_job_status);
HANDLER(get_job_summary);
HANDLER(get_timeline);
HANDLER(post_job_audience);
HANDLER(post_job_plan);
HANDLER(post_job_verb);
HANDLER(get_job_why);
HANDLER(get_job_clusters);
HANDLER(get_groups);
HANDLER(post_group);
HANDLER(put_group);
HANDLER(delete_group);
HANDLER(get_approval);
HANDLER(post_approval);
HANDLER(get_user_status);
HANDLER(get_nodes);
HANDLER(put_node);
HANDLER(post_node);
HANDLER(post_simulator);
HANDLER(get_events);
HANDLER(get_node_fetch);
HANDLER(post_node_status);
HANDLER(put_node_config);

/* Query values; `query_int` gives `otherwise` when absent, ERR_BODY when it is no number in range. */
const char *query(const struct rest_request *q, const char *name);
bool query_is_true(const struct rest_request *q, const char *name);
enum err query_int(const struct rest_request *q, const char *name, int64_t least, int64_t most, int64_t otherwise,
                   int64_t *to, struct why *why);

/* The body as a JSON object: ERR_BODY. */
enum err body_object(const struct rest_request *q, struct json **doc, struct why *why);

/* One node, as lists of nodes have it. */
void write_node(struct json_out *out, const char *key, const struct node *n);

/* A string member or NULL; with RainMaker's "" meaning absent. */
const char *member_text(const struct json *doc, const char *key);

/* Starts a JSON answer. */
struct json_out answer(struct rest_response *p);

/* {"status":"success", ...} is closed by the caller. */
struct json_out answer_success(struct rest_response *p);
void answer_done(struct rest_response *p, const char *description);

#endif
