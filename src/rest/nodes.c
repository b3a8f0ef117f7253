#include "rest/inner.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 25
#define PAGE_MAX     100

void write_tags(struct json_out *out, const char *tags)
{
    json_out_array(out, "tags");
    for (const char *at = tags; *at;) {
        char tag[TAGS_SIZE];
        size_t len = strcspn(at, "\n");
        text_copy_field(tag, sizeof tag, at, len);
        json_out_text(out, NULL, tag);
        at += len + (at[len] == '\n');
    }
    json_out_end_array(out);
}

void write_node(struct json_out *out, const char *key, const struct node *n)
{
    json_out_object(out, key);
    json_out_text(out, "node_id", n->id);
    json_out_text(out, "name", n->name);
    json_out_text(out, "fw_version", n->fw_version);
    json_out_text(out, "type", n->type);
    json_out_text(out, "model", n->model);
    json_out_text(out, "subtype", n->subtype);
    json_out_text(out, "project_name", n->project_name);
    json_out_text(out, "platform", n->platform);
    json_out_text(out, "node_status", node_status_text(n));
    json_out_int(out, "registration_timestamp", n->registered_at / 1000);
    json_out_int(out, "activation_timestamp", n->activated_at / 1000);
    if (n->network_id[0])
        json_out_text(out, "network_id", n->network_id);
    if (n->address[0])
        json_out_text(out, "address", n->address);
    write_tags(out, n->tags);
    if (n->is_astray)
        json_out_text(out, "expected_version", n->expected_version);
    json_out_object(out, "status");
    json_out_object(out, "connectivity");
    json_out_bool(out, "connected", n->is_online);
    json_out_int(out, "timestamp", n->presence_at);
    json_out_end_object(out);
    json_out_end_object(out);
    json_out_end_object(out);
}

/* RainMaker's filters as one query.  `tags` has several with AND or OR between, of one kind (ERR_TAGS_MIXED). */
static enum err add_tags(struct text *t, const char *tags, struct why *why)
{
    char copy[QUERY_SIZE], kind[4] = "";
    const char *before = "";
    if (!text_copy(copy, sizeof copy, tags))
        return why_set(why, ERR_QUERY, "tags has more than %d characters", QUERY_SIZE - 1);
    text_add(t, "%s(", t->len > 0 ? " and " : "");
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        bool is_operator = strcmp(word, "AND") == 0 || strcmp(word, "OR") == 0;
        if (is_operator && *kind && strcmp(kind, word) != 0)
            return why_set(why, ERR_TAGS_MIXED, "tags takes either AND or OR, not both");
        if (is_operator)
            text_copy(kind, sizeof kind, word);
        else
            text_add(t, "%stag = \"%s\"", before, word);
        before = is_operator ? (*word == 'A' ? " and " : " or ") : "";
    }
    text_add(t, ")");
    return ERR_NONE;
}

static enum err read_filters(const struct rest_request *q, char to[static QUERY_SIZE], struct why *why)
{
    static const char *const fields[] = {"type", "model", "fw_version", "subtype", "project_name", "node_status"};
    struct text t;
    text_init(&t, to, QUERY_SIZE);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *value = query(q, fields[i]);
        if (value != NULL && strpbrk(value, "\"\\") != NULL)
            return why_set(why, ERR_QUERY, "%s must not hold quotes or backslashes", fields[i]);
        if (value != NULL)
            text_add(&t, "%s%s = \"%s\"", t.len > 0 ? " and " : "", fields[i], value);
    }
    const char *tags = query(q, "tags"), *more = query(q, "query");
    if (tags != NULL && strpbrk(tags, "\"\\") != NULL)
        return why_set(why, ERR_QUERY, "tags must not hold quotes or backslashes");
    enum err err = tags ? add_tags(&t, tags, why) : ERR_NONE;
    if (more != NULL)
        text_add(&t, t.len > 0 ? " and (%s)" : "%s", more);
    return err || !t.is_cut ? err : why_set(why, ERR_QUERY, "the filters together are too long");
}

