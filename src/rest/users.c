/* Users as administrators see them.  Nobody makes or changes a user of a higher role than their own. */
#include "rest/inner.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define USERS_PAGE 100

static void write_user(struct json_out *out, const struct user *u, time_ms now)
{
    json_out_object(out, NULL);
    json_out_text(out, "user_id", u->id);
    json_out_text(out, "user_name", u->name);
    json_out_text(out, "role", role_text(u->role));
    if (u->org[0])
        json_out_text(out, "organisation_id", u->org);
    if (u->scope[0])
        json_out_text(out, "scope", u->scope);
    json_out_bool(out, "verified", u->is_verified);
    json_out_bool(out, "disabled", u->is_disabled);
    json_out_int(out, "created_at", u->created_at / 1000);
    if (now < u->locked_until)
        json_out_int(out, "locked_until", u->locked_until / 1000);
    json_out_end_object(out);
}

HANDLER(get_users)
{
    int64_t max;
    unsigned count = 0;
    const char *name = query(q, "user_name"), *after = query(q, "start_id");
    enum err err = query_int(q, "num_records", 1, USERS_PAGE, 25, &max, why);
    struct user *page = err ? NULL : calloc(USERS_PAGE, sizeof *page);
    if (page == NULL)
        return err ? err : why_set(why, ERR_NO_MEMORY, "no memory");
    if (name != NULL) {
        err = fleet_user_get(rest->fleet, name, page, why);
        count = err == ERR_NONE;
        err = err == ERR_NOT_FOUND ? ERR_NONE : err;
    } else
        err = fleet_user_list(rest->fleet, after ? after : "", page, (unsigned)max, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "users");
    for (unsigned i = 0; i < count; i++)
        write_user(&out, &page[i], q->now);
    json_out_end_array(&out);
    if (name == NULL && count == (unsigned)max)
        json_out_text(&out, "next_id", page[count - 1].name);
    json_out_end_object(&out);
    free(page);
    return err;
}

/* What a body says of role, password and being disabled.  `hash` has room for the password's. */
static enum err read_edit(struct rest *rest, const struct rest_request *q, const struct json *doc,
                          struct user_edit *edit, char hash[static PASSWORD_HASH_SIZE], struct why *why)
{
    const char *role = member_text(doc, "role"), *password = member_text(doc, "password");
    struct fleet_view view;
    *edit = (struct user_edit){.hash = NULL};
    edit->has_disabled = json_bool(json_get(doc, "disabled"), &edit->is_disabled);
    if (role != NULL && !role_find(role, &edit->role))
        return why_set(why, ERR_BODY, "role must be one of user, viewer, operator, admin, super_admin");
    edit->has_role = role != NULL;
    edit->scope = json_text(json_get(doc, "scope"));
    if (edit->scope != NULL && fleet_view_init(&view, "", edit->scope, q->now, why) != ERR_NONE)
        return why_add(why, ERR_QUERY, "scope");
    if (edit->has_role && edit->role == ROLE_SUPER && q->org[0])
        return why_set(why, ERR_FORBIDDEN, "super_admin is a role of the house alone");
    if (edit->has_role && edit->role > q->user.role)
        return why_set(why, ERR_FORBIDDEN, "nobody gives a higher role than their own");
    if (password == NULL)
        return ERR_NONE;
    edit->hash = hash;
    return hash_new_password(rest, password, hash, why);
}

HANDLER(post_admin_user)
{
    struct json *doc;
    struct user user;
    struct user_edit edit;
    char hash[PASSWORD_HASH_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *name = member_text(doc, "user_name");
    err = read_edit(rest, q, doc, &edit, hash, why);
    if (err == ERR_NONE && name == NULL)
        err = why_set(why, ERR_USER_NAME, "user_name is missing");
    if (err == ERR_NONE && edit.hash == NULL)
        err = why_set(why, ERR_USER_PASSWORD, "password is missing");
    if (err == ERR_NONE)
        err = fleet_user_add(rest->fleet, name, hash, edit.role, q->now, &user, why);
    edit.hash = NULL; /* it is there */
    if (err == ERR_NONE && edit.scope != NULL)
        err = fleet_user_edit(rest->fleet, user.id, &edit, q->now, &user, why);
    if (err == ERR_NONE) {
        struct json_out out = answer_success(p);
        json_out_text(&out, "user_id", user.id);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

/* The user that the query names, when the caller may change them. */
static enum err wanted_user(struct rest *rest, const struct rest_request *q, struct user *to, struct why *why)
{
    const char *id = query(q, "user_id"), *name = query(q, "user_name");
    enum err err = id     ? fleet_user_get_id(rest->fleet, id, to, why)
                   : name ? fleet_user_get(rest->fleet, name, to, why)
                          : why_set(why, ERR_USER_NAME, "user_id or user_name is missing");
    if (err == ERR_NOT_FOUND)
        return why_set(why, ERR_NOT_FOUND, "there is no such user");
    if (err == ERR_NONE && to->role > q->user.role)
        return why_set(why, ERR_FORBIDDEN, "%s has a higher role than yours", to->name);
    return err;
}

HANDLER(put_admin_user)
{
    struct json *doc;
    struct user user;
    struct user_edit edit;
    char hash[PASSWORD_HASH_SIZE];
    enum err err = wanted_user(rest, q, &user, why);
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_edit(rest, q, doc, &edit, hash, why);
    if (err == ERR_NONE)
        err = fleet_user_edit(rest->fleet, user.id, &edit, q->now, &user, why);
    if (err == ERR_NONE) {
        struct json_out out;
        json_out_init(&out, &p->body);
        write_user(&out, &user, q->now);
    }
    json_free(doc);
    return err;
}

HANDLER(delete_admin_user)
{
    struct user user;
    enum err err = wanted_user(rest, q, &user, why);
    if (err == ERR_NONE)
        err = fleet_user_delete(rest->fleet, user.id, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, "The user is gone");
    return err;
}

/* RainMaker's form: add or remove one of the roles; who has none is an end user. */
HANDLER(put_user_role)
{
    struct json *doc;
    struct user user;
    struct user_edit edit = {.has_role = true, .role = ROLE_USER};
    const char *operation = query(q, "operation");
    enum err err = wanted_user(rest, q, &user, why);
    if (err == ERR_NONE && (operation == NULL || (strcmp(operation, "add") != 0 && strcmp(operation, "remove") != 0)))
        err = why_set(why, ERR_BODY, "operation must be add or remove");
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const struct json *role = json_first(json_get(doc, "roles"));
    if (json_text(role) == NULL || json_next(role) != NULL || !role_find(json_text(role), &edit.role))
        err = why_set(why, ERR_BODY, "roles must be a list of one: user, viewer, operator, admin or super_admin");
    if (err == ERR_NONE && edit.role > q->user.role)
        err = why_set(why, ERR_FORBIDDEN, "nobody gives a higher role than their own");
    if (strcmp(operation, "remove") == 0)
        edit.role = user.role == edit.role ? ROLE_USER : user.role;
    if (err == ERR_NONE)
        err = fleet_user_edit(rest->fleet, user.id, &edit, q->now, &user, why);
    if (err == ERR_NONE)
        answer_done(p, "The role was changed");
    json_free(doc);
    return err;
}
