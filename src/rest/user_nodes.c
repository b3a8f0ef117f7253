/* A user's nodes: lists, what they told, parameters, tags, metadata, and whose they are (A.5). */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OWN_PAGE        25
#define PARAMS_NODES    25 /* nodes in one request, as RainMaker's */
#define CHALLENGE_MAX   3600
#define CHALLENGE_S     300
#define SIGNATURE_MAX   512
#define OBJECT_OR(text) ((text) ? (text) : "{}")

const char *query_node(const struct rest_request *q)
{
    return query(q, "node_id") ? query(q, "node_id") : query(q, "nodeid"); /* the command line's spelling */
}

enum err users_node(struct rest *rest, const struct rest_request *q, const char *node_id, struct why *why)
{
    if (node_id == NULL)
        return why_set(why, ERR_NODE_ID, "node_id is missing");
    return user_may(&q->user, RIGHT_OPERATE) ? ERR_NONE : fleet_user_has_node(rest->fleet, q->user.id, node_id, why);
}

/* --- lists ------------------------------------------------------------------------------------ */

static void write_connectivity(struct json_out *out, const char *key, const struct node *n)
{
    json_out_object(out, key);
    json_out_object(out, "connectivity");
    json_out_bool(out, "connected", n->is_online);
    json_out_int(out, "timestamp", n->presence_at);
    json_out_end_object(out);
    json_out_end_object(out);
}

static void write_raw(struct json_out *out, const char *key, char *text)
{
    json_out_raw(out, key, OBJECT_OR(text));
    free(text);
}

static enum err write_details(struct rest *rest, struct json_out *out, const struct own_node *own, struct why *why)
{
    struct node node;
    char *config = NULL, *params = NULL, *metadata = NULL;
    enum err err = fleet_node_get(rest->fleet, own->node_id, &node, why);
    if (err == ERR_NONE)
        err = fleet_node_config(rest->fleet, own->node_id, &config, why);
    if (err == ERR_NONE)
        err = fleet_node_params(rest->fleet, own->node_id, &params, why);
    if (err == ERR_NONE)
        err = fleet_node_metadata(rest->fleet, own->node_id, &metadata, why);
    json_out_object(out, NULL);
    json_out_text(out, "id", own->node_id);
    json_out_text(out, "role", own->is_primary ? "primary" : "secondary");
    json_out_bool(out, "primary", own->is_primary);
    json_out_bool(out, "is_matter", false);
    json_out_text(out, "node_type", "rainmaker");
    json_out_int(out, "mapping_timestamp", own->mapped_at / 1000);
    if (err == ERR_NONE) {
        write_connectivity(out, "status", &node);
        write_tags(out, node.tags);
    }
    write_raw(out, "config", config);
    write_raw(out, "params", params);
    write_raw(out, "metadata", metadata);
    json_out_end_object(out);
    return err;
}

static enum err write_own_nodes(struct rest *rest, struct rest_request *q, struct rest_response *p,
                                const struct own_node *own, unsigned count, bool has_more, struct why *why)
{
    struct json_out out = answer(p);
    enum err err = ERR_NONE;
    json_out_array(&out, "nodes");
    for (unsigned i = 0; i < count; i++)
        json_out_text(&out, NULL, own[i].node_id);
    json_out_end_array(&out);
    if (query_is_true(q, "node_details")) {
        json_out_array(&out, "node_details");
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            err = write_details(rest, &out, &own[i], why);
        json_out_end_array(&out);
    }
    /* Plain ids: the command line puts it into its next URL as it is. */
    if (has_more)
        json_out_text(&out, "next_id", own[count - 1].node_id);
    json_out_int(&out, "total", count);
    json_out_end_object(&out);
    return err;
}

HANDLER(get_user_nodes)
{
    struct own_node page[OWN_PAGE];
    const char *id = query_node(q), *after = query(q, "start_id");
    unsigned count = 1;
    int64_t max;
    enum err err = query_int(q, "num_records", 1, OWN_PAGE, OWN_PAGE, &max, why);
    if (err == ERR_NONE && id != NULL) {
        err = fleet_user_node_get(rest->fleet, q->user.id, id, &page[0], why);
        if (err == ERR_NOT_THE_USERS && users_node(rest, q, id, why) == ERR_NONE) { /* who may look after all */
            struct node node;
            err = fleet_node_get(rest->fleet, id, &node, why);
            page[0] = (struct own_node){.is_primary = false};
            text_copy(page[0].node_id, sizeof page[0].node_id, id);
        }
    } else if (err == ERR_NONE)
        err = fleet_user_nodes(rest->fleet, q->user.id, after ? after : "", page, (unsigned)max, &count, why);
    bool has_more = id == NULL && count == (unsigned)max;
    return err ? err : write_own_nodes(rest, q, p, page, count, has_more, why);
}

/* --- one node --------------------------------------------------------------------------------- */

