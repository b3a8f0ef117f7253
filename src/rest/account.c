#include "rest/inner.h"

#include "codec/encode.h"
#include "crypto/digest.h"
#include "crypto/password.h"

#include <string.h>

#define REFRESH_BYTES 32
#define REFRESH_SIZE  BASE64_SIZE(REFRESH_BYTES)

static void digest_of(const char *token, char to[static 65])
{
    uint8_t digest[SHA256_LEN];
    sha256_of(digest, bytes_of_text(token));
    hex_encode(to, bytes_of(digest, sizeof digest));
}

static enum err write_tokens(struct rest *rest, const struct user *user, const char *refresh, time_ms now,
                             struct rest_response *p, struct why *why)
{
    char access[TOKEN_SIZE], id[TOKEN_SIZE];
    struct token_claims claims = {user->id, user->name, true, now, now + ACCESS_LIFE_MS};
    enum err err = token_make(rest->keys, &claims, access, why);
    claims.is_access = false;
    if (err == ERR_NONE)
        err = token_make(rest->keys, &claims, id, why);
    if (err != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "description", "Login successful");
    json_out_text(&out, "accesstoken", access);
    json_out_text(&out, "idtoken", id);
    json_out_text(&out, "refreshtoken", refresh);
    json_out_end_object(&out);
    return ERR_NONE;
}

static enum err refresh(struct rest *rest, const char *token, time_ms now, struct rest_response *p, struct why *why)
{
    char digest[65];
    struct user user;
    digest_of(token, digest);
    enum err err = fleet_token_user(rest->fleet, digest, now, &user, why);
    return err ? err : write_tokens(rest, &user, token, now, p, why);
}

/* The same story for an unknown name and a wrong password, and the same work, so that neither can be told. */
static enum err check_password(struct rest *rest, const char *name, const char *password, struct user *user,
                               struct why *why)
{
    static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
                                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    enum err err = fleet_user_get(rest->fleet, name, user, why);
    if (err != ERR_NONE && err != ERR_NOT_FOUND)
        return err;
    bool is_right = password_is(password, err == ERR_NONE ? user->password_hash : nobody);
    return err == ERR_NONE && is_right ? ERR_NONE : why_set(why, ERR_LOGIN, "Incorrect user name or password");
}

static enum err login(struct rest *rest, const char *name, const char *password, time_ms now, struct rest_response *p,
                      struct why *why)
{
    struct user user;
    uint8_t random[REFRESH_BYTES];
    char token[REFRESH_SIZE], digest[65];
    enum err err = check_password(rest, name, password, &user, why);
    if (err != ERR_NONE)
        return err;
    rest->entropy->fill(rest->entropy, random, sizeof random);
    base64_encode(token, bytes_of(random, sizeof random), BASE64_URL);
    digest_of(token, digest);
    err = fleet_token_add(rest->fleet, digest, user.id, now + REFRESH_LIFE_MS, why);
    return err ? err : write_tokens(rest, &user, token, now, p, why);
}

HANDLER(post_login)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *token = member_text(doc, "refreshtoken"), *name = member_text(doc, "user_name"),
               *password = member_text(doc, "password");
    if (token != NULL)
        err = refresh(rest, token, q->now, p, why);
    else if (name != NULL && password != NULL)
        err = login(rest, name, password, q->now, p, why);
    else
        err = why_set(why, ERR_BODY, "give user_name and password, or refreshtoken");
    json_free(doc);
    return err;
}

HANDLER(post_logout)
{
    enum err err = fleet_tokens_drop(rest->fleet, q->user.id, why);
    if (err == ERR_NONE)
        answer_done(p, "Logged out");
    return err;
}

HANDLER(get_user)
{
    (void)rest, (void)why;
    struct json_out out = answer(p);
    json_out_text(&out, "user_id", q->user.id);
    json_out_text(&out, "user_name", q->user.name);
    if (q->user.is_admin)
        json_out_bool(&out, "super_admin", true);
    json_out_end_object(&out);
    return ERR_NONE;
}

enum err rest_first_user(struct rest *rest, const char *name, const char *password, time_ms now, bool *is_made,
                         struct why *why)
{
    int64_t count = 0;
    char hash[PASSWORD_HASH_SIZE];
    struct user user;
    *is_made = false;
    enum err err = fleet_user_count(rest->fleet, &count, why);
    if (err != ERR_NONE || count > 0)
        return err;
    if ((err = password_hash(hash, password, rest->entropy, why)) != ERR_NONE)
        return err;
    *is_made = true;
    return fleet_user_add(rest->fleet, name, hash, true, now, &user, why);
}
