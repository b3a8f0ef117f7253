/*
 * Sign-in by an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636).
 *
 *     GET /v1/oidc/login      sends the browser to the provider
 *     GET /v1/oidc/callback   the browser comes back with the provider's code; it is sent on with a code of ours
 *     POST /v1/login2         {"oidc_code"} turns that into a session, as a password would be
 *
 * Nothing is kept while the browser is away: the state says when it was made and is signed, the cookie holds it so that
 * nobody slips somebody else's sign-in under a browser, and PKCE's verifier and the nonce follow from it.
 */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/digest.h"
#include "crypto/jws.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_LIFE_S 600
#define STATE_SIZE   120
#define CODE_LIFE_MS 60000
#define SKEW_S       120 /* clocks may differ */
#define COOKIE       "pluvio_oidc"
#define CALLBACK     "/v1/oidc/callback"

static enum err refused(struct why *why, const char *text)
{
    return why_set(why, ERR_UNAUTHORIZED, "%s", text);
}

/* --- state ------------------------------------------------------------------------------------ */

/* "<random>.<seconds>.<c: for the command line>", signed as a URL would be. */
static void make_state(const struct rest *rest, bool is_for_reading, time_ms now, char to[static STATE_SIZE])
{
    char body[80], signature[URL_SIGNATURE_SIZE];
    snprintf(body, sizeof body, "%s.%" PRId64 ".%c", id_new(rest->entropy).text, now / 1000,
             is_for_reading ? 'c' : 'd');
    url_sign(rest->keys, "OIDC", body, 0, signature);
    snprintf(to, STATE_SIZE, "%s.%s", body, signature);
}

static enum err check_state(const struct rest *rest, const struct rest_request *q, const char *state,
                            bool *is_for_reading, struct why *why)
{
    char body[STATE_SIZE], signature[URL_SIGNATURE_SIZE], wanted[STATE_SIZE + 40];
    const char *cookie = q->header(q, "Cookie"), *at = strchr(state, '.');
    char *last;
    if (at == NULL || !text_copy(body, sizeof body, state) || (last = strrchr(body, '.')) == NULL)
        return refused(why, "the sign-in came back without what it left with: begin it again");
    *last = '\0';
    url_sign(rest->keys, "OIDC", body, 0, signature);
    if (strlen(last + 1) != strlen(signature) || !secret_equal(last + 1, signature, strlen(signature)))
        return refused(why, "the sign-in did not begin here: begin it again");
    if (strtoll(at + 1, NULL, 10) + STATE_LIFE_S < q->now / 1000)
        return refused(why, "the sign-in took too long: begin it again");
    snprintf(wanted, sizeof wanted, COOKIE "=%s", state);
    if (cookie == NULL || strstr(cookie, wanted) == NULL)
        return refused(why, "the sign-in began in another browser, or this one keeps no cookies");
    *is_for_reading = last[-1] == 'c';
    return ERR_NONE;
}

/* PKCE's verifier and the nonce: hex, from the state. */
static void derive(const struct rest *rest, const char *purpose, const char *state, char to[static KEYS_SECRET_SIZE])
{
    char text[STATE_SIZE + 20];
    snprintf(text, sizeof text, "oidc %s %s", purpose, state);
    keys_derive(rest->keys, text, to);
}

/* --- the provider ----------------------------------------------------------------------------- */

static enum err call_json(struct rest_provider *provider, const char *url, const char *form, struct json **to,
                          struct why *why)
{
    struct buf answer = {0};
    int status = 0;
    *to = NULL;
    enum err err = provider->call(provider, url, form, &answer, &status, why);
    if (err == ERR_NONE && json_parse(buf_bytes(&answer), to, NULL) != ERR_NONE)
        err = why_set(why, ERR_NETWORK, "%.120s answers %d, and not in JSON", url, status);
    if (err == ERR_NONE && status != 200) {
        const char *error = json_text(json_get(*to, "error")), *more = json_text(json_get(*to, "error_description"));
        err = why_set(why, ERR_UNAUTHORIZED, "the provider answers %d: %.60s %.120s", status, error ? error : "",
                      more ? more : "");
        json_free(*to);
        *to = NULL;
    }
    buf_deinit(&answer);
    return err;
}