HANDLER(get_user_node_config)
{
    char *config = NULL;
    struct json_out out;
    enum err err = users_node(rest, q, query_node(q), why);
    if (err == ERR_NONE)
        err = fleet_node_config(rest->fleet, query_node(q), &config, why);
    if (err == ERR_NONE && config == NULL)
        err = why_set(why, ERR_NO_STATUS, "the node has not told its configuration yet");
    json_out_init(&out, &p->body);
    if (err == ERR_NONE)
        json_out_raw(&out, NULL, config);
    free(config);
    return err;
}

HANDLER(get_user_node_status)
{
    struct node node;
    struct json_out out;
    enum err err = users_node(rest, q, query_node(q), why);
    if (err == ERR_NONE)
        err = fleet_node_get(rest->fleet, query_node(q), &node, why);
    json_out_init(&out, &p->body);
    if (err == ERR_NONE)
        write_connectivity(&out, NULL, &node);
    return err;
}

HANDLER(get_user_node_params)
{
    char *params = NULL;
    struct json_out out;
    enum err err = users_node(rest, q, query_node(q), why);
    if (err == ERR_NONE)
        err = fleet_node_params(rest->fleet, query_node(q), &params, why);
    json_out_init(&out, &p->body);
    if (err == ERR_NONE)
        json_out_raw(&out, NULL, OBJECT_OR(params));
    free(params);
    return err;
}

static enum err send_params(struct rest *rest, const struct rest_request *q, const char *node_id,
                            const struct json *params, struct why *why)
{
    enum err err = users_node(rest, q, node_id, why);
    if (err == ERR_NONE && !json_is_object(params))
        err = why_set(why, ERR_BODY, "the parameters of node %.64s must be a JSON object", node_id);
    char *text = err == ERR_NONE ? json_dup_text(params) : NULL;
    if (err == ERR_NONE && text == NULL)
        err = why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = fleet_params_send(rest->fleet, node_id, text, q->now, why);
    free(text);
    return err;
}

/* One answer for each node of the list; 207 when they differ. */
static enum err send_to_each(struct rest *rest, const struct rest_request *q, struct rest_response *p,
                             const struct json *list, struct why *why)
{
    unsigned sent = 0, count = 0;
    struct json_out out;
    enum err last = ERR_NONE;
    JSON_EACH (entry, list)
        count++;
    if (count == 0 || count > PARAMS_NODES)
        return why_set(why, ERR_BODY, "give 1 to %d nodes with their parameters", PARAMS_NODES);
    json_out_init(&out, &p->body);
    json_out_array(&out, NULL);
    JSON_EACH (entry, list) {
        struct why own = {{0}};
        const char *node_id = member_text(entry, "node_id");
        enum err err = send_params(rest, q, node_id, json_get(entry, "payload"), &own);
        json_out_object(&out, NULL);
        json_out_text(&out, "node_id", node_id ? node_id : "");
        json_out_text(&out, "status", err == ERR_NONE ? "success" : "failure");
        json_out_text(&out, "description", err == ERR_NONE ? "The parameters were sent" : why_text(&own, err));
        if (err != ERR_NONE)
            json_out_int(&out, "error_code", err_rainmaker_code(err));
        json_out_end_object(&out);
        sent += err == ERR_NONE;
        last = err ? err : last;
    }
    json_out_end_array(&out);
    p->status = sent == count ? 200 : sent > 0 ? 207 : err_http_status(last);
    return ERR_NONE;
}

