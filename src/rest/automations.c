/* Automations of users (A.5): kept as they come, with an id. */
#include "rest/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lister {
    struct name_visitor v;
    struct json_out *out;
    const char *id, *node_id; /* wanted; NULL: all */
    unsigned count;
};

static bool write_one(struct name_visitor *v, const char *id, const char *text)
{
    struct lister *l = (struct lister *)v;
    struct json *order, *more;
    char own[64];
    snprintf(own, sizeof own, "{\"automation_id\":\"%.40s\"}", id);
    if ((l->id != NULL && strcmp(l->id, id) != 0) || json_parse(bytes_of_text(text), &order, NULL) != ERR_NONE)
        return true;
    const char *node = json_text(json_get(order, "node_id"));
    bool is_wanted = l->node_id == NULL || (node != NULL && strcmp(node, l->node_id) == 0);
    if (is_wanted && json_parse(bytes_of_text(own), &more, NULL) == ERR_NONE) {
        json_merge(order, more);
        char *whole = json_dup_text(order);
        json_out_raw(l->out, NULL, whole ? whole : "{}");
        l->count++;
        free(whole);
        json_free(more);
    }
    json_free(order);
    return true;
}

HANDLER(get_automations)
{
    struct json_out out = answer(p);
    struct lister l = {.v = {write_one}, .out = &out, .id = query(q, "automation_id"), .node_id = query_node(q)};
    json_out_array(&out, "automation_trigger_actions");
    enum err err = fleet_automation_list(rest->fleet, q->user.id, &l.v, why);
    json_out_end_array(&out);
    json_out_int(&out, "total", l.count);
    json_out_end_object(&out);
    if (err == ERR_NONE && l.id != NULL && l.count == 0)
        err = why_set(why, ERR_AUTOMATION, "there is no automation %.40s", l.id);
    return err;
}

HANDLER(post_automation)
{
    struct json *doc;
    char id[ID_LEN + 1];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = fleet_automation_add(rest->fleet, q->user.id, doc, q->now, id, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "automation_id", id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

HANDLER(put_automation)
{
    struct json *doc;
    const char *id = query(q, "automation_id");
    if (id == NULL)
        return why_set(why, ERR_AUTOMATION, "automation_id is missing");
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = fleet_automation_edit(rest->fleet, q->user.id, id, doc, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "The automation was changed");
    json_free(doc);
    return err;
}

HANDLER(delete_automation)
{
    const char *id = query(q, "automation_id");
    enum err err = id ? fleet_automation_drop(rest->fleet, q->user.id, id, why)
                      : why_set(why, ERR_AUTOMATION, "automation_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "The automation is gone");
    return err;
}
