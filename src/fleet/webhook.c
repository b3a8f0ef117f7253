/*
 * Webhooks: where events go by themselves.  Each keeps a cursor, so what could not be delivered waits, in its order,
 * and a replay is a cursor that moves back.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- cards ------------------------------------------------------------------------------------ */

static enum err put(struct tx *tx, const struct webhook *h)
{
    struct buf text = {0};
    struct json_out out;
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_text(&out, "url", h->url);
    json_out_text(&out, "description", h->description);
    json_out_int(&out, "kinds", h->kinds);
    json_out_bool(&out, "paused", h->is_paused);
    json_out_int(&out, "cursor", h->cursor);
    json_out_int(&out, "failures", h->failures);
    json_out_int(&out, "next_at", h->next_at);
    json_out_int(&out, "created_at", h->created_at);
    json_out_end_object(&out);
    enum err err = tx_card_put(tx, CARD_WEBHOOK, h->id, &text);
    buf_deinit(&text);
    return err;
}

static int64_t number_of(const struct json *doc, const char *name)
{
    int64_t value = 0;
    json_int(json_get(doc, name), &value);
    return value;
}

static bool read(const char *id, const char *text, struct webhook *to)
{
    struct json *doc;
    *to = (struct webhook){.kinds = 0};
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return false;
    text_copy(to->id, sizeof to->id, id);
    json_copy_text(doc, "url", to->url, sizeof to->url);
    json_copy_text(doc, "description", to->description, sizeof to->description);
    to->kinds = (unsigned)number_of(doc, "kinds");
    json_bool(json_get(doc, "paused"), &to->is_paused);
    to->cursor = number_of(doc, "cursor");
    to->failures = (unsigned)number_of(doc, "failures");
    to->next_at = number_of(doc, "next_at");
    to->created_at = number_of(doc, "created_at");
    json_free(doc);
    return true;
}

static enum err get(struct tx *tx, const char *id, struct webhook *to)
{
    char *text = NULL;
    enum err err = tx_card(tx, CARD_WEBHOOK, id, &text);
    if (err == ERR_NONE && (text == NULL || !read(id, text, to)))
        err = why_set(tx->why, ERR_NOT_FOUND, "there is no webhook %.40s", id);
    free(text);
    return err;
}

struct hook_list {
    struct card_visitor v;
    struct webhook *to;
    unsigned max, count;
};

static bool note(struct card_visitor *v, const char *key, const char *text)
{
    struct hook_list *l = (struct hook_list *)v;
    l->count += read(key, text, &l->to[l->count]);
    return l->count < l->max;
}

static enum err list(struct tx *tx, struct webhook *to, unsigned max, unsigned *count)
{
    struct hook_list l = {{note}, to, max, 0};
    enum err err = tx->db->card_scan(tx->s, CARD_WEBHOOK, "", "", &l.v, tx->why);
    *count = l.count;
    return err;
}

/* --- administration --------------------------------------------------------------------------- */

static enum err add(struct tx *tx, struct webhook *hook)
{
    struct webhook *all = calloc(WEBHOOKS_MAX, sizeof *all);
    unsigned count = 0;
    int64_t first;
    enum err err = all ? list(tx, all, WEBHOOKS_MAX, &count) : why_set(tx->why, ERR_NO_MEMORY, "no memory");
    free(all);
    if (err == ERR_NONE && count == WEBHOOKS_MAX)
        err = why_set(tx->why, ERR_TOO_BIG, "there are %d webhooks already", WEBHOOKS_MAX);
    if (err == ERR_NONE)
        err = tx->db->event_bounds(tx->s, &first, &hook->cursor, tx->why);
    text_copy(hook->id, sizeof hook->id, id_new(tx->f->entropy).text);
    hook->created_at = tx->now;
    return err ? err : put(tx, hook);
}

enum err fleet_webhook_add(struct fleet *f, struct webhook *hook, time_ms now, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, now, why);
    return err ? err : tx_end(&tx, add(&tx, hook));
}

enum err fleet_webhook_get(struct fleet *f, const char *id, struct webhook *to, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, get(&tx, id, to));
}

enum err fleet_webhook_list(struct fleet *f, struct webhook *to, unsigned max, unsigned *count, struct why *why)
{
    struct tx tx;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, list(&tx, to, max, count));
}

static enum err edit(struct tx *tx, const struct webhook *hook)
{
    struct webhook now;
    enum err err = get(tx, hook->id, &now);
    if (err != ERR_NONE)
        return err;
    text_copy(now.url, sizeof now.url, hook->url);
    text_copy(now.description, sizeof now.description, hook->description);
    now.kinds = hook->kinds;
    now.is_paused = hook->is_paused;
    now.next_at = 0;
    tx->is_ringing = true;
    return put(tx, &now);
}