HANDLER(get_nodes)
{
    char filters[QUERY_SIZE];
    int64_t max;
    unsigned count = 0;
    const char *id = query(q, "node_id"), *after = query(q, "start_id");
    struct node *page;
    enum err err = query_int(q, "num_records", 1, PAGE_MAX, PAGE_DEFAULT, &max, why);
    if (err != ERR_NONE || (err = read_filters(q, filters, why)) != ERR_NONE)
        return err;
    if ((page = calloc(PAGE_MAX, sizeof *page)) == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    if (id != NULL)
        err = fleet_node_get(rest->fleet, id, page, why);
    else if (*filters)
        err = fleet_node_find(rest->fleet, filters, after ? after : "", q->now, page, (unsigned)max, &count, why);
    else
        err = fleet_node_list(rest->fleet, after ? after : "", page, (unsigned)max, &count, why);
    if (err == ERR_FORMAT)
        err = ERR_QUERY;
    struct json_out out;
    if (err == ERR_NONE && id != NULL) {
        json_out_init(&out, &p->body);
        write_node(&out, NULL, page);
    } else if (err == ERR_NONE) {
        out = answer(p);
        json_out_array(&out, "nodes");
        for (unsigned i = 0; i < count; i++)
            json_out_text(&out, NULL, page[i].id);
        json_out_end_array(&out);
        json_out_array(&out, "node_info");
        for (unsigned i = 0; i < count; i++)
            write_node(&out, NULL, &page[i]);
        json_out_end_array(&out);
        if (count == max)
            json_out_text(&out, "next_id", page[count - 1].id);
        json_out_int(&out, "total", count);
        json_out_end_object(&out);
    }
    free(page);
    return err;
}

void write_credentials(struct json_out *out, const struct rest *rest, const char *node_id, const char *cert,
                       const char *key)
{
    json_out_text(out, "mqtt_host", rest_mqtt_host(rest, node_id));
    json_out_text(out, "client_cert", cert);
    json_out_text(out, "client_key", key);
    json_out_text(out, "ca_cert", rest->keys->ca_pem);
}

enum err remember_key(struct rest *rest, const char *node_id, const char *cert, struct why *why)
{
    struct buf pem = {0};
    enum err err = keys_public_of(bytes_of_text(cert), &pem, why);
    if (err == ERR_NONE)
        err = fleet_node_key_put(rest->fleet, node_id, pem.at, why);
    buf_deinit(&pem);
    return err;
}

/* Credentials first, then the row: a node that is listed has had credentials. */
HANDLER(post_node)
{
    struct json *doc;
    struct node node;
    char *cert = NULL, *key = NULL;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *wanted = member_text(doc, "node_id");
    struct id made = id_new(rest->entropy);
    const char *id = wanted ? wanted : made.text;
    if (!text_is_plain_id(id, NODE_ID_SIZE - 1))
        err = why_set(why, ERR_NODE_ID, "node_id must have 1 to %d of A-Z a-z 0-9 _ - .", NODE_ID_SIZE - 1);
    if (err == ERR_NONE && strncmp(id, SIMULATOR_PREFIX, strlen(SIMULATOR_PREFIX)) == 0)
        err = why_set(why, ERR_NODE_ID, "node_id must not begin with " SIMULATOR_PREFIX ", as simulated nodes' do");
    if (err == ERR_NONE)
        err = keys_issue_node(rest->keys, id, q->now, &cert, &key, why);
    if (err == ERR_NONE)
        err = fleet_node_add(rest->fleet, id, q->now, &node, why);
    if (err == ERR_NONE)
        err = remember_key(rest, id, cert, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "node_id", node.id);
        write_credentials(&out, rest, node.id, cert, key);
        json_out_end_object(&out);
    }
    free(cert);
    free(key);
    json_free(doc);
    return err;
}

#define TAGS_MAX 50 /* tags in one request */

enum err change_tags(struct rest *rest, const char *node_id, const struct json *list, bool is_add, struct node *to,
                     struct why *why)
{
    const char *tags[TAGS_MAX];
    unsigned count = 0;
    JSON_EACH (tag, list) {
        if (json_text(tag) == NULL || count == TAGS_MAX)
            return why_set(why, ERR_BODY, "tags must be at most %d strings", TAGS_MAX);
        tags[count++] = json_text(tag);
    }
    if (count == 0)
        return why_set(why, ERR_BODY, "tags are missing");
    return fleet_node_tags(rest->fleet, node_id, tags, count, is_add, to, why);
}

#define ACTIVATE_MAX 25 /* nodes in one request */

