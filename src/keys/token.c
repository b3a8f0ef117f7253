/*
 * Tokens and signed URLs.  Ours, not a library's: the algorithm is fixed, so no header is ever believed, and the
 * payload must avoid the two letters in which base64's alphabets differ.
 */
#include "base/buf.h"
#include "base/text.h"
#include "codec/encode.h"
#include "codec/json.h"
#include "crypto/digest.h"
#include "keys/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ISSUER      "pluvio"
#define PAYLOAD_MAX 1024
static const char head_json[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";

static void write_payload(struct buf *to, const struct token_claims *c)
{
    struct json_out out;
    json_out_init(&out, to);
    json_out_ascii(&out);
    json_out_object(&out, NULL);
    json_out_text(&out, "iss", ISSUER);
    json_out_text(&out, "sub", c->user_id);
    json_out_text(&out, "token_use", c->is_access ? "access" : "id");
    if (c->session != NULL)
        json_out_text(&out, "sid", c->session);
    json_out_int(&out, "iat", c->issued_at / 1000);
    json_out_int(&out, "exp", c->expires_at / 1000);
    if (!c->is_access) {
        json_out_text(&out, "email", c->user_name);
        json_out_text(&out, "custom:user_id", c->user_id);
    }
    json_out_end_object(&out);
}

static void sign(const struct keys *k, struct bytes text, char to[static BASE64_SIZE(SHA256_LEN)])
{
    uint8_t mac[SHA256_LEN];
    hmac_sha256(mac, bytes_of(k->token_key, sizeof k->token_key), text);
    base64_encode(to, bytes_of(mac, sizeof mac), BASE64_URL);
}

enum err token_make(const struct keys *k, const struct token_claims *claims, char to[static TOKEN_SIZE],
                    struct why *why)
{
    struct buf payload = {0};
    write_payload(&payload, claims);
    if (payload.is_failed || payload.len > PAYLOAD_MAX) {
        buf_deinit(&payload);
        return why_set(why, ERR_TOO_BIG, "token of user %s is too long", claims->user_name);
    }
    size_t n = base64_encode(to, bytes_of_text(head_json), BASE64_URL);
    to[n++] = '.';
    n += base64_encode(to + n, buf_bytes(&payload), BASE64_URL);
    buf_deinit(&payload);
    char mac[BASE64_SIZE(SHA256_LEN)];
    sign(k, bytes_of(to, n), mac);
    to[n++] = '.';
    text_copy(to + n, TOKEN_SIZE - n, mac);
    return ERR_NONE;
}

static enum err refused(struct why *why, const char *text)
{
    return why_set(why, ERR_UNAUTHORIZED, "%s", text);
}

static enum err check_claims(struct bytes payload, time_ms now, struct token_holder *to, struct why *why)
{
    struct json *doc;
    int64_t expires;
    if (json_parse(payload, &doc, why) != ERR_NONE)
        return refused(why, "access token has no readable payload");
    const char *sub = json_text(json_get(doc, "sub")), *use = json_text(json_get(doc, "token_use"));
    const char *issuer = json_text(json_get(doc, "iss")), *session = json_text(json_get(doc, "sid"));
    bool is_ours = sub && use && issuer && strcmp(issuer, ISSUER) == 0 && strcmp(use, "access") == 0 &&
                   text_copy(to->user_id, sizeof to->user_id, sub) &&
                   text_copy(to->session, sizeof to->session, session) && json_int(json_get(doc, "exp"), &expires);
    enum err err = !is_ours                ? refused(why, "this is no access token of this server")
                   : expires * 1000 <= now ? refused(why, "access token has expired, log in again")
                                           : ERR_NONE;
    json_free(doc);
    return err;
}

enum err token_check(const struct keys *k, const char *token, time_ms now, struct token_holder *to, struct why *why)
{
    const char *dot = strchr(token, '.'), *last = strrchr(token, '.');
    char mac[BASE64_SIZE(SHA256_LEN)];
    uint8_t payload[BASE64_BYTES(TOKEN_SIZE)];
    size_t len;
    if (dot == NULL || last == dot || strlen(token) >= TOKEN_SIZE)
        return refused(why, "access token is malformed");
    sign(k, bytes_of(token, (size_t)(last - token)), mac);
    if (strlen(last + 1) != strlen(mac) || !secret_equal(last + 1, mac, strlen(mac)))
        return refused(why, "access token was not signed by this server");
    if (!base64_decode(payload, &len, bytes_of(dot + 1, (size_t)(last - dot - 1)), BASE64_URL))
        return refused(why, "access token has no readable payload");
    return check_claims(bytes_of(payload, len), now, to, why);
}

void url_sign(const struct keys *k, const char *method, const char *path, int64_t expires_s,
              char to[static URL_SIGNATURE_SIZE])
{
    char text[1200], mac[BASE64_SIZE(SHA256_LEN)];
    snprintf(text, sizeof text, "url\n%s\n%s\n%" PRId64, method, path, expires_s);
    sign(k, bytes_of_text(text), mac);
    text_copy(to, URL_SIGNATURE_SIZE, mac); /* 192 bits of the MAC are plenty and keep URLs short */
}

enum err url_check(const struct keys *k, const char *method, const char *path, const char *expires,
                   const char *signature, time_ms now, struct why *why)
{
    char expected[URL_SIGNATURE_SIZE];
    int64_t expires_s = expires ? strtoll(expires, NULL, 10) : 0;
    if (expires == NULL || signature == NULL)
        return why_set(why, ERR_FORBIDDEN, "this URL is not signed");
    url_sign(k, method, path, expires_s, expected);
    if (strlen(signature) != strlen(expected) || !secret_equal(signature, expected, strlen(expected)))
        return why_set(why, ERR_FORBIDDEN,
                       "this URL's signature is wrong: it was altered, or signed by another server");
    if (expires_s * 1000 <= now)
        return why_set(why, ERR_FORBIDDEN, "this URL expired %" PRId64 " s ago", now / 1000 - expires_s);
    return ERR_NONE;
}

void keys_derive(const struct keys *k, const char *purpose, char to[static KEYS_SECRET_SIZE])
{
    uint8_t mac[SHA256_LEN];
    struct buf text = {0};
    buf_addf(&text, "secret\n%s", purpose);
    hmac_sha256(mac, bytes_of(k->token_key, sizeof k->token_key), buf_bytes(&text));
    buf_deinit(&text);
    hex_encode(to, bytes_of(mac, sizeof mac));
}
