/* Groups of nodes, with RainMaker's paths, fields and codes: the administrators' (C.8) and those of each user (A.5). */
#include "rest/inner.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_PAGE     25
#define GROUP_NODES_MAX 100 /* nodes in one request */
#define MEMBERS_PAGE    100

static bool is_users(const struct rest_request *q)
{
    return strncmp(q->path, "/v1/user/", 9) == 0;
}

static const char *owner_of(const struct rest_request *q)
{
    return is_users(q) ? q->user.id : "";
}

/* --- answers ---------------------------------------------------------------------------------- */

static enum err write_members(struct rest *rest, struct rest_request *q, struct json_out *out, const struct group *g,
                              struct why *why)
{
    bool is_detailed = query_is_true(q, "node_details");
    unsigned count = 0;
    char(*ids)[NODE_ID_SIZE] = calloc(MEMBERS_PAGE, sizeof *ids);
    if (ids == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = fleet_group_members(rest->fleet, g->id, query(q, "start_id") ? query(q, "start_id") : "", q->now,
                                       ids, MEMBERS_PAGE, &count, why);
    json_out_array(out, is_detailed ? "node_details" : "nodes");
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct node node;
        if (!is_detailed)
            json_out_text(out, NULL, ids[i]);
        else if (fleet_node_get(rest->fleet, ids[i], &node, NULL) == ERR_NONE)
            write_node(out, NULL, &node);
    }
    json_out_end_array(out);
    if (count == MEMBERS_PAGE)
        json_out_text(out, "next_id", ids[count - 1]);
    free(ids);
    return err;
}

static void write_sub_groups(struct rest *rest, struct json_out *out, const struct group *g)
{
    unsigned count = 0;
    struct group *children = calloc(GROUP_NODES_MAX, sizeof *children);
    json_out_array(out, "sub_groups");
    if (children != NULL &&
        fleet_group_children(rest->fleet, g->id, children, GROUP_NODES_MAX, &count, NULL) == ERR_NONE)
        for (unsigned i = 0; i < count; i++) {
            json_out_object(out, NULL);
            json_out_text(out, "group_id", children[i].id);
            json_out_text(out, "group_name", children[i].name);
            json_out_end_object(out);
        }
    json_out_end_array(out);
    free(children);
}

static enum err write_group(struct rest *rest, struct rest_request *q, struct json_out *out, const struct group *g,
                            bool has_nodes, struct why *why)
{
    json_out_object(out, NULL);
    json_out_text(out, "group_id", g->id);
    json_out_text(out, "group_name", g->name);
    if (g->parent_id[0])
        json_out_text(out, "parent_group_id", g->parent_id);
    json_out_text(out, "type", g->type);
    json_out_text(out, "description", g->description);
    json_out_text(out, "custom_data", g->custom_data);
    json_out_int(out, "total", g->total);
    if (g->query[0])
        json_out_text(out, "group_query", g->query);
    enum err err = ERR_NONE;
    if (has_nodes) {
        write_sub_groups(rest, out, g);
        err = write_members(rest, q, out, g, why);
    }
    json_out_end_object(out);
    return err;
}

/* --- get -------------------------------------------------------------------------------------- */

static enum err one_group(struct rest *rest, struct rest_request *q, struct rest_response *p, struct why *why)
{
    struct group g;
    struct json_out out;
    const char *id = query(q, "group_id"), *name = query(q, "group_name");
    enum err err = id ? fleet_group_get(rest->fleet, owner_of(q), id, &g, why)
                      : fleet_group_find(rest->fleet, owner_of(q), name, &g, why);
    if (err != ERR_NONE)
        return err;
    json_out_init(&out, &p->body);
    /* By name the answer is an array: the admin command line insists (B.2).  The user's command line looks into
     * "groups" (A.5). */
    if (id == NULL)
        json_out_array(&out, NULL);
    if (is_users(q)) {
        json_out_object(&out, NULL);
        json_out_array(&out, "groups");
    }
    err = write_group(rest, q, &out, &g, true, why);
    if (is_users(q)) {
        json_out_end_array(&out);
        json_out_end_object(&out);
    }
    if (id == NULL)
        json_out_end_array(&out);
    return err;
}

/* node_type, node_model and node_fw_version as one rule; "" when none is given. */
static void rule_of(const char *type, const char *model, const char *version, char to[QUERY_SIZE])
{
    const struct {
        const char *field, *value;
    } parts[] = {{"node_type", type}, {"node_model", model}, {"node_fw_version", version}};
    struct text t;
    text_init(&t, to, QUERY_SIZE);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].value == NULL || *parts[i].value == '\0')
            continue;
        /* A plain word stands as RainMaker writes it; others need their quotes to be read again. */
        bool is_plain = text_is_plain_id(parts[i].value, 64);
        text_add(&t, is_plain ? "%s%s: %s" : "%s%s: \"%s\"", t.len > 0 ? " && " : "", parts[i].field, parts[i].value);
    }
}

static bool is_wanted(const struct group *g, const char *rule)
{
    return *rule == '\0' || strcmp(g->query, rule) == 0;
}

