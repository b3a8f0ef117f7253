/* The audit log: what people changed, as the choke point of rest_handle saw it. */
#include "rest/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX   4096 /* longer bodies are remembered by their length alone */
#define ENTRY_PAGE 100

/* What must not be read again is starred. */
static void write_body(struct json_out *out, struct bytes body)
{
    static const char *const secrets[] = {"password",   "newpassword",    "verification_code",
                                          "secret_key", "base64_fwimage", "challenge_response"};
    struct json *doc, *stars;
    if (body.len == 0 || !json_is_utf8(body) || json_parse(body, &doc, NULL) != ERR_NONE)
        return;
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        char patch[64];
        snprintf(patch, sizeof patch, "{\"%s\":\"***\"}", secrets[i]);
        if (json_get(doc, secrets[i]) == NULL || json_parse(bytes_of_text(patch), &stars, NULL) != ERR_NONE)
            continue;
        json_merge(doc, stars);
        json_free(stars);
    }
    char *text = json_dup_text(doc);
    if (text != NULL && strlen(text) <= BODY_MAX)
        json_out_raw(out, "body", text);
    else
        json_out_int(out, "body_bytes", (int64_t)body.len);
    free(text);
    json_free(doc);
}

/* --- before and after ------------------------------------------------------------------------- */

/* By what is done: which GET shows it, and where the request has its id. */
static const struct view {
    const char *what, *parameter;
    bool is_in_body;
    enum err (*get)(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why);
} views[] = {
    {"group.", "group_id", false, get_groups}, {"job.", "ota_job_id", true, get_jobs},
    {"node.", "node_id", false, get_nodes},    {"image.", "ota_image_id", false, get_images},
    {"user.", "user_name", false, get_users},
};

/* A question for one thing. */
struct look {
    struct rest_request q;
    const char *name, *value;
};

static const char *look_query(const struct rest_request *q, const char *name)
{
    const struct look *l = (const struct look *)(const void *)q;
    return strcmp(name, l->name) == 0 ? l->value : NULL;
}

static const char *no_header(const struct rest_request *q, const char *name)
{
    (void)q, (void)name;
    return NULL;
}

static void look(struct rest *rest, const struct rest_request *q, const struct view *view, const char *id,
                 struct buf *to)
{
    struct rest_response p;
    struct json *doc = NULL, *no_url = NULL;
    struct look l = {.q = {.method = "GET", .path = q->path, .listener = q->listener, .now = q->now, .user = q->user},
                     .name = view->parameter,
                     .value = id};
    l.q.query = look_query;
    l.q.header = no_header;
    rest_response_init(&p);
    /* A URL that opens the image for a day is nothing to keep. */
    if (view->get(rest, &l.q, &p, NULL) == ERR_NONE && json_parse(buf_bytes(&p.body), &doc, NULL) == ERR_NONE &&
        json_parse(bytes_of_text("{\"image_url\":null}"), &no_url, NULL) == ERR_NONE) {
        json_merge(doc, no_url);
        char *text = json_dup_text(doc);
        if (text != NULL && strlen(text) <= BODY_MAX)
            buf_add(to, text, strlen(text));
        free(text);
    }
    json_free(doc);
    json_free(no_url);
    rest_response_deinit(&p);
}

void audit_look(struct rest *rest, const struct rest_route *route, const struct rest_request *q, struct buf *to)
{
    struct json *doc = NULL;
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        if (strncmp(route->audit, views[i].what, strlen(views[i].what)) != 0)
            continue;
        const char *id = query(q, views[i].parameter);
        if (views[i].is_in_body && json_parse(q->body, &doc, NULL) == ERR_NONE)
            id = member_text(doc, views[i].parameter);
        if (id != NULL)
            look(rest, q, &views[i], id, to);
        json_free(doc);
        return;
    }
}

static void write_view(struct json_out *out, const char *name, const struct buf *view)
{
    if (view->len > 0 && !view->is_failed)
        json_out_raw(out, name, view->at);
}

enum err audit(struct rest *rest, const struct rest_route *route, const struct rest_request *q,
               const struct buf *before, const struct buf *after, struct why *why)
{
    static const char *const names[] = {"node_id",    "nodeid",    "group_id",      "ota_job_id", "ota_image_id",
                                        "user_id",    "user_name", "operation",     "archive",    "token_id",
                                        "force_push", "activate",  "authority_id",  "webhook_id", "organisation_id",
                                        "file_id",    "simulator", "automation_id", "key_name"};
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_int(&out, "at", q->now);
    json_out_text(&out, "who", q->user.name);
    if (q->org[0])
        json_out_text(&out, "organisation_id", q->org);
    json_out_text(&out, "what", route->audit);
    json_out_text(&out, "path", q->path);
    /* What the path names, the innermost: users' nodes are nodes. */
    if (route->path != NULL && strchr(route->path, '*') != NULL)
        json_out_text(&out, "of", q->second_parameter[0] ? q->second_parameter : q->parameter);
    json_out_object(&out, "query");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (query(q, names[i]) != NULL)
            json_out_text(&out, names[i], query(q, names[i]));
    json_out_end_object(&out);
    write_body(&out, q->body);
    write_view(&out, "before", before);
    write_view(&out, "after", after);
    json_out_end_object(&out);
    enum err err =
        text.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : fleet_audit_add(rest->fleet, text.at, why);
    buf_deinit(&text);
    return err;
}

