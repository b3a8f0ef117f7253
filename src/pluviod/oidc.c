#include "pluviod/oidc.h"

#include "base/text.h"
#include "codec/encode.h"
#include "net/http_call.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000
#define SECRET_MAX 200

static enum err call(struct rest_provider *port, const char *url, const char *form, struct buf *answer, int *status,
                     struct why *why)
{
    struct oidc *o = (struct oidc *)port;
    struct http_answer got;
    struct http_call request = {.method = form ? "POST" : "GET",
                                .url = url,
                                .body_fd = -1,
                                .ca_file = o->settings->oidc_ca,
                                .timeout_ms = TIMEOUT_MS,
                                .headers = {"Accept: application/json"}};
    if (form != NULL) {
        request.body = bytes_of_text(form);
        request.headers[1] = "Content-Type: application/x-www-form-urlencoded";
        request.headers[2] = o->authorization;
    }
    enum err err = http_call(&request, &got, why);
    *status = got.status;
    *answer = got.body;
    return err ? why_add(why, ERR_NETWORK, "ask the OpenID Connect provider") : ERR_NONE;
}

static enum err read_secret(const char *path, char to[SECRET_MAX], struct why *why)
{
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && fgets(to, SECRET_MAX, file) != NULL;
    if (file != NULL)
        fclose(file);
    to[is_read ? strcspn(to, "\r\n") : 0] = '\0';
    return *to ? ERR_NONE
               : why_set(why, ERR_CONFIG, "--oidc-secret-file=%.200s holds no secret in its first line", path);
}

/* RFC 6749, 2.3.1: name and secret are form-encoded before they are joined. */
static void write_authorization(struct oidc *o, const char *secret)
{
    struct buf pair = {0};
    char encoded[BASE64_SIZE(560)];
    http_escape(&pair, o->settings->oidc_client);
    buf_add_text(&pair, ":");
    http_escape(&pair, secret);
    if (!pair.is_failed && pair.len <= 560) {
        base64_encode(encoded, buf_bytes(&pair), BASE64_STANDARD);
        snprintf(o->authorization, sizeof o->authorization, "Authorization: Basic %s", encoded);
    }
    buf_deinit(&pair);
}

enum err oidc_init(struct oidc *o, const struct settings *s, struct why *why)
{
    char secret[SECRET_MAX] = "";
    enum role role = ROLE_USER;
    bool is_plain =
        strncmp(s->oidc_issuer, "http://127.0.0.1", 16) == 0 || strncmp(s->oidc_issuer, "http://localhost", 16) == 0;
    *o = (struct oidc){.settings = s};
    if (strncmp(s->oidc_issuer, "https://", 8) != 0 && !is_plain)
        return why_set(why, ERR_CONFIG, "--oidc-issuer must begin with https://");
    if (s->oidc_client[0] == '\0' || s->oidc_secret_file[0] == '\0')
        return why_set(why, ERR_CONFIG, "--oidc-issuer needs --oidc-client and --oidc-secret-file");
    if (strcmp(s->oidc_new_users, "no") != 0 && (!role_find(s->oidc_new_users, &role) || role > ROLE_ADMIN))
        return why_set(why, ERR_CONFIG, "--oidc-new-users must be no, user, viewer, operator or admin");
    enum err err = read_secret(s->oidc_secret_file, secret, why);
    if (err != ERR_NONE)
        return err;
    write_authorization(o, secret);
    o->port = (struct rest_provider){.issuer = s->oidc_issuer,
                                     .client_id = s->oidc_client,
                                     .claim = s->oidc_claim,
                                     .makes_users = strcmp(s->oidc_new_users, "no") != 0,
                                     .new_role = role,
                                     .call = call};
    return ERR_NONE;
}
