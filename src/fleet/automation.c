/*
 * Automations: when a node's parameters become so, parameters of nodes are set.  What a user orders is kept as it came,
 * and is looked at with each report of its node.  It acts when its condition begins to hold; one that retriggers acts
 * with each report that shows it, RETRIGGER_MS apart at least, so that two of them do not drive each other round.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define RETRIGGER_MS     10000
#define AUTOMATIONS_MAX  (KEYS_MAX - 1) /* of one node, and of one user */
#define AUTOMATION_BYTES 8192

/* --- conditions ------------------------------------------------------------------------------- */

static const char *const checks[] = {"==", "!=", "<", "<=", ">", ">="};

#define CHECKS (sizeof checks / sizeof checks[0])

/* A JSON number that need not be whole. */
static bool number_of(const struct json *value, double *to)
{
    char *text = value && !json_text(value) ? json_dup_text(value) : NULL, *end = NULL;
    if (text != NULL)
        *to = strtod(text, &end);
    bool is_number = text != NULL && end != text && *end == '\0';
    free(text);
    return is_number;
}

static bool same_text(const struct json *a, const struct json *b)
{
    char *x = json_dup_text(a), *y = json_dup_text(b);
    bool is_same = x != NULL && y != NULL && strcmp(x, y) == 0;
    free(x);
    free(y);
    return is_same;
}

static bool compare(const struct json *have, const char *check, const struct json *want)
{
    double a, b;
    if (have == NULL || want == NULL)
        return false;
    if (!number_of(have, &a) || !number_of(want, &b)) /* texts and truth are equal or not */
        return strcmp(check, "==") == 0 ? same_text(have, want) : strcmp(check, "!=") == 0 && !same_text(have, want);
    const bool answers[CHECKS] = {a >= b && a <= b, a < b || a > b, a<b, a <= b, a> b, a >= b};
    for (size_t i = 0; i < CHECKS; i++)
        if (strcmp(checks[i], check) == 0)
            return answers[i];
    return false;
}

/* {"params": {"Light": {"Power": true}}, "check": "=="}: each parameter that is named. */
static bool event_holds(const struct json *event, const struct json *params)
{
    const char *check = json_text(json_get(event, "check"));
    unsigned count = 0;
    JSON_EACH (device, json_get(event, "params"))
        JSON_EACH (param, device) {
            count++;
            if (!compare(json_get(json_get(params, json_name(device)), json_name(param)), check ? check : "==", param))
                return false;
        }
    return count > 0;
}

static bool holds(const struct json *automation, const struct json *params)
{
    const char *joint = json_text(json_get(automation, "event_operator"));
    bool is_any = joint != NULL && strcmp(joint, "or") == 0, all = true, any = false;
    JSON_EACH (event, json_get(automation, "events")) {
        bool it_does = event_holds(event, params);
        all &= it_does;
        any |= it_does;
    }
    return is_any ? any : all && json_first(json_get(automation, "events")) != NULL;
}

/* --- orders ----------------------------------------------------------------------------------- */

static bool is_check(const struct json *value)
{
    if (value == NULL)
        return true;
    for (size_t i = 0; i < CHECKS; i++)
        if (json_text(value) != NULL && strcmp(json_text(value), checks[i]) == 0)
            return true;
    return false;
}

static bool is_order(const struct json *params)
{
    JSON_EACH (device, params)
        if (!json_is_object(device) || json_first(device) == NULL)
            return false;
    return json_is_object(params) && json_first(params) != NULL;
}

static enum err check_order(struct tx *tx, const char *user_id, const struct json *order)
{
    struct own_node own;
    enum err err;
    const char *type = json_text(json_get(order, "event_type")), *name = json_text(json_get(order, "name")),
               *node = json_text(json_get(order, "node_id")), *joint = json_text(json_get(order, "event_operator"));
    if (name == NULL || *name == '\0' || strlen(name) >= NAME_SIZE)
        return why_set(tx->why, ERR_BODY, "name must have 1 to %d characters", NAME_SIZE - 1);
    if (type != NULL && strcmp(type, "node_params") != 0)
        return why_set(tx->why, ERR_BODY, "event_type %.40s is not known here: node_params is", type);
    if (joint != NULL && strcmp(joint, "and") != 0 && strcmp(joint, "or") != 0)
        return why_set(tx->why, ERR_BODY, "event_operator must be and, or");
    if (node == NULL)
        return why_set(tx->why, ERR_NODE_ID, "node_id is missing");
    if ((err = mapping_get(tx, user_id, node, &own)) != ERR_NONE)
        return err;
    if (json_first(json_get(order, "events")) == NULL || json_first(json_get(order, "actions")) == NULL)
        return why_set(tx->why, ERR_BODY, "give events and actions, one at least of each");
    JSON_EACH (event, json_get(order, "events"))
        if (!is_order(json_get(event, "params")) || !is_check(json_get(event, "check")))
            return why_set(tx->why, ERR_BODY, "an event is {\"params\":{DEVICE:{PARAM:VALUE}},\"check\":\"==\"}");
    JSON_EACH (action, json_get(order, "actions")) {
        const char *target = json_text(json_get(action, "node_id"));
        if (target == NULL || !is_order(json_get(action, "params")))
            return why_set(tx->why, ERR_BODY, "an action is {\"node_id\":ID,\"params\":{DEVICE:{PARAM:VALUE}}}");
        if ((err = mapping_get(tx, user_id, target, &own)) != ERR_NONE)
            return err;
    }
    return ERR_NONE;
}

