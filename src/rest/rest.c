#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct rest_route routes[] = {
    {"GET", "/apiversions", REST_OPEN, REST_NO_BODY, get_api_versions},
    {"GET", "/v1/apiversions", REST_OPEN, REST_NO_BODY, get_api_versions},
    {"GET", "/mqtt_host", REST_OPEN, REST_NO_BODY, get_mqtt_host},
    {"GET", "/v1/mqtt_host", REST_OPEN, REST_NO_BODY, get_mqtt_host},
    {"GET", "/healthz", REST_OPEN, REST_NO_BODY, get_health},
    {"POST", "/v1/login2", REST_OPEN, REST_BODY_MEMORY, post_login},
    {"POST", "/v1/logout2", REST_TOKEN, REST_BODY_MEMORY, post_logout},
    {"GET", "/v1/user", REST_TOKEN, REST_NO_BODY, get_user},
    {"GET", "/v1/admin/otaimage", REST_TOKEN, REST_NO_BODY, get_images},
    {"POST", "/v1/admin/otaimage", REST_TOKEN, REST_BODY_BASE64, post_image},
    {"PUT", "/v1/admin/otaimage", REST_TOKEN, REST_BODY_MEMORY, put_image},
    {"DELETE", "/v1/admin/otaimage", REST_TOKEN, REST_NO_BODY, delete_image},
    {"GET", "/v1/admin/otaimage/upload_request", REST_TOKEN, REST_NO_BODY, get_image_upload},
    {"POST", "/v1/admin/otaimage/upload_confirm", REST_TOKEN, REST_BODY_MEMORY, post_image_confirm},
    {"PUT", "/v1/uploads/*", REST_SIGNED_URL, REST_BODY_FILE, put_image_bytes},
    {"GET", "/v1/files/*", REST_SIGNED_URL, REST_NO_BODY, get_image_bytes},
    {"HEAD", "/v1/files/*", REST_SIGNED_URL, REST_NO_BODY, get_image_bytes},
    {"GET", "/v1/admin/otajob", REST_TOKEN, REST_NO_BODY, get_jobs},
    {"POST", "/v1/admin/otajob", REST_TOKEN, REST_BODY_MEMORY, post_job},
    {"PUT", "/v1/admin/otajob", REST_TOKEN, REST_BODY_MEMORY, put_job},
    {"POST", "/v1/admin/otajob/retrigger", REST_TOKEN, REST_BODY_MEMORY, post_job_retrigger},
    {"GET", "/v1/admin/otajob/status", REST_TOKEN, REST_NO_BODY, get_job_status},
    {"GET", "/v1/admin/otajob/status/summary", REST_TOKEN, REST_NO_BODY, get_job_summary},
    {"GET", "/v1/admin/otajob/timeline", REST_TOKEN, REST_NO_BODY, get_timeline},
    {"POST", "/v1/admin/otajob/audience", REST_TOKEN, REST_BODY_MEMORY, post_job_audience},
    {"POST", "/v1/admin/otajob/plan", REST_TOKEN, REST_BODY_MEMORY, post_job_plan},
    {"POST", "/v1/admin/otajob/pause", REST_TOKEN, REST_BODY_MEMORY, post_job_verb},
    {"POST", "/v1/admin/otajob/resume", REST_TOKEN, REST_BODY_MEMORY, post_job_verb},
    {"POST", "/v1/admin/otajob/edit", REST_TOKEN, REST_BODY_MEMORY, post_job_verb},
    {"POST", "/v1/admin/otajob/exclude", REST_TOKEN, REST_BODY_MEMORY, post_job_verb},
    {"POST", "/v1/admin/otajob/retry", REST_TOKEN, REST_BODY_MEMORY, post_job_verb},
    {"GET", "/v1/admin/otajob/why", REST_TOKEN, REST_NO_BODY, get_job_why},
    {"GET", "/v1/admin/otajob/clusters", REST_TOKEN, REST_NO_BODY, get_job_clusters},
    {"GET", "/v1/admin/node_group", REST_TOKEN, REST_NO_BODY, get_groups},
    {"POST", "/v1/admin/node_group", REST_TOKEN, REST_BODY_MEMORY, post_group},
    {"PUT", "/v1/admin/node_group", REST_TOKEN, REST_BODY_MEMORY, put_group},
    {"DELETE", "/v1/admin/node_group", REST_TOKEN, REST_NO_BODY, delete_group},
    {"GET", "/v1/user/nodes/ota_update", REST_TOKEN, REST_NO_BODY, get_approval},
    {"POST", "/v1/user/nodes/ota_update", REST_TOKEN, REST_BODY_MEMORY, post_approval},
    {"GET", "/v1/user/nodes/ota_status", REST_TOKEN, REST_NO_BODY, get_user_status},
    {"GET", "/v1/admin/nodes", REST_TOKEN, REST_NO_BODY, get_nodes},
    {"POST", "/v1/admin/nodes", REST_TOKEN, REST_BODY_MEMORY, post_node},
    {"PUT", "/v1/admin/nodes", REST_TOKEN, REST_BODY_MEMORY, put_node},
    {"DELETE", "/v1/admin/nodes", REST_TOKEN, REST_BODY_MEMORY, put_node},
    {"POST", "/v1/admin/simulators", REST_TOKEN, REST_BODY_MEMORY, post_simulator},
    {"GET", "/v1/admin/events", REST_TOKEN, REST_NO_BODY, get_events},
    {"GET", "/v1/node/otafetch", REST_NODE_CERT, REST_NO_BODY, get_node_fetch},
    {"POST", "/v1/node/otastatus", REST_NODE_CERT, REST_BODY_MEMORY, post_node_status},
    {"PUT", "/v1/node/config", REST_NODE_CERT, REST_BODY_MEMORY, put_node_config},
};

