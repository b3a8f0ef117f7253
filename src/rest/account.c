#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/digest.h"
#include "crypto/password.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_BYTES 32
#define REFRESH_SIZE  BASE64_SIZE(REFRESH_BYTES)

void token_digest(const char *token, char to[static TOKEN_DIGEST_SIZE])
{
    uint8_t digest[SHA256_LEN];
    sha256_of(digest, bytes_of_text(token));
    hex_encode(to, bytes_of(digest, sizeof digest));
}

static enum err write_tokens(struct rest *rest, const struct user *user, const char *refresh, time_ms now,
                             struct rest_response *p, struct why *why)
{
    char access[TOKEN_SIZE], id[TOKEN_SIZE];
    char session[TOKEN_DIGEST_SIZE];
    token_digest(refresh, session);
    struct token_claims claims = {user->id, user->name, session, true, now, now + ACCESS_LIFE_MS};
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
    token_digest(token, digest);
    enum err err = fleet_token_user(rest->fleet, digest, now, &user, why);
    if (err == ERR_NONE && user.is_disabled)
        err = why_set(why, ERR_REFRESH, "the account is disabled");
    return err ? err : write_tokens(rest, &user, token, now, p, why);
}

/* The same story for an unknown name and a wrong password, and the same work, so that neither can be told. */
static enum err check_password(struct rest *rest, const char *name, const char *password, time_ms now,
                               struct user *user, struct why *why)
{
    static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"
                                 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    enum err err = fleet_user_get(rest->fleet, name, user, why);
    if (err != ERR_NONE && err != ERR_NOT_FOUND)
        return err;
    bool is_known = err == ERR_NONE;
    if (is_known && now < user->locked_until)
        return why_set(why, ERR_LOGIN_TRIES, "too many tries to log in: wait %lld s",
                       (long long)((user->locked_until - now + 999) / 1000));
    bool is_right = password_is(password, is_known ? user->password_hash : nobody) && is_known;
    if (is_known && (err = fleet_user_tried(rest->fleet, name, is_right, now, why)) != ERR_NONE)
        return err;
    if (!is_right)
        return why_set(why, ERR_LOGIN, "Incorrect user name or password");
    if (user->is_disabled)
        return why_set(why, ERR_LOGIN, "The account is disabled: ask an administrator");
    return user->is_verified ? ERR_NONE : why_set(why, ERR_NOT_VERIFIED, "The account is not verified yet");
}

static enum err begin_session(struct rest *rest, const struct user *user, time_ms now, struct rest_response *p,
                              struct why *why)
{
    uint8_t random[REFRESH_BYTES];
    char token[REFRESH_SIZE], digest[65];
    rest->entropy->fill(rest->entropy, random, sizeof random);
    base64_encode(token, bytes_of(random, sizeof random), BASE64_URL);
    token_digest(token, digest);
    enum err err = fleet_token_add(rest->fleet, digest, user->id, now + REFRESH_LIFE_MS, why);
    return err ? err : write_tokens(rest, user, token, now, p, why);
}

HANDLER(post_login)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *token = member_text(doc, "refreshtoken"), *name = member_text(doc, "user_name"),
               *password = member_text(doc, "password"), *code = member_text(doc, "oidc_code");
    struct user user;
    if (token != NULL)
        err = refresh(rest, token, q->now, p, why);
    else if (name == NULL && password == NULL && code == NULL)
        err = why_set(why, ERR_BODY, "give user_name and password, refreshtoken, or oidc_code");
    else if (code != NULL)
        err = oidc_code_user(rest, code, q->now, &user, why);
    else if (name != NULL && password != NULL)
        err = check_password(rest, name, password, q->now, &user, why);
    else
        err = why_set(why, ERR_BODY, "give both user_name and password");
    if (err == ERR_NONE && token == NULL)
        err = begin_session(rest, &user, q->now, p, why);
    json_free(doc);
    return err;
}

/* This session, the one of the refresh token that is named, or all. */
HANDLER(post_logout)
{
    struct json *doc = NULL;
    char digest[TOKEN_DIGEST_SIZE];
    struct user user;
    enum err err = q->body.len > 0 ? body_object(q, &doc, why) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    const char *refresh = member_text(doc, "refreshtoken");
    text_copy(digest, sizeof digest, q->session);
    if (refresh != NULL)
        token_digest(refresh, digest);
    if (query_is_true(q, "logout_all"))
        err = fleet_tokens_drop(rest->fleet, q->user.id, why);
    else if (fleet_token_user(rest->fleet, digest, q->now, &user, NULL) == ERR_NONE && strcmp(user.id, q->user.id) == 0)
        err = fleet_token_drop(rest->fleet, digest, why);
    if (err == ERR_NONE)
        answer_done(p, "Logged out");
    json_free(doc);
    return err;
}

HANDLER(get_user)
{
    (void)rest, (void)why;
    struct json_out out = answer(p);
    json_out_text(&out, "user_id", q->user.id);
    json_out_text(&out, "user_name", q->user.name);
    json_out_text(&out, "role", role_text(q->user.role));
    if (q->user.role == ROLE_SUPER)
        json_out_bool(&out, "super_admin", true);
    json_out_end_object(&out);
    return ERR_NONE;
}