HANDLER(get_groups)
{
    char rule[QUERY_SIZE], after[ID_LEN + 1];
    int64_t max;
    unsigned count = GROUPS_PAGE, shown = 0;
    if (query(q, "group_id") || query(q, "group_name"))
        return one_group(rest, q, p, why);
    enum err err = query_int(q, "num_records", 1, 100, GROUPS_PAGE, &max, why);
    struct group *page = calloc(GROUPS_PAGE, sizeof *page);
    if (page == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    rule_of(query(q, "node_type"), query(q, "node_model"), query(q, "node_fw_version"), rule);
    text_copy(after, sizeof after, query(q, "start_id"));
    struct json_out out = answer(p);
    json_out_array(&out, "groups");
    while (err == ERR_NONE && count == GROUPS_PAGE && shown < max) {
        err = fleet_group_list(rest->fleet, owner_of(q), after, page, GROUPS_PAGE, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count && shown < max; i++) {
            text_copy(after, sizeof after, page[i].id);
            if (is_wanted(&page[i], rule)) {
                err = write_group(rest, q, &out, &page[i], false, why);
                shown++;
            }
        }
    }
    if (err == ERR_NONE && is_users(q) && query(q, "start_id") == NULL) {
        err = fleet_shared_groups(rest->fleet, q->user.id, page, GROUPS_PAGE, &count, why);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++)
            err = write_group(rest, q, &out, &page[i], false, why);
    }
    json_out_end_array(&out);
    if (shown == max)
        json_out_text(&out, "next_id", after);
    json_out_end_object(&out);
    free(page);
    if (err == ERR_NONE && shown == 0 && !is_users(q) && *rule == '\0' && query(q, "start_id") == NULL)
        err = why_set(why, ERR_GROUP_NONE, "there are no groups yet");
    return err;
}

/* --- changes ---------------------------------------------------------------------------------- */

static enum err take_nodes(const struct json *list, const char **nodes, unsigned *count, struct why *why)
{
    *count = 0;
    JSON_EACH (node, list) {
        if (json_text(node) == NULL)
            return why_set(why, ERR_BODY, "nodes must be strings");
        if (*count == GROUP_NODES_MAX)
            return why_set(why, ERR_JOB_NODES, "at most %d nodes in one request", GROUP_NODES_MAX);
        nodes[(*count)++] = json_text(node);
    }
    return ERR_NONE;
}

/* A user groups what is theirs. */
static enum err check_nodes(struct rest *rest, const struct rest_request *q, const char *const *nodes, unsigned count,
                            struct why *why)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; is_users(q) && err == ERR_NONE && i < count; i++)
        err = users_node(rest, q, nodes[i], why);
    return err;
}

HANDLER(post_group)
{
    struct json *doc;
    struct group g;
    const char *nodes[GROUP_NODES_MAX];
    unsigned count = 0;
    char rule[QUERY_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    rule_of(member_text(doc, "node_type"), member_text(doc, "node_model"), member_text(doc, "node_fw_version"), rule);
    struct group_order order = {.name = member_text(doc, "group_name"),
                                .parent_id = member_text(doc, "parent_group_id"),
                                .type = member_text(doc, "type"),
                                .description = member_text(doc, "description"),
                                .custom_data = member_text(doc, "custom_data"),
                                .query = *rule ? rule : member_text(doc, "query"),
                                .nodes = nodes};
    err = take_nodes(json_get(doc, "nodes"), nodes, &count, why);
    order.node_count = count;
    if (err == ERR_NONE)
        err = check_nodes(rest, q, nodes, count, why);
    if (err == ERR_NONE)
        err = fleet_group_add(rest->fleet, owner_of(q), &order, q->now, &g, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "group_id", g.id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

/* Rules are asked anew each time, so there is nothing to do but to say whether there is one. */
static enum err regroup(struct rest *rest, const struct rest_request *q, const char *id, struct why *why)
{
    struct group g;
    enum err err = fleet_group_get(rest->fleet, owner_of(q), id, &g, why);
    return err || g.query[0] ? err : why_set(why, ERR_GROUP_NO_RULE, "group %s has no rule", g.name);
}

static enum err change_group(struct rest *rest, const struct rest_request *q, const struct json *doc, const char *id,
                             struct why *why)
{
    const char *operation = member_text(doc, "operation"), *nodes[GROUP_NODES_MAX];
    unsigned count = 0;
    bool is_regroup = false;
    struct group g;
    if (json_bool(json_get(doc, "regroup"), &is_regroup) && is_regroup)
        return regroup(rest, q, id, why);
    if (operation == NULL) {
        struct group_order order = {.name = json_text(json_get(doc, "group_name")),
                                    .type = json_text(json_get(doc, "type")),
                                    .description = json_text(json_get(doc, "description")),
                                    .custom_data = json_text(json_get(doc, "custom_data"))};
        return fleet_group_edit(rest->fleet, owner_of(q), id, &order, &g, why);
    }
    bool is_add = strcmp(operation, "add") == 0;
    if (!is_add && strcmp(operation, "remove") != 0)
        return why_set(why, ERR_BODY, "operation must be add or remove");
    enum err err = take_nodes(json_get(doc, "nodes"), nodes, &count, why);
    if (err == ERR_NONE && is_add)
        err = check_nodes(rest, q, nodes, count, why);
    return err ? err : fleet_group_nodes(rest->fleet, owner_of(q), id, nodes, count, is_add, q->now, why);
}

HANDLER(put_group)
{
    struct json *doc;
    const char *id = query(q, "group_id");
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = id ? change_group(rest, q, doc, id, why) : why_set(why, ERR_GROUP_NOT_FOUND, "group_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "Group changed");
    json_free(doc);
    return err;
}

HANDLER(delete_group)
{
    const char *id = query(q, "group_id");
    enum err err = id ? fleet_group_delete(rest->fleet, owner_of(q), id, why)
                      : why_set(why, ERR_GROUP_NOT_FOUND, "group_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "Group deleted");
    return err;
}