const struct rest_route *rest_routes(size_t *count)
{
    *count = sizeof routes / sizeof routes[0];
    return routes;
}

void rest_response_init(struct rest_response *p)
{
    *p = (struct rest_response){.status = 200, .type = "application/json", .file_fd = -1};
}

void rest_response_deinit(struct rest_response *p)
{
    buf_deinit(&p->body);
    if (p->file_fd >= 0)
        close(p->file_fd);
    p->file_fd = -1;
}

void rest_fail(struct rest_response *p, enum err err, const struct why *why)
{
    rest_response_deinit(p);
    rest_response_init(p);
    p->status = err_http_status(err);
    struct json_out out = answer(p);
    if (err == ERR_UNAUTHORIZED) {
        json_out_text(&out, "message", "Unauthorized"); /* what the original's gateway says, and clients look for */
        json_out_text(&out, "description", why_text(why, err));
    } else {
        json_out_text(&out, "status", "failure");
        json_out_int(&out, "error_code", err_rainmaker_code(err));
        json_out_text(&out, "description", why_text(why, err));
    }
    json_out_end_object(&out);
}

struct json_out answer(struct rest_response *p)
{
    struct json_out out;
    json_out_init(&out, &p->body);
    json_out_object(&out, NULL);
    return out;
}

struct json_out answer_success(struct rest_response *p)
{
    struct json_out out = answer(p);
    json_out_text(&out, "status", "success");
    return out;
}

void answer_done(struct rest_response *p, const char *description)
{
    struct json_out out = answer_success(p);
    json_out_text(&out, "description", description);
    json_out_end_object(&out);
}

const char *query(const struct rest_request *q, const char *name)
{
    const char *value = q->query(q, name);
    return value && *value ? value : NULL;
}

bool query_is_true(const struct rest_request *q, const char *name)
{
    const char *value = query(q, name);
    return value != NULL && strcmp(value, "true") == 0;
}

enum err query_int(const struct rest_request *q, const char *name, int64_t least, int64_t most, int64_t otherwise,
                   int64_t *to, struct why *why)
{
    const char *value = query(q, name);
    char *end;
    *to = otherwise;
    if (value == NULL)
        return ERR_NONE;
    *to = strtoll(value, &end, 10);
    if (*end != '\0' || *to < least || *to > most)
        return why_set(why, ERR_BODY, "%s must be a number from %" PRId64 " to %" PRId64 ", not \"%.40s\"", name, least,
                       most, value);
    return ERR_NONE;
}

enum err body_object(const struct rest_request *q, struct json **doc, struct why *why)
{
    if (json_parse(q->body, doc, why) != ERR_NONE)
        return why_add(why, ERR_BODY, "request body");
    if (json_is_object(*doc))
        return ERR_NONE;
    json_free(*doc);
    return why_set(why, ERR_BODY, "request body is no JSON object");
}

const char *member_text(const struct json *doc, const char *key)
{
    const char *text = json_text(json_get(doc, key));
    return text && *text ? text : NULL;
}

/* --- routing ---------------------------------------------------------------------------------- */

static bool path_fits(const char *pattern, const char *path, char parameter[static 80])
{
    size_t len = strlen(pattern);
    if (pattern[len - 1] != '*')
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, len - 1) != 0 || strchr(path + len - 1, '/') != NULL || path[len - 1] == '\0')
        return false;
    return text_copy(parameter, 80, path + len - 1);
}

/* Nodes' paths are served to nodes alone, everything else to people alone. */
static bool listener_fits(const struct rest_route *route, const struct rest_request *q)
{
    return (route->auth == REST_NODE_CERT) == (q->listener == REST_NODES);
}