/* --- passwords -------------------------------------------------------------------------------- */

#define PASSWORD_LEAST 8
#define PASSWORD_MOST  256

/* RainMaker's rule. */
enum err check_new_password(const char *password, struct why *why)
{
    bool has_upper = false, has_lower = false, has_digit = false, has_blank = false;
    size_t len = strlen(password);
    for (const char *at = password; *at; at++) {
        has_upper |= isupper((unsigned char)*at) != 0;
        has_lower |= islower((unsigned char)*at) != 0;
        has_digit |= isdigit((unsigned char)*at) != 0;
        has_blank |= isspace((unsigned char)*at) != 0;
    }
    if (len < PASSWORD_LEAST || len > PASSWORD_MOST || !has_upper || !has_lower || !has_digit || has_blank)
        return why_set(why, ERR_PASSWORD_RULE,
                       "a password has %d to %d characters, of which one at least is an upper-case letter, one a "
                       "lower-case letter, one a digit, and none a blank",
                       PASSWORD_LEAST, PASSWORD_MOST);
    return ERR_NONE;
}

enum err hash_new_password(struct rest *rest, const char *password, char hash[static PASSWORD_HASH_SIZE],
                           struct why *why)
{
    enum err err = check_new_password(password, why);
    return err ? err : password_hash(hash, password, rest->entropy, why);
}

/* name@place, or + and digits. */
static enum err check_user_name(const char *name, struct why *why)
{
    const char *at = name ? strchr(name, '@') : NULL;
    if (name == NULL)
        return why_set(why, ERR_USER_NAME, "user_name is missing");
    bool is_mail = at != NULL && at > name && at[1] != '\0' && strchr(at + 1, '@') == NULL;
    bool is_phone = name[0] == '+' && strlen(name) >= 8 && strspn(name + 1, "0123456789") == strlen(name + 1);
    if (strlen(name) >= NAME_SIZE || strpbrk(name, " \t\r\n<>\"") != NULL || (!is_mail && !is_phone))
        return why_set(why, ERR_USER_MAIL, "user_name must be an e-mail address, or a phone number with + before it");
    return ERR_NONE;
}

static void send_code(struct rest *rest, const struct user *user)
{
    char text[400];
    snprintf(text, sizeof text,
             "The verification code for %s is %s. It is good for a day.\n\nIf you did not ask for it, nothing has "
             "changed.\n",
             user->name, user->code);
    if (rest->mail != NULL)
        rest->mail->send(rest->mail, user->name, "Your verification code", text);
}

static enum err sign_up(struct rest *rest, const char *name, const char *password, time_ms now, struct why *why)
{
    struct user user;
    char hash[PASSWORD_HASH_SIZE];
    if (!rest->may_sign_up)
        return why_set(why, ERR_FORBIDDEN, "sign-up is closed here: ask an administrator for an account");
    enum err err = hash_new_password(rest, password, hash, why);
    if (err == ERR_NONE)
        err = fleet_user_sign_up(rest->fleet, name, hash, now, &user, why);
    if (err == ERR_NONE)
        send_code(rest, &user);
    return err;
}

/* Sign-up, and then the code. */
HANDLER(post_user)
{
    struct json *doc;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *name = member_text(doc, "user_name"), *password = member_text(doc, "password"),
               *code = member_text(doc, "verification_code");
    err = check_user_name(name, why);
    if (err == ERR_NONE && password == NULL && code == NULL)
        err = why_set(why, ERR_USER_PASSWORD, "give a password to sign up, or the verification_code that was sent");
    if (err == ERR_NONE)
        err = code ? fleet_user_prove(rest->fleet, name, code, NULL, q->now, why)
                   : sign_up(rest, name, password, q->now, why);
    if (err == ERR_NONE) {
        p->status = 201;
        answer_done(p, code ? "The account is verified" : "The account was made: enter the code that was sent");
    }
    json_free(doc);
    return err;
}

/* The answer does not tell whether there is such a user. */
static enum err forget(struct rest *rest, const char *name, time_ms now, struct why *why)
{
    struct user user;
    enum err err = fleet_user_code(rest->fleet, name, now, &user, why);
    if (err == ERR_NONE)
        send_code(rest, &user);
    return err == ERR_NOT_FOUND ? ERR_NONE : err;
}

