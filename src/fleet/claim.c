/* Claims: which MAC address became which node, for whom.  A card under the MAC, and one under the node's id. */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

static enum err put_claim(struct tx *tx, const struct claim *c)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "mac", c->mac);
    json_out_text(&out, "node_id", c->node_id);
    json_out_text(&out, "user_id", c->user_id);
    json_out_bool(&out, "done", c->is_done);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_CLAIM, c->mac, &text);
    if (err == ERR_NONE)
        err = tx_card_put(tx, CARD_CLAIM, c->node_id, &text); /* the same card when they are the same */
    buf_deinit(&text);
    return err;
}

/* `to->mac` stays "" when there is none. */
static enum err get_claim(struct tx *tx, const char *key, struct claim *to)
{
    char *text = NULL;
    struct json *doc = NULL;
    *to = (struct claim){.is_done = false};
    enum err err = tx_card(tx, CARD_CLAIM, key, &text);
    if (err == ERR_NONE && text != NULL)
        err = json_parse(bytes_of_text(text), &doc, tx->why);
    if (err == ERR_NONE && doc != NULL) {
        json_copy_text(doc, "mac", to->mac, sizeof to->mac);
        json_copy_text(doc, "node_id", to->node_id, sizeof to->node_id);
        json_copy_text(doc, "user_id", to->user_id, sizeof to->user_id);
        json_bool(json_get(doc, "done"), &to->is_done);
    }
    json_free(doc);
    free(text);
    return err;
}

static enum err begin_claim(struct tx *tx, const char *mac, const char *user_id, struct claim *to)
{
    struct node node;
    enum err err = get_claim(tx, mac, to);
    if (err != ERR_NONE)
        return err;
    if (to->mac[0] != '\0')
        return strcmp(to->user_id, user_id) == 0
                   ? ERR_NONE
                   : why_set(tx->why, ERR_FORBIDDEN, "the device %s was claimed by somebody else", mac);
    text_copy(to->mac, sizeof to->mac, mac);
    text_copy(to->user_id, sizeof to->user_id, user_id);
    text_copy(to->node_id, sizeof to->node_id, *user_id ? id_new(tx->f->entropy).text : mac);
    if (tx->db->node_get(tx->s, to->node_id, &node, tx->why) == ERR_NONE)
        return why_set(tx->why, ERR_FORBIDDEN, "there is a node %s already, which was not claimed", to->node_id);
    return put_claim(tx, to);
}

enum err fleet_claim_begin(struct fleet *f, const char *mac, const char *user_id, time_ms now, struct claim *to,
                           struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, begin_claim(&tx, mac, user_id, to));
}

enum err fleet_claim_find(struct fleet *f, const char *user_id, const char *node_id, struct claim *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, get_claim(&tx, node_id, to));
    if (err == ERR_NONE && (strcmp(to->node_id, node_id) != 0 || strcmp(to->user_id, user_id) != 0))
        err = why_set(why, ERR_MAP_REQUEST, "node %.64s was not claimed: begin with claim/initiate", node_id);
    return err;
}

static enum err end_claim(struct tx *tx, const struct claim *claim)
{
    struct claim done = *claim;
    enum err err = claim->is_done ? ERR_NONE : node_add(tx, claim->node_id, &(struct node){.is_online = false});
    done.is_done = true;
    return err ? err : put_claim(tx, &done);
}

enum err fleet_claim_end(struct fleet *f, const struct claim *claim, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, end_claim(&tx, claim));
}
