/* Webhooks as administrators see them.  A webhook's secret follows from the installation's own: it is shown, never
 * kept. */
#include "rest/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 5

static void secret_of(const struct keys *keys, const char *id, char to[static KEYS_SECRET_SIZE])
{
    char purpose[64];
    snprintf(purpose, sizeof purpose, "webhook %.40s", id);
    keys_derive(keys, purpose, to);
}

void rest_webhook_sign(const struct keys *keys, const struct webhook *hook, struct bytes body, time_ms now,
                       char to[static WEBHOOK_SIGNATURE_SIZE])
{
    char secret[KEYS_SECRET_SIZE], hex[2 * SHA256_LEN + 1];
    uint8_t mac[SHA256_LEN];
    struct buf text = {0};
    secret_of(keys, hook->id, secret);
    buf_addf(&text, "%lld.", (long long)(now / 1000));
    buf_add(&text, body.at, body.len);
    hmac_sha256(mac, bytes_of_text(secret), buf_bytes(&text));
    buf_deinit(&text);
    hex_encode(hex, bytes_of(mac, sizeof mac));
    snprintf(to, WEBHOOK_SIGNATURE_SIZE, "t=%lld,v1=%s", (long long)(now / 1000), hex);
}

static void write_webhook(struct json_out *out, const struct webhook *h)
{
    json_out_object(out, NULL);
    json_out_text(out, "webhook_id", h->id);
    json_out_text(out, "url", h->url);
    json_out_text(out, "description", h->description);
    json_out_array(out, "events");
    for (int kind = 0; kind < KINDS; kind++)
        if (h->kinds >> kind & 1)
            json_out_text(out, NULL, event_kind_texts[kind]);
    json_out_end_array(out);
    json_out_bool(out, "paused", h->is_paused);
    json_out_int(out, "last_event", h->cursor);
    json_out_int(out, "failures", h->failures);
    if (h->failures > 0)
        json_out_int(out, "next_try_ms", h->next_at);
    json_out_int(out, "created_at", h->created_at / 1000);
    json_out_end_object(out);
}

HANDLER(get_webhooks)
{
    unsigned count = 0;
    struct webhook *all = calloc(WEBHOOKS_MAX, sizeof *all);
    (void)q;
    if (all == NULL)
        return why_set(why, ERR_NO_MEMORY, "no memory");
    enum err err = fleet_webhook_list(rest->fleet, all, WEBHOOKS_MAX, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "webhooks");
    for (unsigned i = 0; i < count; i++)
        write_webhook(&out, &all[i]);
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(all);
    return err;
}

static enum err take_kinds(const struct json *list, unsigned *kinds, struct why *why)
{
    *kinds = 0;
    JSON_EACH (name, list) {
        int kind = 0;
        while (kind < KINDS && (json_text(name) == NULL || strcmp(json_text(name), event_kind_texts[kind]) != 0))
            kind++;
        if (kind == KINDS)
            return why_set(why, ERR_BODY, "events must be some of node, image, job, execution, group");
        *kinds |= 1u << kind;
    }
    return ERR_NONE;
}

