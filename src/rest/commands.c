/* Commands to nodes, as RainMaker's create_cmd_request sends them, and what became of them (A.5). */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"

#include <stdlib.h>
#include <string.h>

#define COMMAND_LIFE_S     60
#define COMMAND_LIFE_S_MAX 2592000
#define COMMAND_NUMBER_MAX 65535

/* The data as bytes; `to` has room for COMMAND_DATA_MAX. */
static enum err read_data(const struct json *doc, uint8_t *to, size_t *len, struct why *why)
{
    const struct json *data = json_get(doc, "data");
    bool is_base64 = false;
    *len = 0;
    if (json_get(doc, "is_base64") != NULL && !json_bool(json_get(doc, "is_base64"), &is_base64))
        return why_set(why, ERR_BODY, "is_base64 must be true or false");
    if (data == NULL || json_is_null(data))
        return ERR_NONE;
    char *text = json_text(data) ? NULL : json_dup_text(data); /* JSON that is no text goes as it is written */
    const char *plain = json_text(data) ? json_text(data) : text;
    enum err err = plain ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE && strlen(plain) > (is_base64 ? BASE64_SIZE(COMMAND_DATA_MAX) : COMMAND_DATA_MAX))
        err = why_set(why, ERR_BODY, "data has at most %d bytes", COMMAND_DATA_MAX);
    uint8_t decoded[BASE64_BYTES(BASE64_SIZE(COMMAND_DATA_MAX) + 4)];
    if (err == ERR_NONE && is_base64) {
        if (!base64_decode(decoded, len, bytes_of_text(plain), BASE64_STANDARD) || *len > COMMAND_DATA_MAX)
            err = why_set(why, ERR_BODY, "data is no base64 of at most %d bytes", COMMAND_DATA_MAX);
        else
            memcpy(to, decoded, *len);
    } else if (err == ERR_NONE)
        memcpy(to, plain, *len = strlen(plain));
    free(text);
    return err;
}

static enum err read_order(struct rest *rest, const struct rest_request *q, const struct json *doc,
                           struct command_order *o, struct why *why)
{
    int64_t number = -1, life_s = COMMAND_LIFE_S;
    enum err err = ERR_NONE;
    if (!json_int(json_get(doc, "cmd"), &number) || number < 0 || number > COMMAND_NUMBER_MAX)
        return why_set(why, ERR_BODY, "cmd must be a number from 0 to %d", COMMAND_NUMBER_MAX);
    if (json_get(doc, "timeout") != NULL &&
        (!json_int(json_get(doc, "timeout"), &life_s) || life_s < 1 || life_s > COMMAND_LIFE_S_MAX))
        return why_set(why, ERR_BODY, "timeout must be 1 to %d seconds", COMMAND_LIFE_S_MAX);
    if (json_get(doc, "override") != NULL && !json_bool(json_get(doc, "override"), &o->is_override))
        return why_set(why, ERR_BODY, "override must be true or false");
    JSON_EACH (id, json_get(doc, "node_ids")) {
        if (o->node_count == COMMAND_NODES_MAX)
            return why_set(why, ERR_BODY, "at most %d nodes in one request", COMMAND_NODES_MAX);
        if ((err = users_node(rest, q, json_text(id), why)) != ERR_NONE)
            return err;
        o->nodes[o->node_count++] = json_text(id);
    }
    o->number = (unsigned)number;
    o->life_ms = life_s * 1000;
    return o->node_count > 0 ? ERR_NONE
                             : why_set(why, ERR_NODE_ID, "node_ids must name 1 to %d nodes", COMMAND_NODES_MAX);
}

HANDLER(post_command)
{
    struct json *doc;
    struct command_order order = {.node_count = 0};
    uint8_t data[COMMAND_DATA_MAX];
    size_t len = 0;
    char id[ID_LEN + 1];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_order(rest, q, doc, &order, why);
    if (err == ERR_NONE)
        err = read_data(doc, data, &len, why);
    order.data = bytes_of(data, len);
    if (err == ERR_NONE)
        err = fleet_command(rest->fleet, &q->user, &order, q->now, id, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "request_id", id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

/* A node's answer is text for most; what is none goes as base64. */
static void write_answer(struct json_out *out, const struct command_request *r)
{
    struct bytes data = bytes_of(r->answer, r->answer_len);
    char text[BASE64_SIZE(COMMAND_DATA_MAX)];
    bool is_text = json_is_utf8(data) && memchr(r->answer, '\0', r->answer_len) == NULL;
    if (is_text) {
        memcpy(text, r->answer, r->answer_len);
        text[r->answer_len] = '\0';
    } else
        base64_encode(text, data, BASE64_STANDARD);
    json_out_text(out, "response_data", text);
    json_out_bool(out, "is_base64", !is_text);
}

static void write_request(struct json_out *out, const struct command_request *r)
{
    static const char *const statuses[] = {"requested", "in_progress", "success", "failure", "timed_out"};
    static const char *const told[] = {"Success", "Failed", "The command is not valid", "Not for this user",
                                       "There is no such command"};
    json_out_object(out, NULL);
    json_out_text(out, "node_id", r->node_id);
    json_out_text(out, "request_id", r->id);
    json_out_int(out, "cmd", r->command.number);
    json_out_text(out, "status", statuses[r->status]);
    json_out_int(out, "request_timestamp", r->at / 1000);
    json_out_int(out, "expiration_timestamp", r->until / 1000);
    if (r->answered_at > 0) {
        json_out_int(out, "response_timestamp", r->answered_at / 1000);
        json_out_int(out, "device_status", r->device_status);
        json_out_text(out, "status_description",
                      r->device_status < sizeof told / sizeof told[0] ? told[r->device_status] : "Unknown");
        write_answer(out, r);
    }
    json_out_end_object(out);
}

HANDLER(get_command)
{
    unsigned count = 0;
    const char *id = query(q, "request_id");
    if (id == NULL)
        return why_set(why, ERR_MAP_REQUEST, "request_id is missing");
    struct command_request *page = calloc(COMMAND_NODES_MAX, sizeof *page);
    if (page == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = fleet_command_get(rest->fleet, q->user.id, id, q->now, page, COMMAND_NODES_MAX, &count, why);
    if (err == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_array(&out, "requests");
        for (unsigned i = 0; i < count; i++)
            write_request(&out, &page[i]);
        json_out_end_array(&out);
        json_out_end_object(&out);
    }
    free(page);
    return err;
}
