/* Nodes and groups that users share with each other (A.5): one set of handlers, the path says of which. */
#include "rest/inner.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define SHARES_PAGE 25

static const struct words {
    enum share_what what;
    const char *ids, *in_answer, *id, *list; /* in bodies and queries; in answers */
} kinds[] = {
    {SHARE_NODES, "nodes", "node_ids", "node_id", "node_sharing"},
    {SHARE_GROUPS, "groups", "group_ids", "group_id", "group_sharing"},
};

static const struct words *words_of(const struct rest_request *q)
{
    return &kinds[strncmp(q->path, "/v1/user/node_group/", 20) == 0];
}

/* --- who has what ----------------------------------------------------------------------------- */

static void write_names(struct json_out *out, const char *key, const struct share_users *users, bool are_primary)
{
    json_out_array(out, key);
    for (unsigned i = 0; i < users->count; i++)
        if (users->are_primary[i] == are_primary)
            json_out_text(out, NULL, users->names[i]);
    json_out_end_array(out);
}

static enum err write_sharing(struct rest *rest, const struct rest_request *q, struct json_out *out, const char *id,
                              struct why *why)
{
    struct share_users users;
    enum err err = fleet_share_users(rest->fleet, words_of(q)->what, q->user.id, id, &users, why);
    if (err != ERR_NONE)
        return err;
    json_out_object(out, NULL);
    json_out_text(out, words_of(q)->id, id);
    json_out_object(out, "users");
    write_names(out, "primary", &users, true);
    write_names(out, "secondary", &users, false);
    json_out_end_object(out);
    json_out_end_object(out);
    return ERR_NONE;
}

static enum err write_all_nodes(struct rest *rest, const struct rest_request *q, struct json_out *out, struct why *why)
{
    struct own_node page[SHARES_PAGE];
    unsigned count = 0;
    enum err err = fleet_user_nodes(rest->fleet, q->user.id, query(q, "start_id") ? query(q, "start_id") : "", page,
                                    SHARES_PAGE, &count, why);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = write_sharing(rest, q, out, page[i].node_id, why);
    json_out_end_array(out);
    if (count == SHARES_PAGE)
        json_out_text(out, "next_id", page[count - 1].node_id);
    return err;
}

static enum err write_all_groups(struct rest *rest, const struct rest_request *q, struct json_out *out, struct why *why)
{
    const char *after = query(q, "start_id");
    struct group *page = calloc(SHARES_PAGE, sizeof *page);
    unsigned count = 0, shared = 0;
    enum err err = page ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = fleet_group_list(rest->fleet, q->user.id, after ? after : "", page, SHARES_PAGE, &count, why);
    char next[ID_LEN + 1] = "";
    if (err == ERR_NONE && count == SHARES_PAGE)
        text_copy(next, sizeof next, page[count - 1].id);
    for (unsigned i = 0; err == ERR_NONE && i < count; i++)
        err = write_sharing(rest, q, out, page[i].id, why);
    if (err == ERR_NONE && after == NULL)
        err = fleet_shared_groups(rest->fleet, q->user.id, page, SHARES_PAGE, &shared, why);
    for (unsigned i = 0; err == ERR_NONE && i < shared; i++)
        err = write_sharing(rest, q, out, page[i].id, why);
    json_out_end_array(out);
    if (*next)
        json_out_text(out, "next_id", next);
    free(page);
    return err;
}

HANDLER(get_sharing)
{
    const struct words *w = words_of(q);
    const char *id = query(q, w->id);
    enum err err;
    struct json_out out = answer(p);
    json_out_array(&out, w->list);
    if (id != NULL) {
        err = write_sharing(rest, q, &out, id, why);
        json_out_end_array(&out);
    } else
        err = w->what == SHARE_NODES ? write_all_nodes(rest, q, &out, why) : write_all_groups(rest, q, &out, why);
    json_out_end_object(&out);
    return err;
}

/* --- asking ----------------------------------------------------------------------------------- */

static enum err read_share(const struct json *doc, const struct words *w, struct share *to, struct why *why)
{
    *to = (struct share){.what = w->what};
    if (member_text(doc, "user_name") == NULL ||
        !text_copy(to->to_name, sizeof to->to_name, member_text(doc, "user_name")))
        return why_set(why, ERR_USER_NAME, "user_name is missing");
    JSON_EACH (id, json_get(doc, w->ids)) {
        if (to->count == SHARE_MAX)
            return why_set(why, ERR_BODY, "at most %d %s in one request", SHARE_MAX, w->ids);
        if (json_text(id) == NULL || !text_copy(to->ids[to->count++], sizeof to->ids[0], json_text(id)))
            return why_set(why, ERR_BODY, "%s must be a list of ids", w->ids);
    }
    if (to->count == 0)
        return why_set(why, ERR_BODY, "%s must be a list of 1 to %d ids", w->ids, SHARE_MAX);
    const struct json *primary = json_get(doc, "primary"), *transfer = json_get(doc, "transfer"),
                      *metadata = json_get(doc, "metadata");
    bool is_transfer = false;
    if ((primary != NULL && !json_bool(primary, &to->makes_primary)) ||
        (transfer != NULL && !json_bool(transfer, &is_transfer)))
        return why_set(why, ERR_BODY, "primary and transfer must be true or false");
    to->makes_primary |= is_transfer;
    if (metadata == NULL || json_is_null(metadata))
        return ERR_NONE;
    char *text = json_is_object(metadata) ? json_dup_text(metadata) : NULL;
    bool fits = text != NULL && text_copy(to->metadata, sizeof to->metadata, text);
    free(text);
    return fits
               ? ERR_NONE
               : why_set(why, ERR_BODY, "metadata must be an object of at most %d characters", SHARE_METADATA_SIZE - 1);
}