struct lister {
    struct audit_visitor v;
    struct json_out out;
    const char *org; /* whose entries */
    int64_t max, count, last;
};

static bool is_entry_of(const char *entry, const char *org)
{
    struct json *doc;
    if (json_parse(bytes_of_text(entry), &doc, NULL) != ERR_NONE)
        return false;
    const char *told = member_text(doc, "organisation_id");
    bool is_its = strcmp(told ? told : "", org) == 0;
    json_free(doc);
    return is_its;
}

static bool write_entry(struct audit_visitor *v, int64_t number, const char *hash, const char *entry)
{
    struct lister *l = (struct lister *)v;
    if (!is_entry_of(entry, l->org))
        return true;
    json_out_object(&l->out, NULL);
    json_out_int(&l->out, "number", number);
    json_out_text(&l->out, "hash", hash);
    json_out_raw(&l->out, "entry", entry);
    json_out_end_object(&l->out);
    l->last = number;
    return ++l->count < l->max;
}

struct kept_entry {
    int64_t number;
    char *hash, *entry;
};

struct keeper {
    struct audit_visitor v;
    const char *org;
    int64_t until;
    struct kept_entry at[ENTRY_PAGE];
    unsigned count;
};

static bool keep_entry(struct audit_visitor *v, int64_t number, const char *hash, const char *entry)
{
    struct keeper *k = (struct keeper *)v;
    if (number > k->until || k->count == ENTRY_PAGE)
        return false;
    if (is_entry_of(entry, k->org))
        k->at[k->count++] = (struct kept_entry){number, strdup(hash), strdup(entry)};
    return true;
}

/* The entries up to `until` (0: to the last), the newest first: those of as many numbers as a page has. */
static enum err list_newest(struct rest *rest, struct rest_request *q, struct rest_response *p, int64_t until,
                            int64_t max, struct why *why)
{
    struct keeper *k = calloc(1, sizeof *k);
    enum err err = k == NULL    ? why_set(why, ERR_NO_MEMORY, "no memory")
                   : until == 0 ? fleet_audit_last(rest->fleet, &until, why)
                                : ERR_NONE;
    int64_t first = until > max ? until - max + 1 : 1;
    if (err == ERR_NONE) {
        k->v.visit = keep_entry;
        k->org = q->org;
        k->until = until;
        err = until > 0 ? fleet_audit_scan(rest->fleet, first, &k->v, why) : ERR_NONE;
    }
    struct json_out out = answer(p);
    json_out_array(&out, "entries");
    for (unsigned i = k ? k->count : 0; i > 0; i--) {
        struct kept_entry *e = &k->at[i - 1];
        json_out_object(&out, NULL);
        json_out_int(&out, "number", e->number);
        json_out_text(&out, "hash", e->hash ? e->hash : "");
        json_out_raw(&out, "entry", e->entry ? e->entry : "null");
        json_out_end_object(&out);
        free(e->hash);
        free(e->entry);
    }
    json_out_end_array(&out);
    if (first > 1) {
        char next[24];
        snprintf(next, sizeof next, "%lld", (long long)first - 1);
        json_out_text(&out, "next_id", next);
    }
    json_out_end_object(&out);
    free(k);
    return err;
}

HANDLER(get_audit)
{
    int64_t first, max;
    struct lister l = {.v = {write_entry}, .org = q->org};
    const char *order = query(q, "order");
    bool is_newest = order != NULL && strcmp(order, "newest") == 0;
    if (order != NULL && !is_newest && strcmp(order, "oldest") != 0)
        return why_set(why, ERR_BODY, "order must be oldest or newest");
    enum err err = query_int(q, "start_id", 1, INT64_MAX, is_newest ? 0 : 1, &first, why);
    if (err == ERR_NONE)
        err = query_int(q, "num_records", 1, ENTRY_PAGE, ENTRY_PAGE, &max, why);
    if (err != ERR_NONE)
        return err;
    if (is_newest)
        return list_newest(rest, q, p, first, max, why);
    l.max = max;
    l.out = answer(p);
    json_out_array(&l.out, "entries");
    err = fleet_audit_scan(rest->fleet, first, &l.v, why);
    json_out_end_array(&l.out);
    if (l.count == max) {
        char next[24];
        snprintf(next, sizeof next, "%lld", (long long)l.last + 1);
        json_out_text(&l.out, "next_id", next);
    }
    json_out_end_object(&l.out);
    return err;
}

HANDLER(get_audit_verify)
{
    int64_t count = 0, broken = 0;
    (void)q;
    enum err err = fleet_audit_verify(rest->fleet, &count, &broken, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_int(&out, "entries", count);
    json_out_bool(&out, "whole", broken == 0);
    if (broken > 0)
        json_out_int(&out, "first_broken", broken);
    json_out_end_object(&out);
    return ERR_NONE;
}
