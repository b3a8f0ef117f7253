/*
 * Commands that users send to their nodes.  Each node of a request has a card of its own; what it has not answered yet
 * is found by the node, and goes to it again whenever it connects, until its time is over.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define WAITING_MAX KEYS_MAX /* of one node */

/* --- cards ------------------------------------------------------------------------------------ */

static void write_hex(struct json_out *out, const char *key, struct bytes data)
{
    char hex[2 * COMMAND_DATA_MAX + 1];
    hex_encode(hex, data);
    json_out_text(out, key, hex);
}

static enum err put_request(struct tx *tx, const struct command_request *r)
{
    char key[CARD_KEY_SIZE];
    struct buf text = {0};
    struct json_out out;
    card_key(key, r->id, r->node_id);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "user_id", r->user_id);
    json_out_int(&out, "role", r->command.role);
    json_out_int(&out, "number", r->command.number);
    write_hex(&out, "data", bytes_of(r->command.data, r->command.data_len));
    json_out_int(&out, "status", r->status);
    json_out_int(&out, "device_status", r->device_status);
    write_hex(&out, "answer", bytes_of(r->answer, r->answer_len));
    json_out_int(&out, "at", r->at);
    json_out_int(&out, "until", r->until);
    json_out_int(&out, "answered_at", r->answered_at);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_COMMAND, key, &text);
    buf_deinit(&text);
    return err;
}

static size_t read_hex(const struct json *doc, const char *key, uint8_t to[static COMMAND_DATA_MAX])
{
    const char *hex = json_text(json_get(doc, key));
    size_t len = 0;
    if (hex == NULL || strlen(hex) > 2 * COMMAND_DATA_MAX || !hex_decode(to, &len, bytes_of_text(hex)))
        return 0;
    return len;
}

static bool read_request(const char *key, const char *text, time_ms now, struct command_request *to)
{
    struct json *doc;
    int64_t role = COMMAND_BY_PRIMARY, number = 0, status = 0, device_status = 0;
    const char *slash = strchr(key, '/');
    *to = (struct command_request){.status = COMMAND_REQUESTED};
    if (slash == NULL || json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return false;
    text_copy_field(to->id, sizeof to->id, key, (size_t)(slash - key));
    text_copy(to->node_id, sizeof to->node_id, slash + 1);
    json_copy_text(doc, "user_id", to->user_id, sizeof to->user_id);
    json_int(json_get(doc, "role"), &role);
    json_int(json_get(doc, "number"), &number);
    json_int(json_get(doc, "status"), &status);
    json_int(json_get(doc, "device_status"), &device_status);
    json_int(json_get(doc, "at"), &to->at);
    json_int(json_get(doc, "until"), &to->until);
    json_int(json_get(doc, "answered_at"), &to->answered_at);
    to->command.data_len = read_hex(doc, "data", to->command.data);
    to->answer_len = read_hex(doc, "answer", to->answer);
    json_free(doc);
    to->command.role = (enum command_role)role;
    to->command.number = (unsigned)number;
    to->status = (enum command_status)status;
    to->device_status = (unsigned)device_status;
    if (to->status <= COMMAND_IN_PROGRESS && now > to->until)
        to->status = COMMAND_TIMED_OUT;
    return true;
}

/* ERR_MAP_REQUEST. */
static enum err get_request(struct tx *tx, const char *id, const char *node_id, struct command_request *to)
{
    char key[CARD_KEY_SIZE], *text = NULL;
    card_key(key, id, node_id);
    enum err err = tx_card(tx, CARD_COMMAND, key, &text);
    if (err == ERR_NONE && (text == NULL || !read_request(key, text, tx->now, to)))
        err = why_set(tx->why, ERR_MAP_REQUEST, "there is no request %.40s to node %.64s", id, node_id);
    free(text);
    return err;
}

static enum err stop_waiting(struct tx *tx, const char *node_id, const char *id)
{
    char key[CARD_KEY_SIZE];
    card_key(key, node_id, id);
    return tx->db->card_delete(tx->s, CARD_COMMAND_WAITING, key, tx->why);
}

/* --- to the node ------------------------------------------------------------------------------ */

/* The message is bytes, the outbox keeps texts: it goes through as hex (link). */
static enum err send_request(struct tx *tx, struct command_request *r)
{
    struct buf bytes = {0};
    struct outbox_row row = {.topic = TOPIC_TO_NODE, .at = tx->now};
    text_copy(row.node_id, sizeof row.node_id, r->node_id);
    text_copy(r->command.request_id, sizeof r->command.request_id, r->id);
    r->command.at = r->at / 1000;
    command_write(&bytes, &r->command);
    char *hex = bytes.is_failed ? NULL : malloc(2 * bytes.len + 1);
    if (hex == NULL) {
        buf_deinit(&bytes);
        return why_set(tx->why, ERR_NO_MEMORY, "no memory");
    }
    hex_encode(hex, buf_bytes(&bytes));
    enum err err = tx->db->outbox_add(tx->s, &row, hex, tx->why);
    tx->is_ringing = true;
    free(hex);
    buf_deinit(&bytes);
    r->status = COMMAND_IN_PROGRESS;
    return err ? err : put_request(tx, r);
}

/* What waits for the node, and has time left; what has not is forgotten. */
static enum err send_waiting(struct tx *tx, const char *node_id)
{
    struct key_list l;
    struct command_request r;
    enum err err = tx_keys(tx, CARD_COMMAND_WAITING, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        if ((err = get_request(tx, l.ids[i], node_id, &r)) == ERR_NONE && r.status <= COMMAND_IN_PROGRESS)
            err = send_request(tx, &r);
        else if (err == ERR_NONE || err == ERR_MAP_REQUEST)
            err = stop_waiting(tx, node_id, l.ids[i]);
    }
    return err;
}

/* Makes room: what timed out, and with `is_override` what has the same number. */
static enum err clear_waiting(struct tx *tx, const struct command_order *o, const char *node_id)
{
    struct key_list l;
    struct command_request r;
    unsigned left = 0;
    enum err err = tx_keys(tx, CARD_COMMAND_WAITING, node_id, &l);
    for (unsigned i = 0; err == ERR_NONE && i < l.count; i++) {
        enum err found = get_request(tx, l.ids[i], node_id, &r);
        bool is_open = found == ERR_NONE && r.status <= COMMAND_IN_PROGRESS;
        bool is_replaced = is_open && o->is_override && r.command.number == o->number;
        if (is_replaced) {
            r.status = COMMAND_TIMED_OUT;
            err = put_request(tx, &r);
        }
        if (is_open && !is_replaced)
            left++;
        else if (err == ERR_NONE)
            err = stop_waiting(tx, node_id, l.ids[i]);
    }
    return err || left < WAITING_MAX
               ? err
               : why_set(tx->why, ERR_TRAFFIC, "%d commands wait for node %s already", WAITING_MAX, node_id);
}

static enum command_role role_at(struct tx *tx, const struct user *user, const char *node_id)
{
    struct own_node own;
    if (mapping_get(tx, user->id, node_id, &own) != ERR_NONE)
        return COMMAND_BY_SUPER; /* who may look after all nodes */
    return own.is_primary ? COMMAND_BY_PRIMARY : COMMAND_BY_SECONDARY;
}

static enum err order_one(struct tx *tx, const struct user *user, const struct command_order *o, const char *id,
                          const char *node_id)
{
    struct node node;
    char key[CARD_KEY_SIZE];
    enum err err;
    if ((err = tx_node(tx, node_id, &node)) != ERR_NONE || (err = clear_waiting(tx, o, node_id)) != ERR_NONE)
        return err;
    struct command_request r = {
        .status = COMMAND_REQUESTED,
        .command = {.role = role_at(tx, user, node_id), .number = o->number, .data_len = o->data.len},
        .at = tx->now,
        .until = tx->now + o->life_ms};
    text_copy(r.id, sizeof r.id, id);
    text_copy(r.node_id, sizeof r.node_id, node_id);
    text_copy(r.user_id, sizeof r.user_id, user->id);
    memcpy(r.command.data, o->data.at, o->data.len);
    card_key(key, node_id, id);
    if ((err = put_request(tx, &r)) != ERR_NONE ||
        (err = tx->db->card_put(tx->s, CARD_COMMAND_WAITING, key, bytes_of_text("{}"), tx->why)) != ERR_NONE)
        return err;
    return node.is_online ? send_request(tx, &r) : ERR_NONE;
}

static enum err order(struct tx *tx, const struct user *user, const struct command_order *o, const char *id)
{
    enum err err = ERR_NONE;
    for (unsigned i = 0; err == ERR_NONE && i < o->node_count; i++)
        err = order_one(tx, user, o, id, o->nodes[i]);
    return err;
}

enum err fleet_command(struct fleet *f, const struct user *user, const struct command_order *o, time_ms now,
                       char id[ID_LEN + 1], struct why *why)
{
    struct tx tx;
    if (o->data.len > COMMAND_DATA_MAX)
        return why_set(why, ERR_TOO_BIG, "a command's data has at most %d bytes", COMMAND_DATA_MAX);
    text_copy(id, ID_LEN + 1, id_new(f->entropy).text);
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, order(&tx, user, o, id));
}

