#include "rest/inner.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct rest_route routes[] = {
    {"GET", "/apiversions", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_api_versions, NULL, true},
    {"GET", "/v1/apiversions", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_api_versions, NULL, true},
    {"GET", "/mqtt_host", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_mqtt_host, NULL, true},
    {"GET", "/v1/mqtt_host", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_mqtt_host, NULL, true},
    {"GET", "/healthz", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_health, NULL, true},
    {"GET", "/readyz", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_ready, NULL, false},
    {"GET", "/metrics", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_metrics, NULL, false},
    {"POST", "/v1/login2", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_login, NULL, false},
    {"GET", "/v1/oidc", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_oidc, NULL, true},
    {"GET", "/v1/oidc/login", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_oidc_login, NULL, false},
    {"GET", "/v1/oidc/callback", REST_OPEN, RIGHT_SELF, REST_NO_BODY, get_oidc_callback, NULL, false},
    {"POST", "/v1/user2", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_user, NULL, false},
    {"PUT", "/v1/forgotpassword2", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, put_forgotten, NULL, false},
    {"POST", "/v1/logout2", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_logout, NULL, false},
    {"GET", "/v1/user", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user, NULL, true},
    {"GET", "/v1/user2", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user, NULL, true},
    {"PUT", "/v1/user2", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_user, "user.password", false},
    {"PUT", "/v1/password2", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_user, "user.password", false},
    {"DELETE", "/v1/user2", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_user, "user.delete", false},
    {"GET", "/v1/user/tokens", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_tokens, NULL, false},
    {"POST", "/v1/user/tokens", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_token, "token.add", false},
    {"DELETE", "/v1/user/tokens", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_token, "token.delete", false},
    {"GET", "/v1/user/nodes", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user_nodes, NULL, false},
    {"PUT", "/v1/user/nodes", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_user_node, "node.edit", false},
    {"DELETE", "/v1/user/nodes", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_user_node, "node.edit", false},
    {"GET", "/v1/user/nodes/config", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user_node_config, NULL, true},
    {"GET", "/v1/user/nodes/status", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user_node_status, NULL, true},
    {"GET", "/v1/user/nodes/params", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user_node_params, NULL, true},
    {"PUT", "/v1/user/nodes/params", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_user_node_params, "node.params",
     false},
    {"PUT", "/v1/user/nodes/mapping", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_mapping, "node.map", false},
    {"GET", "/v1/user/nodes/mapping", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_mapping, NULL, true},
    {"POST", "/v1/user/nodes/mapping/initiate", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_mapping_initiate, NULL,
     false},
    {"POST", "/v1/user/nodes/mapping/verify", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_mapping_verify, "node.map",
     false},
    {"GET", "/v1/user/nodes/ota_update", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_approval, NULL, false},
    {"POST", "/v1/user/nodes/ota_update", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_approval, "job.approve",
     false},
    {"GET", "/v1/user/nodes/ota_status", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_user_status, NULL, false},
    {"POST", "/v1/user/otaimage", REST_TOKEN, RIGHT_SELF, REST_BODY_BASE64, post_user_image, "image.upload", false},
    {"GET", "/v1/user/node_group", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_groups, NULL, false},
    {"POST", "/v1/user/node_group", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_group, "group.add", false},
    {"PUT", "/v1/user/node_group", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_group, "group.edit", false},
    {"DELETE", "/v1/user/node_group", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_group, "group.delete", false},
    {"GET", "/v1/user/nodes/sharing", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_sharing, NULL, false},
    {"PUT", "/v1/user/nodes/sharing", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_sharing, "node.share", false},
    {"DELETE", "/v1/user/nodes/sharing", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_sharing, "node.unshare", false},
    {"GET", "/v1/user/nodes/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_sharing_requests, NULL, false},
    {"PUT", "/v1/user/nodes/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_sharing_request,
     "node.share_answer", false},
    {"DELETE", "/v1/user/nodes/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_sharing_request,
     "node.share_cancel", false},
    {"GET", "/v1/user/node_group/sharing", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_sharing, NULL, false},
    {"PUT", "/v1/user/node_group/sharing", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_sharing, "group.share", false},
    {"DELETE", "/v1/user/node_group/sharing", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_sharing, "group.unshare",
     false},
    {"GET", "/v1/user/node_group/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_sharing_requests, NULL,
     false},
    {"PUT", "/v1/user/node_group/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_sharing_request,
     "group.share_answer", false},
    {"DELETE", "/v1/user/node_group/sharing/requests", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_sharing_request,
     "group.share_cancel", false},
    {"POST", "/v1/user/nodes/cmd", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_command, "node.command", false},
    {"GET", "/v1/user/nodes/cmd", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_command, NULL, false},
    {"GET", "/v1/user/node_automation", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, get_automations, NULL, false},
    {"POST", "/v1/user/node_automation", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, post_automation, "automation.add",
     false},
    {"PUT", "/v1/user/node_automation", REST_TOKEN, RIGHT_SELF, REST_BODY_MEMORY, put_automation, "automation.edit",
     false},
    {"DELETE", "/v1/user/node_automation", REST_TOKEN, RIGHT_SELF, REST_NO_BODY, delete_automation, "automation.delete",
     false},
    {"POST", "/claim/initiate", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_claim_initiate, NULL, false},
    {"POST", "/claim/verify", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_claim_verify, NULL, false},
    {"POST", "/v1/claim/initiate", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_claim_initiate, NULL, false},
    {"POST", "/v1/claim/verify", REST_OPEN, RIGHT_SELF, REST_BODY_MEMORY, post_claim_verify, NULL, false},
    {"GET", "/v1/admin/overview", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_overview, NULL, false},
    {"GET", "/v1/admin/settings", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_settings, NULL, true},
    {"GET", "/v1/admin/otajob/curve", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_job_course, NULL, false},
    {"GET", "/v1/admin/mqtt_host", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_mqtt_host, NULL, true},
    {"GET", "/v1/admin/rainmaker_deployment_details", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_deployment, NULL,
     false},
    {"POST", "/v1/admin/node_ids", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_node_ids, "node.ids", false},
    {"GET", "/v1/admin/node_ids", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_node_ids, NULL, false},
    {"GET", "/v1/admin/node_certificates/register", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_registration, NULL,
     false},
    {"POST", "/v1/admin/node_certificates/register", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_registration,
     "node.register", false},
    {"PUT", "/v1/registrations/*", REST_SIGNED_URL, RIGHT_SELF, REST_BODY_FILE, put_registration_file, NULL, false},
    {"GET", "/v1/node_ids/*", REST_SIGNED_URL, RIGHT_SELF, REST_NO_BODY, get_node_ids_file, NULL, false},
    {"GET", "/v1/admin/otaimage", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_images, NULL, false},
    {"POST", "/v1/admin/otaimage", REST_TOKEN, RIGHT_OPERATE, REST_BODY_BASE64, post_image, "image.upload", false},
    {"PUT", "/v1/admin/otaimage", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, put_image, "image.archive", false},
    {"DELETE", "/v1/admin/otaimage", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, delete_image, "image.delete", false},
    {"GET", "/v1/admin/otaimage/upload_request", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, get_image_upload, NULL,
     false},
    {"POST", "/v1/admin/otaimage/upload_confirm", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_image_confirm,
     "image.upload", false},
    {"PUT", "/v1/uploads/*", REST_SIGNED_URL, RIGHT_SELF, REST_BODY_FILE, put_upload, NULL, false},
    {"PATCH", "/v1/uploads/*", REST_SIGNED_URL, RIGHT_SELF, REST_BODY_FILE, patch_upload, NULL, false},
    {"HEAD", "/v1/uploads/*", REST_SIGNED_URL, RIGHT_SELF, REST_NO_BODY, head_upload, NULL, false},
    {"GET", "/v1/admin/otaimage/package/upload", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, get_package_upload, NULL,
     false},
    {"POST", "/v1/admin/otaimage/package", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_package, "image.upload",
     false},
    {"GET", "/v1/admin/file/upload_request", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, get_file_upload, NULL, false},
    {"POST", "/v1/admin/file/upload_confirm", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_file_confirm,
     "file.upload", false},
    {"GET", "/v1/admin/file", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_files, NULL, false},
    {"DELETE", "/v1/admin/file", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, delete_file, "file.delete", false},
    {"GET", "/v1/files/*", REST_SIGNED_URL, RIGHT_SELF, REST_NO_BODY, get_bytes, NULL, true},
    {"HEAD", "/v1/files/*", REST_SIGNED_URL, RIGHT_SELF, REST_NO_BODY, get_bytes, NULL, true},
    {"GET", "/v1/admin/otajob", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_jobs, NULL, false},
    {"POST", "/v1/admin/otajob", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job, "job.start", false},
    {"PUT", "/v1/admin/otajob", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, put_job, "job.cancel", false},
    {"POST", "/v1/admin/otajob/retrigger", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_retrigger,
     "job.retrigger", false},
    {"GET", "/v1/admin/otajob/status", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_job_status, NULL, false},
    {"GET", "/v1/admin/otajob/status/summary", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_job_summary, NULL, false},
    {"GET", "/v1/admin/otajob/timeline", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_timeline, NULL, false},
    {"POST", "/v1/admin/otajob/audience", REST_TOKEN, RIGHT_VIEW, REST_BODY_MEMORY, post_job_audience, NULL, false},
    {"POST", "/v1/admin/otajob/plan", REST_TOKEN, RIGHT_VIEW, REST_BODY_MEMORY, post_job_plan, NULL, false},
    {"POST", "/v1/admin/otajob/pause", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.pause", false},
    {"POST", "/v1/admin/otajob/resume", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.resume",
     false},
    {"POST", "/v1/admin/otajob/edit", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.edit", false},
    {"POST", "/v1/admin/otajob/exclude", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.exclude",
     false},
    {"POST", "/v1/admin/otajob/retry", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.retry", false},
    {"POST", "/v1/admin/otajob/approve", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_job_verb, "job.approve",
     false},
    {"GET", "/v1/admin/otajob/why", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_job_why, NULL, false},
    {"GET", "/v1/admin/otajob/clusters", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_job_clusters, NULL, false},
    {"GET", "/v1/admin/node_group", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_groups, NULL, false},
    {"POST", "/v1/admin/node_group", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_group, "group.add", false},
    {"PUT", "/v1/admin/node_group", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, put_group, "group.edit", false},
    {"DELETE", "/v1/admin/node_group", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, delete_group, "group.delete", false},
    {"GET", "/v1/admin/nodes", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_nodes, NULL, false},
    {"POST", "/v1/admin/nodes", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_node, "node.add", false},
    {"PUT", "/v1/admin/nodes", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, put_node, "node.edit", false},
    {"DELETE", "/v1/admin/nodes", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, put_node, "node.edit", false},
    {"DELETE", "/v1/admin/nodes/*", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_node, "node.delete", false},
    {"GET", "/v1/admin/simulators", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_simulators, NULL, false},
    {"DELETE", "/v1/admin/simulators", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_simulator, "simulator.delete",
     false},
    {"GET", "/v1/admin/key", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_keys, NULL, false},
    {"POST", "/v1/admin/key", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_key, "key.add", false},
    {"DELETE", "/v1/admin/key", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_key, "key.delete", false},
    {"GET", "/v1/admin/secure_sign", REST_TOKEN, RIGHT_OPERATE, REST_NO_BODY, get_secure_sign, NULL, false},
    {"POST", "/v1/admin/secure_sign", REST_TOKEN, RIGHT_OPERATE, REST_BODY_MEMORY, post_secure_sign, "image.sign",
     false},
    {"GET", "/v1/admin/secure_sign/signed_images", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_signed_images, NULL,
     false},
    {"GET", "/v1/admin/secure_sign/signing_keys", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_signing_keys, NULL, false},
    {"GET", "/v1/admin/webhooks", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_webhooks, NULL, false},
    {"POST", "/v1/admin/webhooks", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_webhook, "webhook.add", false},
    {"PUT", "/v1/admin/webhooks", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, put_webhook, "webhook.edit", false},
    {"DELETE", "/v1/admin/webhooks", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_webhook, "webhook.delete", false},
    {"GET", "/v1/admin/webhooks/deliveries", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_deliveries, NULL, false},
    {"POST", "/v1/admin/webhooks/replay", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_replay, "webhook.replay",
     false},
    {"GET", "/v1/admin/authorities", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_authorities, NULL, false},
    {"POST", "/v1/admin/authorities", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_authority, "authority.add",
     false},
    {"DELETE", "/v1/admin/authorities", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_authority, "authority.delete",
     false},
    {"POST", "/v1/admin/simulators", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_simulator, "simulator.add", false},
    {"PUT", "/v1/admin/users/*/nodes/*/mapping", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, put_admin_mapping, "node.map",
     false},
    {"DELETE", "/v1/admin/users/*/nodes/*/mapping", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, put_admin_mapping,
     "node.unmap", false},
    {"GET", "/v1/admin/users", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_users, NULL, false},
    {"POST", "/v1/admin/users", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, post_admin_user, "user.add", false},
    {"PUT", "/v1/admin/users", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, put_admin_user, "user.edit", false},
    {"DELETE", "/v1/admin/users", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, delete_admin_user, "user.delete", false},
    {"PUT", "/v1/admin/user_role", REST_TOKEN, RIGHT_ADMIN, REST_BODY_MEMORY, put_user_role, "user.role", false},
    {"GET", "/v1/admin/organisations", REST_TOKEN, RIGHT_SUPER, REST_NO_BODY, get_organisations, NULL, false},
    {"POST", "/v1/admin/organisations", REST_TOKEN, RIGHT_SUPER, REST_BODY_MEMORY, post_organisation,
     "organisation.add", false},
    {"DELETE", "/v1/admin/organisations", REST_TOKEN, RIGHT_SUPER, REST_NO_BODY, delete_organisation,
     "organisation.delete", false},
    {"GET", "/v1/admin/audit", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_audit, NULL, false},
    {"GET", "/v1/admin/audit/verify", REST_TOKEN, RIGHT_ADMIN, REST_NO_BODY, get_audit_verify, NULL, false},
    {"GET", "/v1/admin/events", REST_TOKEN, RIGHT_VIEW, REST_NO_BODY, get_events, NULL, false},
    {"GET", "/v1/node/otafetch", REST_NODE_CERT, RIGHT_SELF, REST_NO_BODY, get_node_fetch, NULL, false},
    {"POST", "/v1/node/otastatus", REST_NODE_CERT, RIGHT_SELF, REST_BODY_MEMORY, post_node_status, NULL, false},
    {"PUT", "/v1/node/config", REST_NODE_CERT, RIGHT_SELF, REST_BODY_MEMORY, put_node_config, NULL, false},
    {"PUT", "/v1/node/params/local", REST_NODE_CERT, RIGHT_SELF, REST_BODY_MEMORY, put_node_params, NULL, false},
    {"POST", "/v1/node/params/local", REST_NODE_CERT, RIGHT_SELF, REST_BODY_MEMORY, put_node_params, NULL, false},
};

const struct rest_route *rest_routes(size_t *count)
{
    *count = sizeof routes / sizeof routes[0];
    return routes;
}

void rest_response_init(struct rest_response *p)
{
    *p = (struct rest_response){.status = 200, .type = "application/json", .file_fd = -1, .upload_offset = -1};
}

void rest_response_deinit(struct rest_response *p)
{
    buf_deinit(&p->body);
    free(p->location);
    free(p->cookie);
    p->location = p->cookie = NULL;
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

enum err body_json(const struct rest_request *q, struct json **doc, struct why *why)
{
    if (!json_is_utf8(q->body))
        return why_set(why, ERR_BODY, "request body is not UTF-8");
    return json_parse(q->body, doc, why) == ERR_NONE ? ERR_NONE : why_add(why, ERR_BODY, "request body");
}

enum err body_object(const struct rest_request *q, struct json **doc, struct why *why)
{
    enum err err = body_json(q, doc, why);
    if (err != ERR_NONE)
        return err;
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

/* Segment by segment; "*" takes any that is not empty, and remembers it. */
static bool path_fits(const char *pattern, const char *path, struct rest_request *q)
{
    unsigned taken = 0;
    while (*pattern && *path) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t len = strcspn(path, "/");
        char *to = taken++ == 0 ? q->parameter : q->second_parameter;
        if (len == 0 || len >= sizeof q->parameter || taken > 2)
            return false;
        text_copy_field(to, sizeof q->parameter, path, len);
        path += len;
        pattern++;
    }
    return *pattern == '\0' && *path == '\0';
}

/* Nodes' paths are served to nodes alone, everything else to people alone. */
static bool listener_fits(const struct rest_route *route, const struct rest_request *q)
{
    return (route->auth == REST_NODE_CERT) == (q->listener == REST_NODES);
}

static enum err check_token(struct rest *rest, struct rest_request *q, const char *token, struct why *why)
{
    char digest[TOKEN_DIGEST_SIZE];
    struct token_holder holder;
    q->session[0] = '\0';
    if (strncmp(token, API_TOKEN_PREFIX, strlen(API_TOKEN_PREFIX)) == 0) {
        token_digest(token, digest);
        return fleet_api_token_user(rest->fleet, digest, q->now, &q->user, why);
    }
    enum err err = token_check(rest->keys, token, q->now, &holder, why);
    if (err != ERR_NONE)
        return err;
    text_copy(q->session, sizeof q->session, holder.session);
    err = fleet_token_user(rest->fleet, holder.session, q->now, &q->user, why);
    return err == ERR_REFRESH || err == ERR_NOT_FOUND
               ? why_set(why, ERR_UNAUTHORIZED, "the session is over: log in again")
               : err;
}

/* Who the header's token belongs to. */
enum err token_user(struct rest *rest, struct rest_request *q, struct why *why)
{
    const char *token = q->header(q, "Authorization");
    long long version = fleet_people_version(rest->fleet);
    if (token == NULL)
        return why_set(why, ERR_UNAUTHORIZED, "the header Authorization with an access token is missing");
    if (strncmp(token, "Bearer ", 7) == 0) /* RainMaker's clients send it raw; everybody else is used to this */
        token += 7;
    if (rest->known != NULL && known_find(rest->known, token, version, q->now, &q->user, q->session))
        return ERR_NONE;
    enum err err = check_token(rest, q, token, why);
    if (err == ERR_NONE && rest->known != NULL)
        known_add(rest->known, token, version, q->now, &q->user, q->session);
    return err;
}

enum err ask_limit(struct limiter *limiter, const char *who, time_ms now, struct why *why)
{
    int64_t wait_ms = 0;
    if (limiter == NULL || who == NULL || limiter_ask(limiter, who, now, &wait_ms))
        return ERR_NONE;
    return why_set(why, ERR_RATE, "too many requests: wait %lld ms", (long long)wait_ms);
}

static enum err check_node(struct rest *rest, const struct rest_request *q, struct why *why)
{
    struct node node;
    if (q->node_id == NULL)
        return why_set(why, ERR_UNAUTHORIZED, "a node's client certificate is needed");
    /* One that was never added is told so by what it asks. */
    bool is_out = fleet_node_get(rest->fleet, q->node_id, &node, NULL) == ERR_NONE && node.is_deactivated;
    return is_out ? why_set(why, ERR_UNAUTHORIZED, "node %s is deactivated", q->node_id) : ERR_NONE;
}

/* What concerns the whole server: brokers, certificates, everybody's events. */
static bool is_of_the_house(const struct rest_route *route)
{
    static const char *const paths[] = {"/metrics",
                                        "/v1/admin/authorities",
                                        "/v1/admin/webhooks",
                                        "/v1/admin/webhooks/deliveries",
                                        "/v1/admin/webhooks/replay",
                                        "/v1/admin/simulators",
                                        "/v1/admin/audit/verify",
                                        "/v1/admin/organisations"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (strcmp(paths[i], route->path) == 0)
            return true;
    return false;
}

/* A user acts in their own organisation; who may do everything in the house acts in the one that the header names. */
static enum err choose_org(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct why *why)
{
    struct organisation known;
    const char *named = q->header(q, "Pluvio-Organisation");
    text_copy(q->org, sizeof q->org, q->user.org);
    if (named != NULL && *named && strcmp(named, q->org) != 0 && route->right != RIGHT_SELF) {
        if (q->user.org[0] != '\0' || q->user.role != ROLE_SUPER)
            return why_set(why, ERR_FORBIDDEN, "%s does not act for other organisations", q->user.name);
        enum err err = fleet_org_get(rest->fleet, named, &known, why);
        if (err != ERR_NONE)
            return err;
        text_copy(q->org, sizeof q->org, named);
    }
    return q->org[0] == '\0' || !is_of_the_house(route)
               ? ERR_NONE
               : why_set(why, ERR_FORBIDDEN, "%s %s concerns the whole server, and is for its own people", q->method,
                         q->path);
}

const char *rest_scope(const struct rest_request *q)
{
    return q->user.role >= ROLE_ADMIN ? "" : q->user.scope;
}

bool rest_view_of(const struct rest *rest, const char *org, const char *scope, time_ms now, struct fleet_view *to)
{
    if (*org == '\0' && *scope == '\0' && !fleet_has_orgs(rest->fleet, now))
        return false;
    /* A scope was read when it was given; one that cannot be read now shows nothing. */
    if (fleet_view_init(to, org, scope, now, NULL) != ERR_NONE)
        to->scope.count = 0;
    return true;
}

bool rest_view(const struct rest *rest, const struct rest_request *q, struct fleet_view *to)
{
    /* End users see what is theirs, whoever made it. */
    return q->user.id[0] != '\0' && q->user.role != ROLE_USER && rest_view_of(rest, q->org, rest_scope(q), q->now, to);
}

/* They ask the provider. */
static bool is_sign_in(const struct rest_route *route)
{
    return route->handle == get_oidc_login || route->handle == get_oidc_callback;
}

/* A URL to upload to is one URL, whether the bytes come in one piece or in several. */
static const char *signed_method(const struct rest_request *q)
{
    bool is_upload = strncmp(q->path, "/v1/uploads/", 12) == 0;
    return is_upload ? "PUT" : strcmp(q->method, "HEAD") == 0 ? "GET" : q->method;
}

/* The one place where it is decided who may call what. */
static enum err authorise(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct why *why)
{
    enum err err;
    switch (route->auth) {
    case REST_OPEN:
        /* What is cheap to answer is free; passwords and codes are not.  Claims look themselves whose they are. */
        return (strcmp(q->method, "GET") == 0 && !is_sign_in(route)) || route->handle == post_claim_initiate ||
                       route->handle == post_claim_verify
                   ? ERR_NONE
                   : ask_limit(rest->strangers, q->address, q->now, why);
    case REST_SIGNED_URL:
        return url_check(rest->keys, signed_method(q), q->path, query(q, "e"), query(q, "s"), q->now, why);
    case REST_NODE_CERT:
        return check_node(rest, q, why);
    case REST_TOKEN:
        break;
    }
    if ((err = token_user(rest, q, why)) != ERR_NONE)
        return err;
    if (q->user.is_disabled)
        return why_set(why, ERR_UNAUTHORIZED, "the user %s is disabled", q->user.name);
    if ((err = choose_org(rest, route, q, why)) != ERR_NONE)
        return err;
    if ((err = ask_limit(rest->users, q->user.id, q->now, why)) != ERR_NONE)
        return err;
    return user_may(&q->user, route->right) ? ERR_NONE
                                            : why_set(why, ERR_FORBIDDEN, "%s %s is not for the role %s", q->method,
                                                      q->path, role_text(q->user.role));
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
    const char *takes = q->header(q, "Accept-Encoding"), *has = q->header(q, "If-None-Match");
    p->is_page_gzip = page->gzip_at != NULL && takes != NULL && strstr(takes, "gzip") != NULL;
    p->type = page->type;
    p->page = p->is_page_gzip ? bytes_of(page->gzip_at, (size_t)(page->gzip_end - page->gzip_at))
                              : bytes_of(page->at, (size_t)(page->end - page->at));
    p->cache = page->is_named_by_content ? "public, max-age=31536000, immutable" : "no-cache";
    snprintf(p->etag, sizeof p->etag, "\"%s%s\"", page->etag, p->is_page_gzip ? "-gzip" : "");
    if (has != NULL && strstr(has, p->etag) != NULL) {
        p->status = 304;
        p->page.len = 0;
    }
    return true;
}

const struct rest_route *rest_find(struct rest *rest, struct rest_request *q, struct rest_response *p)
{
    struct why why = {{0}};
    bool is_path_known = false;
    rest_response_init(p);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct rest_route *route = &routes[i];
        if (!path_fits(route->path, q->path, q) || !listener_fits(route, q))
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

/* What changes something and what the audit log says of it are one transaction.  Handlers that have transactions of
 * their own, or must count what failed, are remembered after they are done. */
static bool is_one_transaction(const struct rest_route *route)
{
    return route->handle != post_registration && route->handle != post_simulator && route->handle != delete_simulator &&
           route->handle != put_user && route->handle != post_key && route->handle != post_secure_sign &&
           route->handle != delete_user;
}

static enum err handle_audited(struct rest *rest, const struct rest_route *route, struct rest_request *q,
                               struct rest_response *p, struct why *why)
{
    struct fleet_batch batch;
    struct rest own = *rest;
    struct buf before = {0}, after = {0};
    enum err err = route->handle == post_job ? fetch_job_image(rest, q, why) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    if (!is_one_transaction(route)) {
        err = route->handle(rest, q, p, why);
        return err ? err : audit(rest, route, q, &before, &after, why);
    }
    if ((err = fleet_batch_begin(&batch, rest->fleet, why)) != ERR_NONE)
        return err;
    own.fleet = &batch.fleet;
    audit_look(&own, route, q, &before);
    err = route->handle(&own, q, p, why);
    if (err == ERR_NONE) {
        audit_look(&own, route, q, &after);
        err = audit(&own, route, q, &before, &after, why);
    }
    buf_deinit(&before);
    buf_deinit(&after);
    struct why ended = {{0}};
    batch.is_spoilt |= err != ERR_NONE;
    enum err end = fleet_batch_end(&batch, err ? &ended : why);
    return err ? err : end;
}

void rest_handle(struct rest *rest, const struct rest_route *route, struct rest_request *q, struct rest_response *p)
{
    struct why why = {{0}};
    struct fleet_view view;
    struct rest own = *rest;
    struct fleet seen = *rest->fleet;
    own.fleet = &seen;
    if (rest_view(rest, q, &view)) {
        seen.view = &view;
        rest = &own;
    }
    rest_response_init(p);
    enum err err = route->audit ? handle_audited(rest, route, q, p, &why) : route->handle(rest, q, p, &why);
    if (err == ERR_NONE && p->body.is_failed)
        err = why_set(&why, ERR_NO_MEMORY, "no memory for the answer");
    if (err == ERR_NONE && q->is_gate_changed && rest->gate != NULL)
        rest->gate->changed(rest->gate);
    if (err != ERR_NONE) {
        int status = err_http_status(err); /* 503: something else is away for a while, and told by itself */
        log_line(rest->log,
                 status == 503   ? LOG_WARN
                 : status >= 500 ? LOG_ERROR
                                 : LOG_INFO,
                 "rest", "%s %s -> %d %s", q->method, q->path, status, why_text(&why, err));
        rest_fail(p, err, &why);
    }
    if (rest->counts != NULL)
        atomic_fetch_add(&rest->counts->by_class[p->status / 100 % 6], 1);
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
    json_out_text(&out, "mqtt_host", rest_mqtt_host(rest, NULL));
    /* Nothing here gives out credentials for video; the makers' command line wants a name all the same (B.2). */
    json_out_text(&out, "mqtt_cred_host", rest_mqtt_host(rest, NULL));
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

const char *rest_mqtt_host(const struct rest *rest, const char *node_id)
{
    char text[NODE_ID_SIZE + 300];
    unsigned best = 0;
    uint64_t most = 0;
    for (unsigned i = 0; node_id != NULL && i < rest->mqtt_host_count; i++) {
        snprintf(text, sizeof text, "%s@%s", node_id, rest->mqtt_hosts[i]);
        uint64_t weight = text_hash(text);
        if (weight > most) {
            most = weight;
            best = i;
        }
    }
    return rest->mqtt_hosts[best];
}
