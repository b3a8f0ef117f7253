/* Who is let in: makers' certificate authorities, and nodes that are not any more; and keys that sign images. */
#include "fleet/inner.h"

#include <stdlib.h>

enum err fleet_authority_add(struct fleet *f, const char *name, const char *pem, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_put(tx.s, CARD_AUTHORITY, name, bytes_of_text(pem), why));
}

static enum err drop_authority(struct tx *tx, const char *name)
{
    char *pem = NULL;
    enum err err = tx_card(tx, CARD_AUTHORITY, name, &pem);
    bool is_there = pem != NULL;
    free(pem);
    if (err == ERR_NONE && !is_there)
        return why_set(tx->why, ERR_NOT_FOUND, "there is no authority %.64s", name);
    return err ? err : tx->db->card_delete(tx->s, CARD_AUTHORITY, name, tx->why);
}

enum err fleet_authority_drop(struct fleet *f, const char *name, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, drop_authority(&tx, name));
}

struct passer {
    struct card_visitor v;
    struct name_visitor *to;
};

static bool pass_on(struct card_visitor *v, const char *key, const char *text)
{
    struct name_visitor *to = ((struct passer *)v)->to;
    return to->visit(to, key, text);
}

static enum err scan(struct fleet *f, enum card_kind kind, const char *prefix, struct name_visitor *v, struct why *why)
{
    struct tx tx;
    struct passer p = {{pass_on}, v};
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->card_scan(tx.s, kind, prefix, "", &p.v, why));
}

enum err fleet_authority_scan(struct fleet *f, struct name_visitor *v, struct why *why)
{
    return scan(f, CARD_AUTHORITY, "", v, why);
}

enum err fleet_denied_scan(struct fleet *f, struct name_visitor *v, struct why *why)
{
    return scan(f, CARD_DENIED, "", v, why);
}

static enum err activate(struct tx *tx, const char *node_id, bool is_active)
{
    struct node node;
    enum err err = tx_node(tx, node_id, &node);
    if (err != ERR_NONE)
        return err;
    node.is_deactivated = !is_active;
    if ((err = tx->db->node_put(tx->s, &node, tx->why)) == ERR_NONE)
        err = is_active ? tx->db->card_delete(tx->s, CARD_DENIED, node_id, tx->why)
                        : tx->db->card_put(tx->s, CARD_DENIED, node_id, bytes_of_text(" "), tx->why);
    return err ? err : tx_event(tx, EVENT_NODE, node_id, NULL, NULL);
}

enum err fleet_node_activate(struct fleet *f, const char *node_id, bool is_active, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, activate(&tx, node_id, is_active));
}

/* --- keys that sign images -------------------------------------------------------------------- */

enum err fleet_sign_key_put(struct fleet *f, const char *name, const char *text, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_put(tx.s, CARD_SIGN_KEY, name, bytes_of_text(text), why));
}

enum err fleet_sign_key_get(struct fleet *f, const char *name, char **to, struct why *why)
{
    struct tx tx;
    *to = NULL;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx_card(&tx, CARD_SIGN_KEY, name, to));
}

enum err fleet_sign_key_drop(struct fleet *f, const char *name, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_delete(tx.s, CARD_SIGN_KEY, name, why));
}

enum err fleet_sign_key_scan(struct fleet *f, struct name_visitor *v, struct why *why)
{
    return scan(f, CARD_SIGN_KEY, "", v, why);
}

enum err fleet_signed_put(struct fleet *f, const char *image_id, const char *signed_id, const char *text,
                          struct why *why)
{
    struct tx tx;
    char key[CARD_KEY_SIZE];
    card_key(key, image_id, signed_id);
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_put(tx.s, CARD_SIGNED, key, bytes_of_text(text), why));
}

enum err fleet_signed_scan(struct fleet *f, const char *image_id, struct name_visitor *v, struct why *why)
{
    char prefix[CARD_KEY_SIZE] = "";
    if (*image_id)
        card_key(prefix, image_id, "");
    return scan(f, CARD_SIGNED, prefix, v, why);
}

enum err fleet_simulator_put(struct fleet *f, const char *name, const char *text, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_put(tx.s, CARD_SIMULATOR, name, bytes_of_text(text), why));
}

enum err fleet_simulator_drop(struct fleet *f, const char *name, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, tx.db->card_delete(tx.s, CARD_SIMULATOR, name, why));
}

enum err fleet_simulator_scan(struct fleet *f, struct name_visitor *v, struct why *why)
{
    return scan(f, CARD_SIMULATOR, "", v, why);
}