/* Its own description; one that calls itself by another name is not believed. */
static enum err discover(struct rest_provider *provider, struct json **to, struct why *why)
{
    char url[700], issuer[512];
    text_copy(issuer, sizeof issuer, provider->issuer);
    size_t len = strlen(issuer);
    if (len > 0 && issuer[len - 1] == '/')
        issuer[len - 1] = '\0';
    snprintf(url, sizeof url, "%s/.well-known/openid-configuration", issuer);
    enum err err = call_json(provider, url, NULL, to, why);
    const char *told = json_text(json_get(*to, "issuer"));
    if (err == ERR_NONE && (told == NULL || strcmp(told, provider->issuer) != 0)) {
        err = why_set(why, ERR_CONFIG, "the provider calls itself %.200s, not %.200s: set that as --oidc-issuer",
                      told ? told : "nothing", provider->issuer);
        json_free(*to);
        *to = NULL;
    }
    return err;
}

static void add_field(struct buf *to, const char *name, const char *value)
{
    buf_addf(to, "%s%s=", to->len > 0 ? "&" : "", name);
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                        strchr("-_.~", *c) != NULL;
        buf_addf(to, is_plain ? "%c" : "%%%02X", *c);
    }
}

/* Where the browser reached us. */
static void own_url(const struct rest *rest, const struct rest_request *q, const char *path, char *to, size_t size)
{
    const char *host = q->listener == REST_LOCAL ? q->header(q, "Host") : NULL;
    if (host != NULL)
        snprintf(to, size, "http://%.200s%s", host, path);
    else
        snprintf(to, size, "%s%s", rest->public_url, path);
}