enum err fleet_webhook_edit(struct fleet *f, const struct webhook *hook, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, edit(&tx, hook));
}

static enum err replay(struct tx *tx, const char *id, int64_t from)
{
    struct webhook hook;
    int64_t first, last;
    enum err err;
    if ((err = get(tx, id, &hook)) != ERR_NONE ||
        (err = tx->db->event_bounds(tx->s, &first, &last, tx->why)) != ERR_NONE)
        return err;
    if (from < first || from > last || from < 1)
        return why_set(tx->why, ERR_BODY, "events %" PRId64 " to %" PRId64 " can be sent again, not %" PRId64, first,
                       last, from);
    hook.cursor = from - 1;
    hook.next_at = 0;
    tx->is_ringing = true;
    return put(tx, &hook);
}

enum err fleet_webhook_replay(struct fleet *f, const char *id, int64_t from, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, replay(&tx, id, from));
}

/* --- deliveries ------------------------------------------------------------------------------- */

/* A later delivery has a smaller key, so that the newest comes first. */
static void delivery_key(const char *id, int64_t number, char to[CARD_KEY_SIZE])
{
    snprintf(to, CARD_KEY_SIZE, "%.40s/%016" PRIx64, id, (uint64_t)(INT64_MAX - number));
}

static bool read_delivery(const char *key, const char *text, struct delivery *d)
{
    struct json *doc;
    if (json_parse(bytes_of_text(text), &doc, NULL) != ERR_NONE)
        return false;
    *d = (struct delivery){.number = INT64_MAX - (int64_t)strtoull(strchr(key, '/') + 1, NULL, 16),
                           .first = number_of(doc, "first"),
                           .last = number_of(doc, "last"),
                           .status = (int)number_of(doc, "status"),
                           .took_ms = number_of(doc, "took_ms"),
                           .at = number_of(doc, "at")};
    json_copy_text(doc, "story", d->story, sizeof d->story);
    json_free(doc);
    return true;
}

struct delivery_list {
    struct card_visitor v;
    struct delivery *to;
    unsigned max, count;
};

static bool note_delivery(struct card_visitor *v, const char *key, const char *text)
{
    struct delivery_list *l = (struct delivery_list *)v;
    l->count += read_delivery(key, text, &l->to[l->count]);
    return l->count < l->max;
}

static enum err deliveries(struct tx *tx, const char *id, struct delivery *to, unsigned max, unsigned *count)
{
    struct delivery_list l = {{note_delivery}, to, max, 0};
    char prefix[CARD_KEY_SIZE];
    snprintf(prefix, sizeof prefix, "%.40s/", id);
    enum err err = tx->db->card_scan(tx->s, CARD_DELIVERY, prefix, "", &l.v, tx->why);
    *count = l.count;
    return err;
}

enum err fleet_webhook_deliveries(struct fleet *f, const char *id, struct delivery *to, unsigned max, unsigned *count,
                                  struct why *why)
{
    struct tx tx;
    struct webhook hook;
    *count = 0;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err != ERR_NONE)
        return err;
    err = get(&tx, id, &hook);
    return tx_end(&tx, err ? err : deliveries(&tx, id, to, max, count));
}

static enum err put_delivery(struct tx *tx, const char *id, const struct delivery *d)
{
    struct delivery newest = {.number = 0};
    struct buf text = {0};
    struct json_out out;
    char key[CARD_KEY_SIZE];
    unsigned count = 0;
    enum err err = deliveries(tx, id, &newest, 1, &count);
    json_out_init(&out, &text);
    json_out_object(&out, NULL);
    json_out_int(&out, "first", d->first);
    json_out_int(&out, "last", d->last);
    json_out_int(&out, "status", d->status);
    json_out_int(&out, "took_ms", d->took_ms);
    json_out_int(&out, "at", d->at);
    json_out_text(&out, "story", d->story);
    json_out_end_object(&out);
    delivery_key(id, newest.number + 1, key);
    if (err == ERR_NONE)
        err = tx_card_put(tx, CARD_DELIVERY, key, &text);
    buf_deinit(&text);
    if (err != ERR_NONE || newest.number < DELIVERIES_KEPT)
        return err;
    delivery_key(id, newest.number + 1 - DELIVERIES_KEPT, key);
    return tx->db->card_delete(tx->s, CARD_DELIVERY, key, tx->why);
}

static enum err drop(struct tx *tx, const char *id)
{
    struct webhook hook;
    struct delivery page[20];
    unsigned count = 20;
    enum err err = get(tx, id, &hook);
    if (err == ERR_NONE)
        err = tx->db->card_delete(tx->s, CARD_WEBHOOK, id, tx->why);
    while (err == ERR_NONE && count == 20) {
        err = deliveries(tx, id, page, 20, &count);
        for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
            char key[CARD_KEY_SIZE];
            delivery_key(id, page[i].number, key);
            err = tx->db->card_delete(tx->s, CARD_DELIVERY, key, tx->why);
        }
    }
    return err;
}