/* A list of nodes with their parameters, or, as of old, parameters for the node in the query. */
HANDLER(put_user_node_params)
{
    struct json *doc;
    enum err err = body_json(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    if (!json_is_object(doc))
        err = send_to_each(rest, q, p, doc, why);
    else if ((err = send_params(rest, q, query_node(q), doc, why)) == ERR_NONE)
        answer_done(p, "The parameters were sent");
    json_free(doc);
    return err;
}

/* --- tags and metadata ------------------------------------------------------------------------ */

static enum err change_metadata(struct rest *rest, const char *node_id, const struct json *metadata, struct why *why)
{
    char *text = json_is_object(metadata) ? json_dup_text(metadata) : NULL;
    if (json_is_object(metadata) && text == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (text == NULL && !json_is_null(metadata))
        return why_set(why, ERR_BODY, "metadata must be an object, or null to take it away");
    enum err err = fleet_node_metadata_put(rest->fleet, node_id, text, why);
    free(text);
    return err;
}

HANDLER(put_user_node)
{
    struct json *doc;
    struct node node;
    const char *id = query_node(q);
    enum err err = users_node(rest, q, id, why);
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const struct json *tags = json_get(doc, "tags"), *metadata = json_get(doc, "metadata");
    bool is_delete = strcmp(q->method, "DELETE") == 0;
    if (tags == NULL && (metadata == NULL || is_delete))
        err = why_set(why, ERR_BODY, "give tags%s", is_delete ? "" : " or metadata");
    if (err == ERR_NONE && tags != NULL)
        err = change_tags(rest, id, tags, !is_delete, &node, why);
    if (err == ERR_NONE && metadata != NULL && !is_delete)
        err = change_metadata(rest, id, metadata, why);
    if (err == ERR_NONE)
        answer_done(p, "The node was changed");
    json_free(doc);
    return err;
}

/* --- mapping ---------------------------------------------------------------------------------- */

static void answer_request(struct rest_response *p, const char *request_id)
{
    struct json_out out = answer_success(p);
    json_out_text(&out, "request_id", request_id);
    json_out_end_object(&out);
}

HANDLER(put_mapping)
{
    struct json *doc;
    char request_id[ID_LEN + 1] = "";
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *node_id = member_text(doc, "node_id"), *operation = member_text(doc, "operation"),
               *user_id = member_text(doc, "user_id"), *secret = member_text(doc, "secret_key");
    bool is_remove = operation != NULL && strcmp(operation, "remove") == 0;
    if (node_id == NULL)
        err = why_set(why, ERR_NODE_ID, "node_id is missing");
    else if (operation != NULL && !is_remove && strcmp(operation, "add") != 0)
        err = why_set(why, ERR_BODY, "operation must be add or remove");
    else if (user_id != NULL && strcmp(user_id, q->user.id) != 0)
        err = why_set(why, ERR_BODY, "user_id is not yours");
    else if (is_remove) {
        if ((err = fleet_user_has_node(rest->fleet, q->user.id, node_id, why)) == ERR_NONE)
            err = fleet_user_node(rest->fleet, q->user.id, node_id, false, q->now, why);
        if (err == ERR_NONE)
            answer_done(p, "The node is not yours any more");
    } else {
        err = fleet_map_request(rest->fleet, q->user.id, node_id, secret ? secret : "", q->now, request_id, why);
        if (err == ERR_NONE)
            answer_request(p, request_id);
    }
    json_free(doc);
    return err;
}

HANDLER(get_mapping)
{
    static const char *const words[] = {"requested", "confirmed", "timedout", "discarded"};
    enum map_status status;
    const char *id = query(q, "request_id");
    enum err err = id ? fleet_map_status(rest->fleet, q->user.id, id, q->now, &status, why)
                      : why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "request_id", id);
    json_out_text(&out, "request_status", words[status]);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(post_mapping_initiate)
{
    struct json *doc = NULL;
    char request_id[ID_LEN + 1], challenge[MAP_SECRET_SIZE];
    int64_t timeout = CHALLENGE_S;
    enum err err = q->body.len > 0 ? body_object(q, &doc, why) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    if (json_get(doc, "timeout") != NULL &&
        (!json_int(json_get(doc, "timeout"), &timeout) || timeout < 1 || timeout > CHALLENGE_MAX))
        err = why_set(why, ERR_BODY, "timeout must be a number of seconds from 1 to %d", CHALLENGE_MAX);
    if (err == ERR_NONE)
        err = fleet_map_challenge(rest->fleet, q->user.id, timeout * 1000, q->now, request_id, challenge, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "request_id", request_id);
        json_out_text(&out, "challenge", challenge);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

/* The signature is over the challenge's text, in hex. */
static enum err check_signature(struct rest *rest, const char *node_id, const char *challenge, const char *response,
                                struct why *why)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t len = 0;
    char *pem = NULL;
    enum err err = fleet_node_key(rest->fleet, node_id, &pem, why);
    if (err == ERR_NONE && pem == NULL)
        err = why_set(why, ERR_KEY, "the public key of node %.64s is not known here", node_id);
    bool is_read = strlen(response) / 2 <= sizeof signature && hex_decode(signature, &len, bytes_of_text(response));
    if (err == ERR_NONE && !is_read)
        err = why_set(why, ERR_BODY, "challenge_response must be a signature in hex");
    if (err == ERR_NONE && !keys_verify(pem, bytes_of_text(challenge), bytes_of(signature, len)))
        err = why_set(why, ERR_SIGNATURE, "the challenge was not signed by node %.64s", node_id);
    free(pem);
    return err;
}

HANDLER(post_mapping_verify)
{
    struct json *doc;
    char challenge[MAP_SECRET_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "request_id"), *node_id = member_text(doc, "node_id"),
               *response = member_text(doc, "challenge_response");
    if (id == NULL || node_id == NULL || response == NULL)
        err = why_set(why, ERR_BODY, "give request_id, node_id and challenge_response");
    if (err == ERR_NONE)
        err = fleet_map_challenge_get(rest->fleet, q->user.id, id, q->now, challenge, why);
    if (err == ERR_NONE)
        err = check_signature(rest, node_id, challenge, response, why);
    if (err == ERR_NONE)
        err = fleet_map_proved(rest->fleet, q->user.id, id, node_id, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "The node is yours");
    json_free(doc);
    return err;
}

/* /v1/admin/users/<user id>/nodes/<node id>/mapping, without the device. */
HANDLER(put_admin_mapping)
{
    struct user user;
    const char *node_id = q->second_parameter;
    enum err err = fleet_user_get_id(rest->fleet, q->parameter, &user, why);
    if (err == ERR_NONE)
        err = fleet_user_node(rest->fleet, user.id, node_id, strcmp(q->method, "PUT") == 0, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, strcmp(q->method, "PUT") == 0 ? "The node is the user's" : "The node is not the user's");
    return err;
}
