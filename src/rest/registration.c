/* What RainMaker's command line for makers asks (part B): node ids, and nodes that bring certificates of their own. */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/csv.h"
#include "codec/encode.h"
#include "crypto/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDS_MAX       50000
#define REQUEST_S     3600               /* how long its URL is good */
#define LIST_MAX      (64 * 1024 * 1024) /* bytes of a list of certificates */
#define AT_ONCE       200                /* nodes in one transaction */
#define NODE_TAGS_MAX 20

HANDLER(get_deployment)
{
    (void)rest, (void)q, (void)why;
    struct json_out out = answer(p);
    /* Mail is not Amazon's here: nothing has to be verified before. */
    json_out_object(&out, "pre_requisite_details");
    json_out_bool(&out, "is_super_admin_ses_verified", true);
    json_out_bool(&out, "is_ses_in_production", true);
    json_out_end_object(&out);
    json_out_text(&out, "version", rest->version);
    json_out_end_object(&out);
    return ERR_NONE;
}

/* --- node ids --------------------------------------------------------------------------------- */

HANDLER(post_node_ids)
{
    struct json *doc;
    int64_t count = 0;
    struct id id = id_new(rest->entropy);
    char text[32];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    if (!json_int(json_get(doc, "node_count"), &count) || count < 1 || count > IDS_MAX)
        err = why_set(why, ERR_BODY, "node_count must be a number from 1 to %d", IDS_MAX);
    json_free(doc);
    snprintf(text, sizeof text, "%" PRId64, count);
    if (err == ERR_NONE)
        err = fleet_request_put(rest->fleet, id.text, text, q->now, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "request_id", id.text);
        json_out_end_object(&out);
    }
    return err;
}

static enum err find_request(struct rest *rest, const char *id, char **text, struct why *why)
{
    enum err err = id && strlen(id) <= ID_LEN ? fleet_request_get(rest->fleet, id, text, why)
                                              : why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    return err == ERR_NONE && *text == NULL ? why_set(why, ERR_MAP_REQUEST, "there is no request %.40s", id) : err;
}

HANDLER(get_node_ids)
{
    char *text = NULL, path[64], url[JOB_URL_SIZE];
    const char *id = query(q, "request_id");
    enum err err = find_request(rest, id, &text, why);
    free(text);
    if (err != ERR_NONE)
        return err;
    snprintf(path, sizeof path, "/v1/node_ids/%s", id);
    request_url(rest, q, "GET", path, REQUEST_S, url, sizeof url);
    struct json_out out = answer_success(p);
    json_out_text(&out, "url", url);
    json_out_end_object(&out);
    return ERR_NONE;
}

/* The ids follow from the request, so none of them has to be kept. */
HANDLER(get_node_ids_file)
{
    char *text = NULL, seed[64];
    uint8_t digest[SHA256_LEN];
    enum err err = find_request(rest, q->parameter, &text, why);
    long count = err == ERR_NONE ? strtol(text, NULL, 10) : 0;
    free(text);
    p->type = "text/plain";
    for (long i = 0; i < count; i++) {
        snprintf(seed, sizeof seed, "%.40s %ld", q->parameter, i);
        sha256_of(digest, bytes_of_text(seed));
        struct id id = id_from_random(digest);
        if (i > 0)
            buf_add(&p->body, ",", 1);
        buf_add(&p->body, id.text, strlen(id.text));
    }
    return err;
}

/* --- a list of certificates ------------------------------------------------------------------- */