enum err fleet_webhook_drop(struct fleet *f, const char *id, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, drop(&tx, id));
}

/* --- sending ---------------------------------------------------------------------------------- */

struct due {
    struct webhook *hook;
    struct event *to;
    unsigned max, count;
    int64_t last;
    bool is_gap;
};

static bool is_wanted(const struct webhook *h, const struct event *e)
{
    return h->kinds == 0 || (h->kinds >> e->kind & 1) != 0;
}

/* Events after its cursor that it wants; those between them are passed over. */
static enum err collect(struct tx *tx, const struct webhook *hook, int64_t first, struct due *d)
{
    struct event page[WEBHOOK_BATCH];
    unsigned count = WEBHOOK_BATCH;
    enum err err = ERR_NONE;
    d->count = 0;
    d->last = hook->cursor;
    d->is_gap = first > 0 && hook->cursor + 1 < first;
    while (err == ERR_NONE && count == WEBHOOK_BATCH && d->count < d->max) {
        err = tx->db->event_list(tx->s, d->last, page, WEBHOOK_BATCH, &count, tx->why);
        for (unsigned i = 0; err == ERR_NONE && i < count && d->count < d->max; i++) {
            d->last = page[i].id;
            if (is_wanted(hook, &page[i]))
                d->to[d->count++] = page[i];
        }
    }
    return err;
}

/* One that wants nothing of what happened moves on without a word. */
static enum err find_due(struct tx *tx, struct webhook *all, unsigned count, struct due *d, time_ms *next_at)
{
    int64_t first, last;
    enum err err = tx->db->event_bounds(tx->s, &first, &last, tx->why);
    *next_at = 0;
    for (unsigned i = 0; err == ERR_NONE && i < count; i++) {
        struct webhook *h = &all[i];
        if (h->is_paused || h->cursor >= last)
            continue;
        if (h->next_at > tx->now) {
            *next_at = *next_at == 0 || h->next_at < *next_at ? h->next_at : *next_at;
            continue;
        }
        if ((err = collect(tx, h, first, d)) != ERR_NONE)
            break;
        if (d->count > 0 || d->is_gap) {
            *d->hook = *h;
            return ERR_NONE;
        }
        h->cursor = d->last;
        err = put(tx, h);
    }
    d->count = 0;
    return err;
}

enum err fleet_webhook_due(struct fleet *f, time_ms now, struct webhook *hook, struct event *to, unsigned max,
                           unsigned *count, int64_t *last, bool *is_gap, time_ms *next_at, struct why *why)
{
    struct tx tx;
    struct due d = {hook, to, max, 0, 0, false};
    struct webhook *all = calloc(WEBHOOKS_MAX, sizeof *all);
    unsigned hooks = 0;
    *hook = (struct webhook){.kinds = 0};
    *next_at = 0;
    /* Most servers have none, and are asked after every transaction: that writes nothing. */
    enum err err =
        all ? fleet_webhook_list(f, all, WEBHOOKS_MAX, &hooks, why) : why_set(why, ERR_NO_MEMORY, "no memory");
    if (err == ERR_NONE && hooks > 0 && (err = tx_begin(&tx, f, now, why)) == ERR_NONE) {
        err = list(&tx, all, WEBHOOKS_MAX, &hooks);
        err = tx_end(&tx, err ? err : find_due(&tx, all, hooks, &d, next_at));
    }
    free(all);
    *count = d.count;
    *last = d.last;
    *is_gap = d.is_gap;
    return err;
}

static enum err tried(struct tx *tx, const char *id, const struct delivery *d)
{
    struct webhook h;
    enum err err = get(tx, id, &h);
    if (err != ERR_NONE)
        return err == ERR_NOT_FOUND ? ERR_NONE : err; /* deleted meanwhile */
    bool is_good = d->status >= 200 && d->status < 300;
    if (is_good) {
        h.cursor = d->last > h.cursor ? d->last : h.cursor;
        h.failures = 0;
        h.next_at = 0;
    } else {
        int64_t wait = h.failures < 16 ? WEBHOOK_FIRST_MS << h.failures : WEBHOOK_MOST_MS;
        h.failures++;
        h.next_at = d->at + (wait < WEBHOOK_MOST_MS ? wait : WEBHOOK_MOST_MS);
    }
    return (err = put(tx, &h)) ? err : put_delivery(tx, id, d);
}

enum err fleet_webhook_tried(struct fleet *f, const char *id, const struct delivery *d, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, d->at, why);
    return err ? err : tx_end(&tx, tried(&tx, id, d));
}