/* --- from the node ---------------------------------------------------------------------------- */

static enum err take_answer(struct tx *tx, const char *node_id, const struct command *c)
{
    struct command_request r;
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    if (c->request_id[0] == '\0') /* a poll, after each connection */
        return send_waiting(tx, node_id);
    if ((err = get_request(tx, c->request_id, node_id, &r)) != ERR_NONE || r.status > COMMAND_IN_PROGRESS)
        return err;
    r.status = c->status == 0 ? COMMAND_SUCCESS : COMMAND_FAILURE;
    r.device_status = c->status;
    r.answered_at = tx->now;
    r.answer_len = c->data_len;
    memcpy(r.answer, c->data, c->data_len);
    if ((err = put_request(tx, &r)) != ERR_NONE || (err = stop_waiting(tx, node_id, r.id)) != ERR_NONE)
        return err;
    return tx_event_told(tx, EVENT_NODE, node_id, NULL, "command");
}

enum err fleet_on_command(struct fleet *f, const char *node_id, const struct command *c, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, take_answer(&tx, node_id, c));
}

/* --- asking ----------------------------------------------------------------------------------- */

struct command_list {
    struct card_visitor v;
    struct command_request *to;
    unsigned max, count;
    const char *user_id;
    time_ms now;
};

static bool note_request(struct card_visitor *v, const char *key, const char *text)
{
    struct command_list *l = (struct command_list *)v;
    struct command_request *r = &l->to[l->count];
    if (read_request(key, text, l->now, r) && strcmp(r->user_id, l->user_id) == 0)
        l->count++;
    return l->count < l->max;
}

enum err fleet_command_get(struct fleet *f, const char *user_id, const char *id, time_ms now,
                           struct command_request *to, unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    char prefix[CARD_KEY_SIZE];
    struct command_list l = {.v = {note_request}, .to = to, .max = max, .user_id = user_id, .now = now};
    card_key(prefix, id, "");
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx.db->card_scan(tx.s, CARD_COMMAND, prefix, "", &l.v, why));
    *count = l.count;
    return err || l.count > 0 ? err : why_set(why, ERR_MAP_REQUEST, "there is no request %.40s", id);
}