HANDLER(get_registration)
{
    char *text = NULL, path[64], url[JOB_URL_SIZE];
    const char *id = query(q, "request_id");
    if (id != NULL) {
        enum err err = find_request(rest, id, &text, why);
        struct json_out out;
        json_out_init(&out, &p->body);
        if (err == ERR_NONE)
            json_out_raw(&out, NULL, text);
        free(text);
        return err;
    }
    if (query(q, "file_name") == NULL)
        return why_set(why, ERR_BODY, "give file_name, or the request_id of a registration");
    struct id made = id_new(rest->entropy);
    enum err err = fleet_request_put(
        rest->fleet, made.text, "{\"status\":\"in_progress\",\"description\":\"The list has not been handed in yet\"}",
        q->now, why);
    if (err != ERR_NONE)
        return err;
    snprintf(path, sizeof path, "/v1/registrations/%s", made.text);
    request_url(rest, q, "PUT", path, REQUEST_S, url, sizeof url);
    struct json_out out = answer_success(p);
    json_out_text(&out, "request_id", made.text);
    json_out_text(&out, "url", url);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(put_registration_file)
{
    char *text = NULL;
    enum err err = find_request(rest, q->parameter, &text, why);
    free(text);
    if (err == ERR_NONE && q->body_file_len > LIST_MAX)
        err = why_set(why, ERR_TOO_BIG, "a list has at most %d bytes: hand it in in parts", LIST_MAX);
    if (err != ERR_NONE)
        return err;
    p->type = "text/plain";
    return keep_upload(q, q->parameter, why);
}

struct list {
    char *text, *at;
    int id_column, cert_column, tag_columns[NODE_TAGS_MAX];
    struct node_order order; /* what all nodes share */
    char tag_texts[NODE_TAGS_MAX][TAGS_SIZE], tag_names[NODE_TAGS_MAX][TAGS_SIZE];
    const char *tags[NODE_TAGS_MAX];
    int64_t line, count;
    struct fleet_batch batch;
    bool is_open;
};

/* "k:v,k2:@column": the value of the latter stands in the list. */
static enum err read_tags(struct list *l, const char *text, struct why *why)
{
    while (text != NULL && *text) {
        size_t len = strcspn(text, ",");
        char *tag = l->tag_texts[l->order.tag_count], *name = l->tag_names[l->order.tag_count];
        if (l->order.tag_count == NODE_TAGS_MAX || len >= TAGS_SIZE)
            return why_set(why, ERR_NODE_TAGS, "at most %d tags, each shorter than %d characters", NODE_TAGS_MAX,
                           TAGS_SIZE);
        text_copy_field(tag, TAGS_SIZE, text, len);
        name[0] = '\0';
        char *column = strstr(tag, ":@");
        if (column != NULL) {
            text_copy(name, TAGS_SIZE, column + 2);
            column[1] = '\0';
        }
        l->tags[l->order.tag_count] = tag;
        l->tag_columns[l->order.tag_count++] = -1;
        text += len + (text[len] == ',');
    }
    return ERR_NONE;
}

static enum err read_head(struct list *l, struct why *why)
{
    bool is_last = false;
    l->id_column = l->cert_column = -1;
    for (int i = 0; !is_last && *l->at; i++) {
        const char *name = csv_field(&l->at, &is_last);
        if (strcmp(name, "node_id") == 0)
            l->id_column = i;
        if (strcmp(name, "certs") == 0)
            l->cert_column = i;
        for (unsigned t = 0; t < l->order.tag_count; t++)
            if (l->tag_names[t][0] && strcmp(l->tag_names[t], name) == 0)
                l->tag_columns[t] = i;
    }
    for (unsigned t = 0; t < l->order.tag_count; t++)
        if (l->tag_names[t][0] && l->tag_columns[t] < 0)
            return why_set(why, ERR_BODY, "the list has no column %s for the tag %s", l->tag_names[t], l->tags[t]);
    return l->id_column >= 0 && l->cert_column >= 0
               ? ERR_NONE
               : why_set(why, ERR_BODY, "the list's first line must name the columns node_id and certs");
}

static enum err register_one(struct rest *rest, struct list *l, const char *id, const char *cert, time_ms now,
                             struct why *why)
{
    char name[NODE_ID_SIZE];
    struct buf key = {0};
    struct node node;
    struct node_order order = l->order;
    enum err err = keys_certificate_name(bytes_of_text(cert), name, sizeof name, why);
    if (err == ERR_NONE && strcmp(name, id) != 0)
        err = why_set(why, ERR_BODY, "the certificate is for %s, not for %.64s", name, id);
    if (err == ERR_NONE && strncmp(id, SIMULATOR_PREFIX, strlen(SIMULATOR_PREFIX)) == 0)
        err = why_set(why, ERR_NODE_ID, "node ids must not begin with " SIMULATOR_PREFIX);
    if (err == ERR_NONE)
        err = keys_public_of(bytes_of_text(cert), &key, why);
    order.id = id;
    order.key_pem = key.at;
    order.tags = l->tags;
    if (err == ERR_NONE && !l->is_open)
        err = fleet_batch_begin(&l->batch, rest->fleet, why);
    if (err == ERR_NONE) {
        l->is_open = true;
        err = fleet_node_register(&l->batch.fleet, &order, now, &node, why);
    }
    buf_deinit(&key);
    return err;
}

static enum err end_batch(struct list *l, struct why *why)
{
    if (!l->is_open)
        return ERR_NONE;
    l->is_open = false;
    return fleet_batch_end(&l->batch, why);
}

static enum err register_line(struct rest *rest, struct list *l, time_ms now, struct why *why)
{
    bool is_last = false;
    const char *id = "", *cert = "";
    char whole[NODE_TAGS_MAX][TAGS_SIZE];
    const char *own[NODE_TAGS_MAX];
    memcpy(own, l->tags, sizeof own);
    for (int i = 0; !is_last; i++) {
        const char *field = csv_field(&l->at, &is_last);
        if (i == l->id_column)
            id = field;
        if (i == l->cert_column)
            cert = field;
        for (unsigned t = 0; t < l->order.tag_count; t++)
            if (l->tag_columns[t] == i) {
                snprintf(whole[t], sizeof whole[t], "%s%s", l->tag_texts[t], field);
                l->tags[t] = whole[t];
            }
    }
    enum err err = *id || *cert ? register_one(rest, l, id, cert, now, why) : ERR_NONE;
    memcpy(l->tags, own, sizeof own);
    if (err == ERR_NONE && *id && ++l->count % AT_ONCE == 0)
        err = end_batch(l, why);
    return err;
}

static enum err register_all(struct rest *rest, struct list *l, time_ms now, struct why *why)
{
    enum err err = read_head(l, why);
    while (err == ERR_NONE && *l->at) {
        l->line++;
        err = register_line(rest, l, now, why);
    }
    if (err != ERR_NONE && l->line > 0)
        why_add(why, err, "node %" PRId64 " of the list; those before it are registered", l->line);
    struct why ended = {{0}};
    enum err last = end_batch(l, err ? &ended : why);
    return err ? err : last;
}

/* --- handing it in ---------------------------------------------------------------------------- */

static enum err read_list(const char *path, const char *md5, char **to, struct why *why)
{
    struct stat st;
    uint8_t digest[MD5_LEN];
    char hex[2 * MD5_LEN + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > LIST_MAX || (*to = malloc((size_t)st.st_size + 1)) == NULL) {
        if (fd >= 0)
            close(fd);
        return why_set(why, ERR_BODY, "the list was not uploaded: PUT it to the URL first");
    }
    ssize_t n = read(fd, *to, (size_t)st.st_size);
    close(fd);
    if (n != st.st_size)
        return why_set(why, ERR_IO, "read the list: %s", strerror(errno));
    (*to)[n] = '\0';
    md5_of(digest, bytes_of(*to, (size_t)n));
    hex_encode(hex, bytes_of(digest, sizeof digest));
    if (md5 != NULL && strcasecmp(md5, hex) != 0)
        return why_set(why, ERR_DIGEST, "the list's MD5 is %s, not %.40s", hex, md5);
    return ERR_NONE;
}

/* The group of that name, a new one when there is none. */
static enum err find_group(struct rest *rest, const struct rest_request *q, const struct json *doc, struct group *to,
                           struct why *why)
{
    struct group parent;
    const char *name = member_text(doc, "group_name"), *parent_id = member_text(doc, "parent_group_id"),
               *parent_name = member_text(doc, "parent_group_name");
    *to = (struct group){.total = 0};
    if (name == NULL)
        return ERR_NONE;
    enum err err = fleet_group_find(rest->fleet, "", name, to, why);
    if (err != ERR_GROUP_NO_NAME)
        return err;
    err = ERR_NONE;
    if (parent_id == NULL && parent_name != NULL) {
        err = fleet_group_find(rest->fleet, "", parent_name, &parent, why);
        parent_id = parent.id;
    }
    const struct group_order order = {.name = name, .parent_id = parent_id};
    return err ? err : fleet_group_add(rest->fleet, "", &order, q->now, to, why);
}

static bool is_flag(const struct json *doc, const char *name)
{
    bool is_set = false;
    return json_bool(json_get(doc, name), &is_set) && is_set;
}

static enum err hand_in(struct rest *rest, const struct rest_request *q, const struct json *doc, struct list *l,
                        const char *path, struct why *why)
{
    struct group group;
    enum err err = read_list(path, member_text(doc, "file_md5"), &l->text, why);
    l->at = l->text;
    if (err == ERR_NONE)
        err = read_tags(l, member_text(doc, "tags"), why);
    if (err == ERR_NONE)
        err = find_group(rest, q, doc, &group, why);
    if (err != ERR_NONE)
        return err;
    l->order.type = member_text(doc, "type");
    l->order.model = member_text(doc, "model");
    l->order.subtype = member_text(doc, "subtype");
    l->order.group_id = group.id;
    l->order.may_exist = is_flag(doc, "force") || is_flag(doc, "update_nodes");
    return register_all(rest, l, q->now, why);
}

/* What a later question for the request is answered with. */
static enum err keep_result(struct rest *rest, const char *id, const struct list *l, enum err err, const char *story,
                            time_ms now, struct why *why)
{
    struct buf text = {0};
    struct json_out out;
    char done[80];
    snprintf(done, sizeof done, "%" PRId64 " nodes registered", l->count);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "request_id", id);
    json_out_text(&out, "status", err == ERR_NONE ? "success" : "failure");
    json_out_text(&out, "description", err == ERR_NONE ? done : story);
    json_out_end_object(&out);
    enum err kept = text.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory")
                                   : fleet_request_put(rest->fleet, id, text.at, now, why);
    buf_deinit(&text);
    return kept;
}

HANDLER(post_registration)
{
    struct json *doc;
    char path[700], *known = NULL;
    struct why kept = {{0}};
    struct list *l = calloc(1, sizeof *l);
    enum err err = l ? body_object(q, &doc, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err != ERR_NONE) {
        free(l);
        return err;
    }
    const char *id = member_text(doc, "request_id");
    err = find_request(rest, id, &known, why);
    free(known);
    if (err == ERR_NONE) {
        upload_path(q, id, path, sizeof path);
        err = hand_in(rest, q, doc, l, path, why);
        unlink(path);
        keep_result(rest, id, l, err, err ? why_text(why, err) : "", q->now, &kept);
    }
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "request_id", id);
        json_out_int(&out, "node_count", l->count);
        json_out_end_object(&out);
    }
    free(l->text);
    free(l);
    json_free(doc);
    return err;
}
