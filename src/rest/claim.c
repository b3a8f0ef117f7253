/*
 * Claiming: a device without credentials gets some (A.5, and 8.2 of the device specification).
 *
 * With a user's token the node's id is made here and stays the MAC's; without one - a chip that claims for itself,
 * where the server allows it - the id is the MAC.  We cannot know the key behind the chip's answer, so the first one to
 * come is believed, and a MAC that was claimed by somebody stays theirs.
 */
#include "rest/inner.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAC_LEN 12

/* Twelve hex digits, upper case. */
static enum err read_mac(const struct json *doc, char mac[MAC_LEN + 1], struct why *why)
{
    const char *text = member_text(doc, "mac_addr");
    if (text == NULL || strlen(text) != MAC_LEN || strspn(text, "0123456789abcdefABCDEF") != MAC_LEN)
        return why_set(why, ERR_BODY, "mac_addr must be twelve hex digits");
    for (int i = 0; i <= MAC_LEN; i++)
        mac[i] = (char)toupper((unsigned char)text[i]);
    return ERR_NONE;
}

/* The user, or nobody: then q->user has no id. */
static enum err who_claims(struct rest *rest, struct rest_request *q, struct why *why)
{
    if (q->header(q, "Authorization") != NULL) {
        enum err err = token_user(rest, q, why);
        if (err == ERR_NONE && q->user.is_disabled)
            err = why_set(why, ERR_UNAUTHORIZED, "the user %s is disabled", q->user.name);
        return err ? err : ask_limit(rest->users, q->user.id, q->now, why);
    }
    q->user = (struct user){.role = ROLE_USER};
    return rest->may_self_claim ? ask_limit(rest->strangers, q->address, q->now, why)
                                : why_set(why, ERR_UNAUTHORIZED, "nodes may not claim for themselves here");
}

HANDLER(post_claim_initiate)
{
    struct json *doc;
    struct claim claim;
    char mac[MAC_LEN + 1];
    enum err err = who_claims(rest, q, why);
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_mac(doc, mac, why);
    if (err == ERR_NONE)
        err = fleet_claim_begin(rest->fleet, mac, q->user.id, q->now, &claim, why);
    if (err == ERR_NONE && q->user.id[0] != '\0') {
        struct json_out out = answer(p);
        json_out_text(&out, "node_id", claim.node_id);
        json_out_end_object(&out);
    } else if (err == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_text(&out, "auth_id", claim.mac);
        json_out_text(&out, "challenge", id_new(rest->entropy).text);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

static enum err verify(struct rest *rest, struct rest_request *q, const struct json *doc, struct rest_response *p,
                       struct why *why)
{
    struct claim claim;
    char *cert = NULL;
    const char *csr = member_text(doc, "csr"), *mac = member_text(doc, "auth_id");
    if (csr == NULL)
        return why_set(why, ERR_BODY, "csr is missing");
    if (q->user.id[0] == '\0' && mac == NULL)
        return why_set(why, ERR_BODY, "auth_id is missing");
    char name[NODE_ID_SIZE] = "";
    enum err err = keys_request_name(bytes_of_text(csr), name, sizeof name, why);
    if (err == ERR_NONE)
        err = fleet_claim_find(rest->fleet, q->user.id, name, &claim, why);
    /* Nobody can be told from the device by itself, so it has its certificate once. */
    if (err == ERR_NONE && q->user.id[0] == '\0' && (claim.is_done || strcmp(mac, claim.mac) != 0))
        err = why_set(why, ERR_FORBIDDEN, "the device %s was claimed already: an administrator has to help", claim.mac);
    if (err == ERR_NONE)
        err = keys_sign_request(rest->keys, bytes_of_text(csr), claim.node_id, q->now, &cert, why);
    if (err == ERR_NONE)
        err = fleet_claim_end(rest->fleet, &claim, q->now, why);
    if (err == ERR_NONE)
        err = remember_key(rest, claim.node_id, cert, why);
    if (err == ERR_NONE) {
        struct json_out out = answer(p);
        json_out_text(&out, "certificate", cert);
        json_out_text(&out, "mqtt_host", rest_mqtt_host(rest, claim.node_id));
        json_out_end_object(&out);
    }
    free(cert);
    return err;
}

HANDLER(post_claim_verify)
{
    struct json *doc;
    enum err err = who_claims(rest, q, why);
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = verify(rest, q, doc, p, why);
    json_free(doc);
    static const struct rest_route claim = {.audit = "node.claim"};
    const struct buf nothing = {0};
    return err ? err : audit(rest, &claim, q, &nothing, &nothing, why);
}