/* --- cards ------------------------------------------------------------------------------------ */

/* {"user":..,"held":..,"acted_at":..,"order":{..}} */
static enum err put(struct tx *tx, const char *id, const char *user_id, const struct json *order, bool held,
                    time_ms acted_at)
{
    struct buf text = {0};
    struct json_out out;
    char *kept = json_dup_text(order);
    if (kept == NULL || strlen(kept) > AUTOMATION_BYTES) {
        free(kept);
        return why_set(tx->why, ERR_TOO_BIG, "an automation has at most %d characters", AUTOMATION_BYTES);
    }
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "user", user_id);
    json_out_bool(&out, "held", held);
    json_out_int(&out, "acted_at", acted_at);
    json_out_raw(&out, "order", kept);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_AUTOMATION, id, &text);
    free(kept);
    buf_deinit(&text);
    return err;
}

/* ERR_AUTOMATION for one that is not the user's (NULL: anybody's). */
static enum err get(struct tx *tx, const char *user_id, const char *id, struct json **to)
{
    char *text = NULL;
    *to = NULL;
    enum err err = strlen(id) <= ID_LEN ? tx_card(tx, CARD_AUTOMATION, id, &text) : ERR_NONE;
    if (err == ERR_NONE && text != NULL)
        err = json_parse(bytes_of_text(text), to, tx->why);
    free(text);
    const char *owner = json_text(json_get(*to, "user"));
    if (err == ERR_NONE && (owner == NULL || (user_id != NULL && strcmp(owner, user_id) != 0))) {
        json_free(*to);
        *to = NULL;
        err = why_set(tx->why, ERR_AUTOMATION, "there is no automation %.40s", id);
    }
    return err;
}

static enum err index_it(struct tx *tx, const char *id, const char *user_id, const char *node_id, bool is_there)
{
    char key[CARD_KEY_SIZE];
    enum err err = ERR_NONE;
    for (int i = 0; err == ERR_NONE && i < 2; i++) {
        enum card_kind kind = i == 0 ? CARD_AUTOMATION_OF : CARD_AUTOMATION_BY;
        card_key(key, i == 0 ? node_id : user_id, id);
        err = is_there ? tx->db->card_put(tx->s, kind, key, bytes_of_text("{}"), tx->why)
                       : tx->db->card_delete(tx->s, kind, key, tx->why);
    }
    return err;
}

static enum err check_room(struct tx *tx, enum card_kind kind, const char *before)
{
    struct key_list l;
    enum err err = tx_keys(tx, kind, before, &l);
    return err || l.count <= AUTOMATIONS_MAX - 1
               ? err
               : why_set(tx->why, ERR_TOO_BIG, "a user and a node have at most %d automations", AUTOMATIONS_MAX);
}

static enum err add(struct tx *tx, const char *user_id, const struct json *order, const char *id)
{
    const char *node = json_text(json_get(order, "node_id"));
    enum err err;
    if ((err = check_order(tx, user_id, order)) != ERR_NONE ||
        (err = check_room(tx, CARD_AUTOMATION_BY, user_id)) != ERR_NONE ||
        (err = check_room(tx, CARD_AUTOMATION_OF, node)) != ERR_NONE ||
        (err = put(tx, id, user_id, order, false, 0)) != ERR_NONE)
        return err;
    return index_it(tx, id, user_id, node, true);
}

enum err fleet_automation_add(struct fleet *f, const char *user_id, const struct json *order, time_ms now,
                              char id[ID_LEN + 1], struct why *why)
{
    struct tx tx;
    text_copy(id, ID_LEN + 1, id_new(f->entropy).text);
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add(&tx, user_id, order, id));
}