static enum err authorise(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct why *why)
{
    char user_id[ID_LEN + 1];
    const char *token = q->header(q, "Authorization");
    switch (route->auth) {
    case REST_OPEN:
        return ERR_NONE;
    case REST_SIGNED_URL:
        return url_check(rest->keys, strcmp(q->method, "HEAD") == 0 ? "GET" : q->method, q->path, query(q, "e"),
                         query(q, "s"), q->now, why);
    case REST_NODE_CERT:
        return q->node_id ? ERR_NONE : why_set(why, ERR_UNAUTHORIZED, "a node's client certificate is needed");
    case REST_TOKEN:
        break;
    }
    if (token == NULL)
        return why_set(why, ERR_UNAUTHORIZED, "the header Authorization with an access token is missing");
    if (strncmp(token, "Bearer ", 7) == 0) /* RainMaker's clients send it raw; everybody else is used to this */
        token += 7;
    enum err err = token_check(rest->keys, token, q->now, user_id, why);
    if (err != ERR_NONE)
        return err;
    err = fleet_user_get_id(rest->fleet, user_id, &q->user, why);
    return err == ERR_NOT_FOUND ? why_set(why, ERR_UNAUTHORIZED, "the token's user does not exist any more") : err;
}

static const struct web_page *find_page(const struct rest *rest, const char *path)
{
    for (const struct web_page *w = rest->pages; w != NULL && w->path != NULL; w++)
        if (strcmp(w->path, path) == 0)
            return w;
    return NULL;
}

static bool serve_page(struct rest *rest, const struct rest_request *q, struct rest_response *p)
{
    bool is_read = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    const struct web_page *page = q->listener != REST_NODES && is_read ? find_page(rest, q->path) : NULL;
    if (page == NULL)
        return false;
    p->type = page->type;
    p->page = bytes_of(page->at, (size_t)(page->end - page->at));
    p->cache = "no-cache";
    return true;
}

const struct rest_route *rest_find(struct rest *rest, struct rest_request *q, struct rest_response *p)
{
    struct why why = {{0}};
    bool is_path_known = false;
    rest_response_init(p);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct rest_route *route = &routes[i];
        if (!path_fits(route->path, q->path, q->parameter) || !listener_fits(route, q))
            continue;
        is_path_known = true;
        if (strcmp(route->method, q->method) != 0)
            continue;
        enum err err = authorise(rest, route, q, &why);
        if (err == ERR_NONE)
            return route;
        rest_fail(p, err, &why);
        return NULL;
    }
    if (!is_path_known && serve_page(rest, q, p))
        return NULL;
    enum err err = is_path_known ? why_set(&why, ERR_METHOD, "%s does not take %s", q->path, q->method)
                                 : why_set(&why, ERR_NOT_FOUND, "there is nothing at %.120s", q->path);
    rest_fail(p, err, &why);
    return NULL;
}

int64_t rest_body_max(const struct rest_route *route)
{
    static const int64_t limits[] = {[REST_NO_BODY] = 0,
                                     [REST_BODY_MEMORY] = REST_BODY_MAX,
                                     [REST_BODY_BASE64] = REST_BASE64_MAX,
                                     [REST_BODY_FILE] = REST_UPLOAD_MAX};
    return limits[route->body];
}

void rest_handle(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct rest_response *p)
{
    struct why why = {{0}};
    rest_response_init(p);
    enum err err = route->handle(rest, q, p, &why);
    if (err == ERR_NONE && p->body.is_failed)
        err = why_set(&why, ERR_NO_MEMORY, "no memory for the answer");
    if (err != ERR_NONE) {
        log_line(rest->log, err_http_status(err) >= 500 ? LOG_ERROR : LOG_INFO, "rest", "%s %s -> %d %s", q->method,
                 q->path, err_http_status(err), why_text(&why, err));
        rest_fail(p, err, &why);
    }
}

/* --- small ones ------------------------------------------------------------------------------- */

HANDLER(get_api_versions)
{
    (void)rest, (void)q, (void)why;
    struct json_out out = answer(p);
    json_out_array(&out, "supported_versions");
    json_out_text(&out, NULL, "v1");
    json_out_end_array(&out);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(get_mqtt_host)
{
    (void)q, (void)why;
    struct json_out out = answer(p);
    json_out_text(&out, "mqtt_host", rest->mqtt_host);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(get_health)
{
    (void)q;
    int64_t last;
    enum err err = fleet_event_last(rest->fleet, &last, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "version", rest->version);
    json_out_end_object(&out);
    return ERR_NONE;
}