static enum err send_to(struct rest_response *p, const struct buf *url, struct why *why)
{
    p->location = url->is_failed ? NULL : strdup(url->at);
    if (p->location == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    p->status = 302;
    p->type = "text/plain";
    return ERR_NONE;
}

static enum err set_cookie(struct rest_response *p, const char *state, int life_s, bool is_secure, struct why *why)
{
    char text[STATE_SIZE + 120];
    snprintf(text, sizeof text, COOKIE "=%s; Path=/v1/oidc; Max-Age=%d; HttpOnly; SameSite=Lax%s", state, life_s,
             is_secure ? "; Secure" : "");
    p->cookie = strdup(text);
    return p->cookie ? ERR_NONE : why_set(why, ERR_NO_MEMORY, "no memory");
}

/* For pages of sign-in: whether there is one. */
HANDLER(get_oidc)
{
    (void)q;
    if (rest->provider == NULL)
        return why_set(why, ERR_NOT_FOUND, "this server has no OpenID Connect provider: sign in with a password");
    struct json_out out = answer(p);
    json_out_text(&out, "issuer", rest->provider->issuer);
    json_out_end_object(&out);
    return ERR_NONE;
}

HANDLER(get_oidc_login)
{
    char state[STATE_SIZE], verifier[KEYS_SECRET_SIZE], nonce[KEYS_SECRET_SIZE], back[400],
        challenge[BASE64_SIZE(SHA256_LEN)];
    uint8_t digest[SHA256_LEN];
    struct json *about;
    struct buf fields = {0}, url = {0};
    if (rest->provider == NULL)
        return why_set(why, ERR_NOT_FOUND, "this server has no OpenID Connect provider: sign in with a password");
    enum err err = discover(rest->provider, &about, why);
    if (err != ERR_NONE)
        return err;
    const char *endpoint = json_text(json_get(about, "authorization_endpoint"));
    make_state(rest, query_is_true(q, "show_code"), q->now, state);
    derive(rest, "verifier", state, verifier);
    derive(rest, "nonce", state, nonce);
    sha256_of(digest, bytes_of_text(verifier));
    base64_encode(challenge, bytes_of(digest, sizeof digest), BASE64_URL);
    own_url(rest, q, CALLBACK, back, sizeof back);
    const char *const pairs[][2] = {{"response_type", "code"},
                                    {"client_id", rest->provider->client_id},
                                    {"redirect_uri", back},
                                    {"scope", "openid email"},
                                    {"state", state},
                                    {"nonce", nonce},
                                    {"code_challenge", challenge},
                                    {"code_challenge_method", "S256"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        add_field(&fields, pairs[i][0], pairs[i][1]);
    if (endpoint == NULL)
        err = why_set(why, ERR_NETWORK, "the provider tells no authorization_endpoint");
    else {
        buf_addf(&url, "%s%c%s", endpoint, strchr(endpoint, '?') ? '&' : '?', fields.at);
        err = set_cookie(p, state, STATE_LIFE_S, q->listener == REST_PUBLIC, why);
        if (err == ERR_NONE)
            err = send_to(p, &url, why);
    }
    buf_deinit(&fields);
    buf_deinit(&url);
    json_free(about);
    return err;
}

/* --- the identity token ----------------------------------------------------------------------- */

#define PART_MAX 8192

struct id_token {
    uint8_t head[PART_MAX], payload[PART_MAX], signature[1024];
    size_t head_len, payload_len, signature_len, signed_len;
};

static bool split(const char *text, struct id_token *to)
{
    const char *first = strchr(text, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    if (second == NULL || strlen(text) > PART_MAX || strlen(second + 1) > 1300)
        return false;
    to->signed_len = (size_t)(second - text);
    return base64_decode(to->head, &to->head_len, bytes_of(text, (size_t)(first - text)), BASE64_URL) &&
           base64_decode(to->payload, &to->payload_len, bytes_of(first + 1, (size_t)(second - first - 1)),
                         BASE64_URL) &&
           base64_decode(to->signature, &to->signature_len, bytes_of_text(second + 1), BASE64_URL);
}

struct key_parts {
    uint8_t n[1100], e[16], x[48], y[48];
};

static struct bytes part(const struct json *key, const char *name, uint8_t *to, size_t size)
{
    const char *text = json_text(json_get(key, name));
    size_t len = 0;
    if (text == NULL || BASE64_BYTES(strlen(text)) > size || !base64_decode(to, &len, bytes_of_text(text), BASE64_URL))
        return bytes_of(to, 0);
    return bytes_of(to, len);
}

static enum err check_signature(const struct json *keys, const char *text, const struct id_token *t, struct why *why)
{
    struct json *head;
    struct key_parts parts;
    if (json_parse(bytes_of(t->head, t->head_len), &head, NULL) != ERR_NONE)
        return refused(why, "the provider's token has no readable head");
    const char *algorithm = json_text(json_get(head, "alg")), *id = json_text(json_get(head, "kid"));
    enum err err = refused(why, "none of the provider's keys has signed its token");
    JSON_EACH (key, json_get(keys, "keys")) {
        const char *key_id = json_text(json_get(key, "kid")), *use = json_text(json_get(key, "use"));
        if ((id != NULL && key_id != NULL && strcmp(id, key_id) != 0) || (use != NULL && strcmp(use, "sig") != 0))
            continue;
        const struct jwk jwk = {part(key, "n", parts.n, sizeof parts.n), part(key, "e", parts.e, sizeof parts.e),
                                part(key, "x", parts.x, sizeof parts.x), part(key, "y", parts.y, sizeof parts.y)};
        if (algorithm != NULL && jws_verify(algorithm, &jwk, bytes_of(text, t->signed_len),
                                            bytes_of(t->signature, t->signature_len), NULL) == ERR_NONE) {
            err = ERR_NONE;
            break;
        }
    }
    json_free(head);
    return err;
}

static bool is_audience(const struct json *aud, const char *client)
{
    if (json_text(aud) != NULL)
        return strcmp(json_text(aud), client) == 0;
    JSON_EACH (one, aud)
        if (json_text(one) != NULL && strcmp(json_text(one), client) == 0)
            return true;
    return false;
}

/* OpenID Connect Core 3.1.3.7. */
static enum err check_claims(const struct rest_provider *provider, const struct json *claims, const char *nonce,
                             time_ms now, struct why *why)
{
    int64_t expires = 0, issued = now / 1000;
    bool is_verified = true;
    const char *issuer = json_text(json_get(claims, "iss")), *told = json_text(json_get(claims, "nonce"));
    if (issuer == NULL || strcmp(issuer, provider->issuer) != 0)
        return refused(why, "the token is another provider's");
    if (!is_audience(json_get(claims, "aud"), provider->client_id))
        return refused(why, "the token is for another client");
    if (!json_int(json_get(claims, "exp"), &expires) || expires + SKEW_S < now / 1000)
        return refused(why, "the token has expired: do the clocks agree?");
    json_int(json_get(claims, "iat"), &issued);
    if (issued > now / 1000 + SKEW_S)
        return refused(why, "the token is from the future: do the clocks agree?");
    if (told == NULL || strcmp(told, nonce) != 0)
        return refused(why, "the token is of another sign-in");
    if (json_get(claims, "email_verified") != NULL && json_bool(json_get(claims, "email_verified"), &is_verified) &&
        !is_verified)
        return refused(why, "the provider has not verified the mail address");
    return ERR_NONE;
}

/* --- who it is -------------------------------------------------------------------------------- */

static enum err find_user(struct rest *rest, const struct json *claims, time_ms now, struct user *to, struct why *why)
{
    const struct rest_provider *provider = rest->provider;
    const char *name = json_text(json_get(claims, provider->claim));
    if (name == NULL || *name == '\0' || strpbrk(name, "\r\n") != NULL)
        return why_set(why, ERR_UNAUTHORIZED, "the provider's token tells no %s: is the scope granted?",
                       provider->claim);
    enum err err = fleet_user_get(rest->fleet, name, to, why);
    if (err == ERR_NOT_FOUND && !provider->makes_users)
        return why_set(why, ERR_UNAUTHORIZED, "there is no user %.120s here: ask an administrator", name);
    if (err == ERR_NOT_FOUND) /* no password opens this account */
        err = fleet_user_add(rest->fleet, name, "*", provider->new_role, now, to, why);
    if (err == ERR_NONE && to->is_disabled)
        err = refused(why, "the account is disabled: ask an administrator");
    return err;
}

/* "<user> <until>" under the code's digest. */
static enum err keep_code(struct rest *rest, const char *user_id, time_ms now, char code[static KEYS_SECRET_SIZE],
                          struct why *why)
{
    uint8_t random[KEYS_SECRET_SIZE / 2];
    char digest[TOKEN_DIGEST_SIZE], text[ID_LEN + 30];
    rest->entropy->fill(rest->entropy, random, sizeof random);
    hex_encode(code, bytes_of(random, sizeof random));
    token_digest(code, digest);
    snprintf(text, sizeof text, "%s %" PRId64, user_id, now + CODE_LIFE_MS);
    return fleet_request_put(rest->fleet, digest, text, now, why);
}

enum err oidc_code_user(struct rest *rest, const char *code, time_ms now, struct user *to, struct why *why)
{
    char digest[TOKEN_DIGEST_SIZE], id[ID_LEN + 1];
    char *kept = NULL;
    token_digest(code, digest);
    enum err err = fleet_request_get(rest->fleet, digest, &kept, why);
    const char *blank = kept ? strchr(kept, ' ') : NULL;
    if (err == ERR_NONE && (blank == NULL || strtoll(blank, NULL, 10) < now))
        err = why_set(why, ERR_LOGIN, "the code of the sign-in was used, or is too old: sign in again");
    if (err == ERR_NONE)
        text_copy_field(id, sizeof id, kept, (size_t)(blank - kept));
    free(kept);
    if (err == ERR_NONE)
        err = fleet_request_put(rest->fleet, digest, "", now, why); /* once */
    return err ? err : fleet_user_get_id(rest->fleet, id, to, why);
}

static enum err exchange(struct rest *rest, const struct rest_request *q, const struct json *about, const char *state,
                         struct json **claims, struct why *why)
{
    char verifier[KEYS_SECRET_SIZE], nonce[KEYS_SECRET_SIZE], back[400];
    const char *token_url = json_text(json_get(about, "token_endpoint")),
               *keys_url = json_text(json_get(about, "jwks_uri"));
    struct buf form = {0};
    struct json *answer = NULL, *keys = NULL;
    struct id_token *token = calloc(1, sizeof *token);
    derive(rest, "verifier", state, verifier);
    derive(rest, "nonce", state, nonce);
    own_url(rest, q, CALLBACK, back, sizeof back);
    add_field(&form, "grant_type", "authorization_code");
    add_field(&form, "code", query(q, "code"));
    add_field(&form, "redirect_uri", back);
    add_field(&form, "code_verifier", verifier);
    enum err err = token == NULL || form.is_failed ? why_set(why, ERR_NO_MEMORY, "no memory") : ERR_NONE;
    if (err == ERR_NONE && (token_url == NULL || keys_url == NULL))
        err = why_set(why, ERR_NETWORK, "the provider tells no token_endpoint or no jwks_uri");
    if (err == ERR_NONE)
        err = call_json(rest->provider, token_url, form.at, &answer, why);
    if (err == ERR_NONE)
        err = call_json(rest->provider, keys_url, NULL, &keys, why);
    const char *text = json_text(json_get(answer, "id_token"));
    if (err == ERR_NONE && (text == NULL || !split(text, token)))
        err = refused(why, "the provider sends no readable id_token");
    if (err == ERR_NONE)
        err = check_signature(keys, text, token, why);
    if (err == ERR_NONE && json_parse(bytes_of(token->payload, token->payload_len), claims, NULL) != ERR_NONE)
        err = refused(why, "the provider's token has no readable payload");
    if (err == ERR_NONE)
        err = check_claims(rest->provider, *claims, nonce, q->now, why);
    json_free(answer);
    json_free(keys);
    buf_deinit(&form);
    free(token);
    return err;
}

static enum err finish(struct rest *rest, struct rest_request *q, struct rest_response *p, bool is_for_reading,
                       struct user *user, struct why *why)
{
    char code[KEYS_SECRET_SIZE];
    struct buf url = {0};
    enum err err = keep_code(rest, user->id, q->now, code, why);
    if (err != ERR_NONE)
        return err;
    if ((err = set_cookie(p, "", 0, q->listener == REST_PUBLIC, why)) != ERR_NONE)
        return err;
    log_line(rest->log, LOG_INFO, "rest", "user %s signed in by %s", user->name, rest->provider->issuer);
    if (is_for_reading) {
        p->type = "text/plain; charset=utf-8";
        buf_addf(&p->body, "You are signed in as %s.\nThe code for the command line:\n\n%s\n", user->name, code);
        return ERR_NONE;
    }
    buf_addf(&url, "/#oidc=%s", code);
    err = send_to(p, &url, why);
    buf_deinit(&url);
    return err;
}

HANDLER(get_oidc_callback)
{
    const char *state = query(q, "state"), *error = query(q, "error");
    bool is_for_reading = false;
    struct json *about = NULL, *claims = NULL;
    if (rest->provider == NULL)
        return why_set(why, ERR_NOT_FOUND, "this server has no OpenID Connect provider: sign in with a password");
    if (state == NULL || (query(q, "code") == NULL && error == NULL))
        return why_set(why, ERR_BODY, "state and code are missing");
    enum err err = check_state(rest, q, state, &is_for_reading, why);
    if (err == ERR_NONE && error != NULL)
        err = why_set(why, ERR_UNAUTHORIZED, "the provider refuses: %.100s", error);
    if (err == ERR_NONE)
        err = discover(rest->provider, &about, why);
    if (err == ERR_NONE)
        err = exchange(rest, q, about, state, &claims, why);
    if (err == ERR_NONE) {
        err = find_user(rest, claims, q->now, &q->user, why);
        if (err == ERR_NONE)
            err = finish(rest, q, p, is_for_reading, &q->user, why);
    }
    json_free(about);
    json_free(claims);
    return err;
}