/* `ids`: with commas between them. */
static enum err activate(struct rest *rest, struct rest_request *q, const char *ids, struct why *why)
{
    bool is_active = query_is_true(q, "activate");
    enum err err = ERR_NONE;
    unsigned count = 0;
    if (!is_active && strcmp(query(q, "activate"), "false") != 0)
        return why_set(why, ERR_BODY, "activate must be true or false");
    while (err == ERR_NONE && *ids) {
        char id[NODE_ID_SIZE];
        size_t len = strcspn(ids, ",");
        if (++count > ACTIVATE_MAX || len >= sizeof id)
            return why_set(why, ERR_NODE_ID, "node_id must be at most %d ids with commas between them", ACTIVATE_MAX);
        text_copy_field(id, sizeof id, ids, len);
        err = fleet_node_activate(rest->fleet, id, is_active, q->now, why);
        ids += len + (ids[len] == ',');
    }
    q->is_gate_changed = err == ERR_NONE;
    return err;
}

/* Adds tags (PUT), or takes them away (DELETE), as RainMaker does; or lets nodes in, or not. */
HANDLER(put_node)
{
    struct json *doc;
    struct node node;
    const char *id = query(q, "node_id");
    enum err err;
    if (id != NULL && query(q, "activate") != NULL && strcmp(q->method, "PUT") == 0) {
        if ((err = activate(rest, q, id, why)) == ERR_NONE)
            answer_done(p, query_is_true(q, "activate") ? "Activated" : "Deactivated");
        return err;
    }
    if ((err = body_object(q, &doc, why)) != ERR_NONE)
        return err;
    if (id == NULL)
        err = why_set(why, ERR_NODE_ID, "node_id is missing");
    if (err == ERR_NONE)
        err = change_tags(rest, id, json_get(doc, "tags"), strcmp(q->method, "DELETE") != 0, &node, why);
    if (err == ERR_NONE)
        answer_done(p, "Tags changed");
    json_free(doc);
    return err;
}

/* --- nodes over HTTPS with their certificate -------------------------------------------------- */

/* A node that has to wait is told for how long, in seconds (C.6). */
static void write_wait(struct rest_response *p, const struct job *job, const struct verdict *v, time_ms now)
{
    int64_t least = v->next_at > now ? (v->next_at - now + 999) / 1000 : 60;
    int64_t most = job->serial_max_wait_ms / 1000 > least ? job->serial_max_wait_ms / 1000 : least + 60;
    struct json_out out;
    json_out_init(&out, &p->body);
    json_out_object(&out, NULL);
    json_out_bool(&out, "ota_available", true);
    json_out_text(&out, "action", "wait");
    json_out_text(&out, "ota_task", job->id);
    json_out_int(&out, "min_wait", least);
    json_out_int(&out, "max_wait", most);
    json_out_text(&out, "description", v->text);
    json_out_end_object(&out);
}

HANDLER(get_node_fetch)
{
    struct job job;
    struct image image;
    struct verdict verdict;
    enum err err = fleet_fetch_now(rest->fleet, q->node_id, q->now, &job, &image, &verdict, why);
    if (err != ERR_NONE)
        return err;
    if (verdict.decision != DECIDE_OFFER) {
        write_wait(p, &job, &verdict, q->now);
        return ERR_NONE;
    }
    struct job_document doc = {.file_size = image.size_bytes, .metadata = job.metadata[0] ? job.metadata : NULL};
    text_copy(doc.job_id, sizeof doc.job_id, job.id);
    text_copy(doc.fw_version, sizeof doc.fw_version, image.fw_version);
    text_copy(doc.file_md5, sizeof doc.file_md5, image.md5);
    rest_image_url(rest, &image, q->now, doc.url, sizeof doc.url);
    return job_document_write(&p->body, &doc, why);
}

HANDLER(post_node_status)
{
    struct status_report report;
    enum err err = status_report_read(&report, q->body, why) == ERR_NONE ? ERR_NONE : ERR_BODY;
    if (err == ERR_NONE)
        err = fleet_on_report(rest->fleet, q->node_id, &report, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "Status taken");
    return err;
}

HANDLER(put_node_config)
{
    enum err err = fleet_on_config(rest->fleet, q->node_id, q->body, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "Config taken");
    return err == ERR_FORMAT ? ERR_BODY : err;
}

HANDLER(put_node_params)
{
    enum err err = fleet_on_params(rest->fleet, q->node_id, q->body, false, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "Parameters taken");
    return err == ERR_FORMAT ? ERR_BODY : err;
}

HANDLER(delete_node)
{
    enum err err = fleet_node_delete(rest->fleet, q->parameter, q->now, why);
    if (err == ERR_NONE) {
        q->is_gate_changed = true;
        answer_done(p, "The node is gone");
    }
    return err;
}
