/* inner.h - what the handlers of REST share. */
#ifndef PLUVIO_REST_INNER_H
#define PLUVIO_REST_INNER_H

#include "codec/json.h"
#include "crypto/password.h"
#include "rest/rest.h"

#define HANDLER(name) enum err name(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why)

HANDLER(get_api_versions);
HANDLER(get_mqtt_host);
HANDLER(get_health);
HANDLER(get_ready);
HANDLER(get_metrics);
HANDLER(get_overview);
HANDLER(get_settings);
HANDLER(get_job_course);
HANDLER(post_login);
HANDLER(get_oidc);
HANDLER(get_oidc_login);
HANDLER(get_oidc_callback);
HANDLER(post_user);
HANDLER(put_forgotten);
HANDLER(post_logout);
HANDLER(get_user);
HANDLER(put_user);
HANDLER(delete_user);
HANDLER(get_tokens);
HANDLER(post_token);
HANDLER(delete_token);
HANDLER(get_user_nodes);
HANDLER(put_user_node);
HANDLER(get_user_node_config);
HANDLER(get_user_node_status);
HANDLER(get_user_node_params);
HANDLER(put_user_node_params);
HANDLER(put_mapping);
HANDLER(get_mapping);
HANDLER(post_mapping_initiate);
HANDLER(post_mapping_verify);
HANDLER(get_approval);
HANDLER(post_approval);
HANDLER(get_user_status);
HANDLER(post_user_image);
HANDLER(get_groups);
HANDLER(post_group);
HANDLER(put_group);
HANDLER(delete_group);
HANDLER(get_automations);
HANDLER(post_automation);
HANDLER(put_automation);
HANDLER(delete_automation);
HANDLER(get_sharing);
HANDLER(put_sharing);
HANDLER(delete_sharing);
HANDLER(get_sharing_requests);
HANDLER(put_sharing_request);
HANDLER(delete_sharing_request);
HANDLER(post_command);
HANDLER(get_command);
HANDLER(post_claim_initiate);
HANDLER(post_claim_verify);
HANDLER(get_deployment);
HANDLER(post_node_ids);
HANDLER(get_node_ids);
HANDLER(get_registration);
HANDLER(post_registration);
HANDLER(put_registration_file);
HANDLER(get_node_ids_file);
HANDLER(get_images);
HANDLER(post_image);
HANDLER(put_image);
HANDLER(delete_image);
HANDLER(get_image_upload);
HANDLER(post_image_confirm);
HANDLER(get_package_upload);
HANDLER(post_package);
HANDLER(put_upload);
HANDLER(patch_upload);
HANDLER(head_upload);
HANDLER(get_bytes);
HANDLER(get_file_upload);
HANDLER(post_file_confirm);
HANDLER(get_files);
HANDLER(delete_file);
HANDLER(get_signed_images);
HANDLER(get_signing_keys);
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
HANDLER(get_nodes);
HANDLER(post_node);
HANDLER(put_node);
HANDLER(delete_node);
HANDLER(get_simulators);
HANDLER(post_simulator);
HANDLER(delete_simulator);
HANDLER(get_webhooks);
HANDLER(post_webhook);
HANDLER(put_webhook);
HANDLER(delete_webhook);
HANDLER(get_deliveries);
HANDLER(post_replay);
HANDLER(post_key);
HANDLER(delete_key);
HANDLER(get_keys);
HANDLER(post_secure_sign);
HANDLER(get_secure_sign);
HANDLER(get_authorities);
HANDLER(post_authority);
HANDLER(delete_authority);
HANDLER(put_admin_mapping);
HANDLER(get_users);
HANDLER(post_admin_user);
HANDLER(put_admin_user);
HANDLER(delete_admin_user);
HANDLER(put_user_role);
HANDLER(get_organisations);
HANDLER(post_organisation);
HANDLER(delete_organisation);
HANDLER(get_audit);
HANDLER(get_audit_verify);
HANDLER(get_events);
HANDLER(get_node_fetch);
HANDLER(post_node_status);
HANDLER(put_node_config);
HANDLER(put_node_params);

#define API_TOKEN_PREFIX  "plv_"
#define TOKEN_DIGEST_SIZE 65

/* SHA-256 in hex: what is kept of a token. */
void token_digest(const char *token, char to[static TOKEN_DIGEST_SIZE]);
/* ERR_RATE when `who` asks too often; a limiter or a name that is NULL limits nobody. */
enum err ask_limit(struct limiter *limiter, const char *who, time_ms now, struct why *why);

/* Who came by the provider's sign-in, by the code that it ended with; once.  ERR_LOGIN. */
enum err oidc_code_user(struct rest *rest, const char *code, time_ms now, struct user *to, struct why *why);

/* Sets q->user by the header's token.  ERR_UNAUTHORIZED. */
enum err token_user(struct rest *rest, struct rest_request *q, struct why *why);

/* The rule for passwords, and the hash. */
enum err check_new_password(const char *password, struct why *why);
enum err hash_new_password(struct rest *rest, const char *password, char hash[static PASSWORD_HASH_SIZE],
                           struct why *why);

/* A signed URL of ours, for who asked.  Who came in by plain HTTP on loopback may not trust our authority: the URL
 * leads the way the request came. */
void request_url(const struct rest *rest, const struct rest_request *q, const char *method, const char *path,
                 int64_t life_s, char *to, size_t size);

/* What the thing that a request is about looks like, as its own GET shows it; nothing when there is none, or none yet.
 */