/* What the body says, over what was there. */
static enum err read_webhook(const struct json *doc, struct webhook *h, struct why *why)
{
    const char *url = json_text(json_get(doc, "url")), *description = json_text(json_get(doc, "description"));
    bool is_http = url != NULL && (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
    if (url != NULL && (!is_http || strpbrk(url, " \r\n\t\"") != NULL || !text_copy(h->url, sizeof h->url, url)))
        return why_set(why, ERR_BODY, "url must begin with http:// or https:// and have fewer than %d characters",
                       WEBHOOK_URL_SIZE);
    if (description != NULL && !text_copy(h->description, sizeof h->description, description))
        return why_set(why, ERR_BODY, "description has more than %d characters", NAME_SIZE - 1);
    if (json_get(doc, "paused") != NULL && !json_bool(json_get(doc, "paused"), &h->is_paused))
        return why_set(why, ERR_BODY, "paused must be true or false");
    return json_get(doc, "events") ? take_kinds(json_get(doc, "events"), &h->kinds, why) : ERR_NONE;
}

HANDLER(post_webhook)
{
    struct json *doc;
    struct webhook h = {.kinds = 0};
    char secret[KEYS_SECRET_SIZE];
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_webhook(doc, &h, why);
    if (err == ERR_NONE && h.url[0] == '\0')
        err = why_set(why, ERR_BODY, "url is missing");
    if (err == ERR_NONE)
        err = fleet_webhook_add(rest->fleet, &h, q->now, why);
    if (err == ERR_NONE) {
        secret_of(rest->keys, h.id, secret);
        struct json_out out = answer_success(p);
        json_out_text(&out, "webhook_id", h.id);
        json_out_text(&out, "secret", secret);
        json_out_end_object(&out);
    }
    json_free(doc);
    return err;
}

static enum err wanted_id(const struct rest_request *q, const char **id, struct why *why)
{
    *id = query(q, "webhook_id");
    return *id ? ERR_NONE : why_set(why, ERR_BODY, "webhook_id is missing");
}

HANDLER(put_webhook)
{
    struct json *doc;
    struct webhook h;
    const char *id;
    enum err err = wanted_id(q, &id, why);
    if (err == ERR_NONE)
        err = fleet_webhook_get(rest->fleet, id, &h, why);
    if (err == ERR_NONE)
        err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    err = read_webhook(doc, &h, why);
    if (err == ERR_NONE)
        err = fleet_webhook_edit(rest->fleet, &h, why);
    if (err == ERR_NONE) {
        struct json_out out;
        json_out_init(&out, &p->body);
        write_webhook(&out, &h);
    }
    json_free(doc);
    return err;
}

HANDLER(delete_webhook)
{
    const char *id;
    enum err err = wanted_id(q, &id, why);
    if (err == ERR_NONE)
        err = fleet_webhook_drop(rest->fleet, id, why);
    if (err == ERR_NONE)
        answer_done(p, "Nothing is sent there any more");
    return err;
}

HANDLER(get_deliveries)
{
    const char *id;
    unsigned count = 0;
    enum err err = wanted_id(q, &id, why);
    struct delivery *all = err ? NULL : calloc(DELIVERIES_KEPT, sizeof *all);
    if (all == NULL)
        return err ? err : why_set(why, ERR_NO_MEMORY, "no memory");
    err = fleet_webhook_deliveries(rest->fleet, id, all, DELIVERIES_KEPT, &count, why);
    struct json_out out = answer(p);
    json_out_array(&out, "deliveries");
    for (unsigned i = 0; i < count; i++) {
        json_out_object(&out, NULL);
        json_out_int(&out, "number", all[i].number);
        json_out_int(&out, "first_event", all[i].first);
        json_out_int(&out, "last_event", all[i].last);
        json_out_int(&out, "status", all[i].status);
        json_out_int(&out, "took_ms", all[i].took_ms);
        json_out_int(&out, "at_ms", all[i].at);
        if (all[i].story[0])
            json_out_text(&out, "description", all[i].story);
        json_out_end_object(&out);
    }
    json_out_end_array(&out);
    json_out_end_object(&out);
    free(all);
    return err;
}

HANDLER(post_replay)
{
    struct json *doc;
    int64_t from = 0;
    enum err err = body_object(q, &doc, why);
    if (err != ERR_NONE)
        return err;
    const char *id = member_text(doc, "webhook_id");
    if (id == NULL || !json_int(json_get(doc, "from_event"), &from))
        err = why_set(why, ERR_BODY, "give webhook_id, and from_event: the first event to send again");
    if (err == ERR_NONE)
        err = fleet_webhook_replay(rest->fleet, id, from, why);
    if (err == ERR_NONE)
        answer_done(p, "They are sent again");
    json_free(doc);
    return err;
}