/* The members that are given take the place of the old; the whole has to be right again. */
static enum err edit(struct tx *tx, const char *user_id, const char *id, const struct json *changes)
{
    struct json *kept, *order = NULL;
    enum err err = get(tx, user_id, id, &kept);
    if (err != ERR_NONE)
        return err;
    char *text = json_dup_text(json_get(kept, "order"));
    const char *before = json_text(json_get(json_get(kept, "order"), "node_id"));
    err = text ? json_parse(bytes_of_text(text), &order, tx->why) : why_set(tx->why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE && !json_merge(order, changes))
        err = why_set(tx->why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = check_order(tx, user_id, order);
    if (err == ERR_NONE && before != NULL)
        err = index_it(tx, id, user_id, before, false);
    if (err == ERR_NONE)
        err = index_it(tx, id, user_id, json_text(json_get(order, "node_id")), true);
    if (err == ERR_NONE)
        err = put(tx, id, user_id, order, false, 0);
    free(text);
    json_free(order);
    json_free(kept);
    return err;
}

enum err fleet_automation_edit(struct fleet *f, const char *user_id, const char *id, const struct json *changes,
                               time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, edit(&tx, user_id, id, changes));
}

static enum err drop(struct tx *tx, const char *user_id, const char *id)
{
    struct json *kept;
    enum err err = get(tx, user_id, id, &kept);
    if (err != ERR_NONE)
        return err;
    const char *node = json_text(json_get(json_get(kept, "order"), "node_id"));
    err = index_it(tx, id, json_text(json_get(kept, "user")), node ? node : "", false);
    json_free(kept);
    return err ? err : tx->db->card_delete(tx->s, CARD_AUTOMATION, id, tx->why);
}

enum err fleet_automation_drop(struct fleet *f, const char *user_id, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, drop(&tx, user_id, id));
}

static enum err list(struct tx *tx, const char *user_id, struct name_visitor *v)
{
    struct key_list l;
    bool goes_on = true;
    enum err err = tx_keys(tx, CARD_AUTOMATION_BY, user_id, &l);
    for (unsigned i = 0; err == ERR_NONE && goes_on && i < l.count; i++) {
        struct json *kept;
        if ((err = get(tx, user_id, l.ids[i], &kept)) != ERR_NONE)
            return err;
        char *text = json_dup_text(json_get(kept, "order"));
        goes_on = v->visit(v, l.ids[i], text ? text : "{}");
        free(text);
        json_free(kept);
    }
    return err;
}

enum err fleet_automation_list(struct fleet *f, const char *user_id, struct name_visitor *v, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, list(&tx, user_id, v));
}

/* --- acting ----------------------------------------------------------------------------------- */

static enum err act(struct tx *tx, const char *user_id, const struct json *order)
{
    enum err err = ERR_NONE;
    JSON_EACH (action, json_get(order, "actions")) {
        struct own_node own;
        const char *node = json_text(json_get(action, "node_id"));
        char *params = json_dup_text(json_get(action, "params"));
        /* It may not be the user's any more. */
        if (err == ERR_NONE && node != NULL && params != NULL && mapping_get(tx, user_id, node, &own) == ERR_NONE)
            err = params_send(tx, node, params);
        free(params);
    }
    return err;
}

static enum err consider(struct tx *tx, const char *id, const struct json *params)
{
    struct json *kept;
    bool held = false, retriggers = false, is_enabled = true;
    int64_t acted_at = 0;
    enum err err = get(tx, NULL, id, &kept);
    if (err != ERR_NONE)
        return err == ERR_AUTOMATION ? ERR_NONE : err;
    const struct json *order = json_get(kept, "order");
    const char *user = json_text(json_get(kept, "user"));
    json_bool(json_get(kept, "held"), &held);
    json_int(json_get(kept, "acted_at"), &acted_at);
    json_bool(json_get(order, "retrigger"), &retriggers);
    json_bool(json_get(order, "enabled"), &is_enabled);
    bool now_holds = is_enabled && holds(order, params);
    bool acts = now_holds && (!held || (retriggers && tx->now - acted_at >= RETRIGGER_MS));
    if (acts)
        err = act(tx, user, order);
    if (err == ERR_NONE && (acts || now_holds != held))
        err = put(tx, id, user, order, now_holds, acts ? tx->now : acted_at);
    json_free(kept);
    return err;
}

enum err automations_see(struct tx *tx, const char *node_id, const struct json *params)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_AUTOMATION_OF, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++)
        err = consider(tx, l.ids[i], params);
    return err;
}

enum err automations_forget_node(struct tx *tx, const char *node_id)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_AUTOMATION_OF, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++)
        err = drop(tx, NULL, l.ids[i]);
    return err;
}

enum err automations_forget_user(struct tx *tx, const char *user_id)
{
    struct key_list l;
    enum err err = tx_keys(tx, CARD_AUTOMATION_BY, user_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++)
        err = drop(tx, user_id, l.ids[i]);
    return err;
}