void audit_look(struct rest *rest, const struct rest_route *route, const struct rest_request *q, struct buf *to);

/* Adds to the audit log what was just done; `before` and `after`: what audit_look saw. */
enum err audit(struct rest *rest, const struct rest_route *route, const struct rest_request *q,
               const struct buf *before, const struct buf *after, struct why *why);

/* "node", "job": of an event_kind. */
extern const char *const event_kind_texts[];

/* The folder of the body's file holds announced uploads until they are confirmed; the HTTP layer clears old ones away.
 */
void upload_path(const struct rest_request *q, const char *id, char *to, size_t size);
enum err keep_upload(const struct rest_request *q, const char *id, struct why *why);

/* Reads a file as an image; the reasons of image_check_update. */
enum err verify_file(const char *path, struct image_facts *facts, struct why *why);

/* A verified file in the upload folder becomes an image: bytes first, then the row that names them.  `id` NULL: a new
 * one. */
enum err adopt_file(struct rest *rest, const char *path, const char *id, const struct image_upload *upload, time_ms now,
                    struct image *to, struct why *why);

/* An answer with the image's id and URL. */
void write_added(struct rest *rest, const struct image *image, time_ms now, struct rest_response *p);

#define PACKAGE_NAME_MAX 128
#define FILE_BOOTLOADER  "bootloader"

/* "<project>_<version>".  ERR_PACKAGE_NAME, ERR_PACKAGE_LONG_NAME. */
enum err check_package_name(const char *name, struct why *why);
/* Unpacks a zip: its firmware becomes the image, what else there is files of it. */
enum err adopt_package(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *path,
                       struct image *image, struct why *why);
/* A file in the upload folder becomes the announced file. */
enum err adopt_companion(struct rest *rest, const char *path, struct file *file, time_ms now, struct why *why);
void file_url(const struct rest *rest, const struct rest_request *q, const char *id, char *to, size_t size);
/* Bytes that no image and no file has any more go. */
void forget_bytes(struct rest *rest, const char *sha256);

/* md5_checksum of the query is kept until the bytes are there (ERR_IMAGE_MD5), and held against them (ERR_DIGEST). */
enum err announce_md5(struct rest *rest, const struct rest_request *q, const char *id, struct why *why);
enum err check_md5(struct rest *rest, const char *id, const struct image_facts *facts, struct why *why);
/* An answer with an id and the URL to upload to. */
void answer_upload(const struct rest *rest, const struct rest_request *q, struct rest_response *p, const char *id_name,
                   const char *id, const char *url_name);

/* For a job with ota_image_url: the bytes are fetched before the job's transaction begins. */
enum err fetch_job_image(struct rest *rest, const struct rest_request *q, struct why *why);

/* Signs an image with keys of the server, as a new one.  Codes 1360xx. */
#define SIGN_KEYS_MAX 3
enum err sign_image(struct rest *rest, const struct rest_request *q, const char *image_id, const char *const *names,
                    unsigned count, struct image *to, struct why *why);

/* With each key of the server, as an image for each. */
enum err sign_with_each(struct rest *rest, const struct rest_request *q, const char *image_id, char (*to)[ID_LEN + 1],
                        unsigned max, unsigned *count, struct why *why);

/* Query values; `query_int` gives `otherwise` when absent, ERR_BODY when it is no number in range. */
const char *query(const struct rest_request *q, const char *name);
bool query_is_true(const struct rest_request *q, const char *name);
enum err query_int(const struct rest_request *q, const char *name, int64_t least, int64_t most, int64_t otherwise,
                   int64_t *to, struct why *why);

/* The node that the query names, in either spelling; NULL when it names none. */
const char *query_node(const struct rest_request *q);

/* The node must be the user's; administrators may look after all.  ERR_NODE_ID for NULL, ERR_NOT_THE_USERS. */
enum err users_node(struct rest *rest, const struct rest_request *q, const char *node_id, struct why *why);

/* The body as JSON, and as a JSON object: ERR_BODY. */
enum err body_json(const struct rest_request *q, struct json **doc, struct why *why);
enum err body_object(const struct rest_request *q, struct json **doc, struct why *why);

/* "tags": of a node's lines of tags. */
void write_tags(struct json_out *out, const char *tags);
enum err change_tags(struct rest *rest, const char *node_id, const struct json *list, bool is_add, struct node *to,
                     struct why *why);

/* What a node needs to connect: certificate and key, whom to trust, and where. */
void write_credentials(struct json_out *out, const struct rest *rest, const char *node_id, const char *cert,
                       const char *key);

/* Keeps the public key of a node's certificate, by which the node can prove itself later. */
enum err remember_key(struct rest *rest, const char *node_id, const char *cert, struct why *why);

/* One node, as lists of nodes have it. */
void write_node(struct json_out *out, const char *key, const struct node *n);

/* A string member or NULL; with RainMaker's "" meaning absent. */
const char *member_text(const struct json *doc, const char *key);

/* Starts a JSON answer. */
struct json_out answer(struct rest_response *p);

/* {"status":"success", ...} is closed by the caller. */
struct json_out answer_success(struct rest_response *p);
void answer_done(struct rest_response *p, const char *description);

/* The query that limits the nodes that the user may see; "": none. */
const char *rest_scope(const struct rest_request *q);

/* What an organisation's people of that scope may see; false: everything, and `*to` is not set. */
bool rest_view_of(const struct rest *rest, const char *org, const char *scope, time_ms now, struct fleet_view *to);

#endif
