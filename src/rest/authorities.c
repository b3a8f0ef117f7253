/* Certificate authorities of makers: nodes whose certificates they signed are let in, when they are registered. */
#include "rest/inner.h"

#include <stdlib.h>
#include <string.h>

#define PEM_MAX 16384

HANDLER(post_authority)
{
    struct json *doc;
    struct keys_authority authority;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *pem = member_text(doc, "certificate");
    if (pem == NULL || strlen(pem) > PEM_MAX)
        err = why_set(why, ERR_BODY, "certificate must be the authority's certificate in PEM");
    if (err == ERR_NONE)
        err = keys_authority_read(bytes_of_text(pem), &authority, why);
    if (err == ERR_NONE)
        err = fleet_authority_add(rest->fleet, authority.fingerprint, pem, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "authority_id", authority.fingerprint);
        json_out_text(&out, "subject", authority.subject);
        json_out_end_object(&out);
        q->is_gate_changed = true;
    }
    json_free(doc);
    return err;
}

struct lister {
    struct name_visitor v;
    struct json_out out;
};

static bool write_authority(struct name_visitor *v, const char *name, const char *pem)
{
    struct lister *l = (struct lister *)v;
    struct keys_authority authority;
    keys_authority_read(bytes_of_text(pem), &authority, NULL);
    json_out_object(&l->out, NULL);
    json_out_text(&l->out, "authority_id", name);
    json_out_text(&l->out, "subject", authority.subject);
    json_out_text(&l->out, "certificate", pem);
    json_out_end_object(&l->out);
    return true;
}

HANDLER(get_authorities)
{
    struct lister l = {.v = {write_authority}, .out = answer(p)};
    (void)q;
    json_out_array(&l.out, "authorities");
    enum err err = fleet_authority_scan(rest->fleet, &l.v, why);
    json_out_end_array(&l.out);
    json_out_end_object(&l.out);
    return err;
}

HANDLER(delete_authority)
{
    const char *id = query(q, "authority_id");
    enum err err = id ? fleet_authority_drop(rest->fleet, id, why) : why_set(why, ERR_BODY, "authority_id is missing");
    if (err == ERR_NONE) {
        q->is_gate_changed = true;
        answer_done(p, "Its nodes are not let in any more");
    }
    return err;
}
