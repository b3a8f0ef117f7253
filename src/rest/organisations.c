/* Organisations that share the server; for those who may do everything in the house. */
#include "rest/inner.h"

#define ORGS_MAX 200 /* in one answer */

#include <stdlib.h>

static void write_org(struct json_out *out, const struct organisation *o)
{
    json_out_object(out, NULL);
    json_out_text(out, "organisation_id", o->id);
    json_out_text(out, "name", o->name);
    json_out_int(out, "created_at", o->created_at / 1000);
    json_out_end_object(out);
}

HANDLER(get_organisations)
{
    unsigned count = 0;
    (void)q;
    struct organisation *page = calloc(ORGS_MAX, sizeof *page);
    enum err err =
        page ? fleet_org_list(rest->fleet, page, ORGS_MAX, &count, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    struct json_out out = answer(p);
    json_out_array(&out, "organisations");
    for (unsigned i = 0; i < count; i++)
        write_org(&out, &page[i]);
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(page);
    return err;
}

HANDLER(post_organisation)
{
    struct json *doc;
    struct organisation org;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = fleet_org_add(rest->fleet, member_text(doc, "name"), q->now, &org, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "organisation_id", org.id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

HANDLER(delete_organisation)
{
    const char *id = query(q, "organisation_id");
    enum err err = id ? fleet_org_delete(rest->fleet, id, why) : why_set(why, ERR_BODY, "organisation_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "The organisation is gone");
    return err;
}
