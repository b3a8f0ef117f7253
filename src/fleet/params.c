/* Parameters: what a node tells of them, and what goes to it; and what its user keeps with it. */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

static enum err put_text(struct tx *tx, enum card_kind kind, const char *node_id, const char *text)
{
    if (strlen(text) > KEPT_MAX)
        return why_set(tx->why, ERR_TOO_BIG, "more than %d characters are not kept of a node", KEPT_MAX);
    return tx->db->card_put(tx->s, kind, node_id, bytes_of_text(text), tx->why);
}

/* Merges what is new into what is kept. */
static enum err merge_card(struct tx *tx, enum card_kind kind, const char *node_id, const struct json *news)
{
    char *kept = NULL, *text = NULL;
    struct json *doc = NULL;
    enum err err = tx_card(tx, kind, node_id, &kept);
    if (err == ERR_NONE)
        err = json_parse(kept ? bytes_of_text(kept) : bytes_of_text("{}"), &doc, tx->why);
    if (err == ERR_NONE && (!json_merge(doc, news) || (text = json_dup_text(doc)) == NULL))
        err = why_set(tx->why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE)
        err = put_text(tx, kind, node_id, text);
    if (err == ERR_NONE && kind == CARD_PARAMS)
        err = automations_see(tx, node_id, doc);
    json_free(doc);
    free(kept);
    free(text);
    return err;
}

static enum err take_params(struct tx *tx, const char *node_id, const struct json *doc, bool is_whole)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err == ERR_NONE && is_whole)
        err = tx->db->card_delete(tx->s, CARD_PARAMS, node_id, tx->why);
    if (err == ERR_NONE)
        err = merge_card(tx, CARD_PARAMS, node_id, doc);
    if (err == ERR_NONE)
        err = node_mark_seen(tx, &node, false);
    return err ? err : tx_event_told(tx, EVENT_NODE, node_id, NULL, "params");
}

enum err fleet_on_params(struct fleet *f, const char *node_id, struct bytes payload, bool is_whole, time_ms now,
                         struct why *why)
{
    struct tx tx;
    struct json *doc;
    if (!json_is_utf8(payload))
        return why_set(why, ERR_FORMAT, "parameters are not UTF-8");
    enum err err = json_parse(payload, &doc, why);
    if (err != ERR_NONE)
        return err;
    if (!json_is_object(doc))
        err = why_set(why, ERR_FORMAT, "parameters are no JSON object");
    else if ((err = tx_begin(&tx, f, now, why)) == ERR_NONE)
        err = tx_end(&tx, take_params(&tx, node_id, doc, is_whole));
    json_free(doc);
    return err;
}

static enum err read_card(struct fleet *f, enum card_kind kind, const char *node_id, char **to, struct why *why)
{
    struct tx tx;
    struct node node;
    *to = NULL;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    err = tx_node(&tx, node_id, &node);
    return tx_end(&tx, err ? err : tx_card(&tx, kind, node_id, to));
}

enum err fleet_node_params(struct fleet *f, const char *node_id, char **to, struct why *why)
{
    return read_card(f, CARD_PARAMS, node_id, to, why);
}

enum err params_send(struct tx *tx, const char *node_id, const char *params)
{
    struct node node;
    struct outbox_row row = {.at = tx->now, .topic = TOPIC_PARAMS_REMOTE};
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    text_copy(row.node_id, sizeof row.node_id, node_id);
    tx->is_ringing = true;
    return tx->db->outbox_add(tx->s, &row, params, tx->why);
}

enum err fleet_params_send(struct fleet *f, const char *node_id, const char *params, time_ms now, struct why *why)
{
    struct tx tx;
    if (strlen(params) > PARAMS_MAX)
        return why_set(why, ERR_TOO_BIG, "at most %d characters of parameters go to a node at once", PARAMS_MAX);
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, params_send(&tx, node_id, params));
}

static enum err put_metadata(struct tx *tx, const char *node_id, const struct json *doc)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    return doc ? merge_card(tx, CARD_METADATA, node_id, doc)
               : tx->db->card_delete(tx->s, CARD_METADATA, node_id, tx->why);
}

enum err fleet_node_metadata_put(struct fleet *f, const char *node_id, const char *metadata, struct why *why)
{
    struct tx tx;
    struct json *doc = NULL;
    enum err err = ERR_NONE;
    if (metadata != NULL && (json_parse(bytes_of_text(metadata), &doc, why) != ERR_NONE || !json_is_object(doc)))
        err = why_set(why, ERR_BODY, "metadata must be a JSON object");
    if (err == ERR_NONE && (err = tx_begin(&tx, f, 0, why)) == ERR_NONE)
        err = tx_end(&tx, put_metadata(&tx, node_id, doc));
    json_free(doc);
    return err;
}

enum err fleet_node_metadata(struct fleet *f, const char *node_id, char **to, struct why *why)
{
    return read_card(f, CARD_METADATA, node_id, to, why);
}