HANDLER(put_forgotten)
{
    struct json *doc;
    char hash[PASSWORD_HASH_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *name = member_text(doc, "user_name"), *password = member_text(doc, "password"),
               *code = member_text(doc, "verification_code");
    err = check_user_name(name, why);
    if (err == ERR_NONE && code == NULL)
        err = forget(rest, name, q->now, why);
    else if (err == ERR_NONE && password == NULL)
        err = why_set(why, ERR_USER_PASSWORD, "the new password is missing");
    else if (err == ERR_NONE && (err = hash_new_password(rest, password, hash, why)) == ERR_NONE)
        err = fleet_user_prove(rest->fleet, name, code, hash, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, code ? "The password was changed" : "A code was sent, if there is such a user");
    json_free(doc);
    return err;
}

/* One's own password. */
HANDLER(put_user)
{
    struct json *doc;
    struct user user;
    char hash[PASSWORD_HASH_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *old = member_text(doc, "password"), *new = member_text(doc, "newpassword");
    if (old == NULL || new == NULL)
        err = why_set(why, ERR_USER_PASSWORD, "give password and newpassword");
    if (err == ERR_NONE)
        err = check_password(rest, q->user.name, old, q->now, &user, why);
    if (err == ERR_NONE)
        err = hash_new_password(rest, new, hash, why);
    if (err == ERR_NONE)
        err = fleet_user_edit(rest->fleet, user.id, &(struct user_edit){.hash = hash}, q->now, &user, why);
    if (err == ERR_NONE)
        answer_done(p, "The password was changed: log in again");
    json_free(doc);
    return err;
}

/* First a code is sent, with it the account goes. */
HANDLER(delete_user)
{
    const char *code = query(q, "verification_code");
    enum err err = ERR_NONE;
    if (code == NULL && !query_is_true(q, "request"))
        return why_set(why, ERR_USER_PASSWORD, "give request=true, and then the verification_code");
    if (code == NULL)
        err = forget(rest, q->user.name, q->now, why);
    else if ((err = fleet_user_prove(rest->fleet, q->user.name, code, q->user.password_hash, q->now, why)) == ERR_NONE)
        err = fleet_user_delete(rest->fleet, q->user.id, q->now, why);
    if (err == ERR_NONE)
        answer_done(p, code ? "The account is gone" : "A code was sent");
    return err;
}

/* --- API tokens ------------------------------------------------------------------------------- */

#define TOKEN_BYTES    32
#define TOKENS_SHOWN   100
#define TOKEN_DAYS_MAX 3650
#define DAY_MS         86400000LL

HANDLER(post_token)
{
    struct json *doc;
    uint8_t random[TOKEN_BYTES];
    char token[sizeof API_TOKEN_PREFIX + BASE64_SIZE(TOKEN_BYTES)], digest[TOKEN_DIGEST_SIZE];
    struct api_token t = {.role = q->user.role, .created_at = q->now};
    int64_t days = 0;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *name = member_text(doc, "name"), *role = member_text(doc, "role");
    if (name == NULL || !text_copy(t.name, sizeof t.name, name))
        err = why_set(why, ERR_BODY, "name must have 1 to %d characters: what the token is for", NAME_SIZE - 1);
    else if (role != NULL && (!role_find(role, &t.role) || t.role > q->user.role))
        err = why_set(why, ERR_BODY, "role must be one of user, viewer, operator, admin, super_admin, and not above %s",
                      role_text(q->user.role));
    else if (json_get(doc, "days") != NULL &&
             (!json_int(json_get(doc, "days"), &days) || days < 1 || days > TOKEN_DAYS_MAX))
        err = why_set(why, ERR_BODY, "days must be a number from 1 to %d", TOKEN_DAYS_MAX);
    json_free(doc);
    if (err != ERR_NONE)
        return err;
    text_copy(t.user_id, sizeof t.user_id, q->user.id);
    t.expires_at = days > 0 ? q->now + days * DAY_MS : 0;
    rest->entropy->fill(rest->entropy, random, sizeof random);
    strcpy(token, API_TOKEN_PREFIX);
    base64_encode(token + strlen(API_TOKEN_PREFIX), bytes_of(random, sizeof random), BASE64_URL);
    token_digest(token, digest);
    if ((err = fleet_api_token_add(rest->fleet, digest, &t, why)) != ERR_NONE)
        return err;
    struct json_out out = answer_success(p);
    json_out_text(&out, "token_id", t.id);
    json_out_text(&out, "token", token);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(get_tokens)
{
    unsigned count = 0;
    struct api_token *page = calloc(TOKENS_SHOWN, sizeof *page);
    if (page == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = fleet_api_token_list(rest->fleet, q->user.id, page, TOKENS_SHOWN, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "tokens");
    for (unsigned i = 0; i < count; i++) {
        json_out_object(&out, NULL);
        json_out_text(&out, "token_id", page[i].id);
        json_out_text(&out, "name", page[i].name);
        json_out_text(&out, "role", role_text(page[i].role));
        json_out_int(&out, "created_at", page[i].created_at / 1000);
        if (page[i].expires_at > 0)
            json_out_int(&out, "expires_at", page[i].expires_at / 1000);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(page);
    return err;
}

HANDLER(delete_token)
{
    const char *id = query(q, "token_id");
    enum err err =
        id ? fleet_api_token_drop(rest->fleet, q->user.id, id, why) : why_set(why, ERR_BODY, "token_id is missing");
    if (err == ERR_NONE)
        answer_done(p, "The token is withdrawn");
    return err;
}

/* --- the first one ---------------------------------------------------------------------------- */

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
    return fleet_user_add(rest->fleet, name, hash, ROLE_SUPER, now, &user, why);
}