HANDLER(put_sharing)
{
    struct json *doc;
    struct share *share = malloc(sizeof *share);
    if (share == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = body_object(q, &doc, why);
    if (err == ERR_NONE) {
        err = read_share(doc, words_of(q), share, why);
        json_free(doc);
    }
    if (err == ERR_NONE)
        err = fleet_share_ask(rest->fleet, &q->user, share, q->now, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "request_id", share->id);
        json_out_end_object(&out);
    }
    free(share);
    return err;
}

HANDLER(delete_sharing)
{
    const struct words *w = words_of(q);
    const char *name = query(q, "user_name"), *ids[SHARE_MAX], *given = query(q, w->ids);
    char text[SHARE_MAX * NODE_ID_SIZE];
    unsigned count = 0;
    if (given == NULL || !text_copy(text, sizeof text, given))
        return why_set(why, ERR_BODY, "%s must name 1 to %d ids, with commas between", w->ids, SHARE_MAX);
    for (char *save, *id = strtok_r(text, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
        if (count == SHARE_MAX)
            return why_set(why, ERR_BODY, "at most %d %s in one request", SHARE_MAX, w->ids);
        ids[count++] = id;
    }
    enum err err = fleet_share_end(rest->fleet, w->what, &q->user, name ? name : q->user.name, ids, count, why);
    if (err == ERR_NONE)
        answer_done(p, "The sharing has ended");
    return err;
}

/* --- requests --------------------------------------------------------------------------------- */

static void write_share(struct json_out *out, const struct words *w, const struct share *s)
{
    static const char *const statuses[] = {"pending", "accepted", "declined"};
    json_out_object(out, NULL);
    json_out_text(out, "request_id", s->id);
    json_out_text(out, "request_status", statuses[s->status]);
    json_out_int(out, "request_timestamp", s->at / 1000);
    json_out_text(out, "user_name", s->to_name);
    json_out_text(out, "primary_user_name", s->from_name);
    json_out_bool(out, "primary", s->makes_primary);
    json_out_array(out, w->in_answer);
    for (unsigned i = 0; i < s->count; i++)
        json_out_text(out, NULL, s->ids[i]);
    json_out_end_array(out);
    if (s->metadata[0])
        json_out_raw(out, "metadata", s->metadata);
    json_out_end_object(out);
}

HANDLER(get_sharing_requests)
{
    const struct words *w = words_of(q);
    const char *id = query(q, "request_id"), *after = query(q, "start_request_id");
    int64_t max;
    unsigned count = 0;
    enum err err = query_int(q, "num_records", 1, SHARES_PAGE, SHARES_PAGE, &max, why);
    struct share *page = err ? NULL : calloc(SHARES_PAGE, sizeof *page);
    if (page == NULL)
        return err ? err : why_set(why, ERR_NO_MEMORY, "no memory");
    if (id != NULL) {
        err = fleet_share_get(rest->fleet, w->what, q->user.id, id, page, why);
        count = err == ERR_NONE;
    } else
        err = fleet_share_list(rest->fleet, w->what, q->user.id, query_is_true(q, "primary_user"), after ? after : "",
                               page, (unsigned)max, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "sharing_requests");
    for (unsigned i = 0; i < count; i++)
        write_share(&out, w, &page[i]);
    json_out_end_array(&out);
    if (id == NULL && count == (unsigned)max) {
        json_out_text(&out, "next_request_id", page[count - 1].id);
        json_out_text(&out, "next_user_name", page[count - 1].to_name);
    }
    json_out_int(&out, "total", count);
    json_out_end_object(&out);
    free(page);
    return err;
}

HANDLER(put_sharing_request)
{
    struct json *doc;
    bool accepts = false;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "request_id");
    if (id == NULL || !json_bool(json_get(doc, "accept"), &accepts))
        err = why_set(why, ERR_BODY, "give request_id, and accept as true or false");
    else
        err = fleet_share_answer(rest->fleet, words_of(q)->what, q->user.id, id, accepts, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, accepts ? "The request was accepted" : "The request was declined");
    json_free(doc);
    return err;
}

HANDLER(delete_sharing_request)
{
    const char *id = query(q, "request_id");
    enum err err = id ? fleet_share_cancel(rest->fleet, words_of(q)->what, q->user.id, id, why)
                      : why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "The request was taken back");
    return err;
}
