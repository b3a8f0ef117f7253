/*
 * What nobody comes back for does not stay for ever: requests, commands and offers to share whose time is long over.
 * Looked for once an hour, some at a time, as part of the tick.
 */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_MS   3600000LL
#define DAY_MS    (24 * HOUR_MS)
#define TIDY_ONCE 100 /* in one transaction */

struct old_cards {
    struct card_visitor v;
    const char *member; /* when it was over, or made; NULL: stands in front of the text */
    time_ms before;
    char keys[TIDY_ONCE][CARD_KEY_SIZE];
    unsigned count;
};

static bool note_old(struct card_visitor *v, const char *key, const char *text)
{
    struct old_cards *o = (struct old_cards *)v;
    struct json *doc = NULL;
    int64_t at = 0;
    if (o->member == NULL)
        at = strtoll(text, NULL, 10);
    else if (json_parse(bytes_of_text(text), &doc, NULL) == ERR_NONE)
        json_int(json_get(doc, o->member), &at);
    json_free(doc);
    if (at < o->before)
        text_copy(o->keys[o->count++], CARD_KEY_SIZE, key);
    return o->count < TIDY_ONCE;
}

/* "a/b" under `other` is "b/a". */
static enum err drop_turned(struct tx *tx, enum card_kind other, const char *key)
{
    char turned[CARD_KEY_SIZE], first[CARD_KEY_SIZE];
    const char *slash = strchr(key, '/');
    if (slash == NULL)
        return ERR_NONE;
    text_copy_field(first, sizeof first, key, (size_t)(slash - key));
    card_key(turned, slash + 1, first);
    return tx->db->card_delete(tx->s, other, turned, tx->why);
}

static enum err drop(struct tx *tx, enum card_kind kind, const char *key)
{
    if (kind == CARD_SHARE)
        return sharing_drop(tx, key);
    enum err err = kind == CARD_COMMAND ? drop_turned(tx, CARD_COMMAND_WAITING, key) : ERR_NONE;
    return err ? err : tx->db->card_delete(tx->s, kind, key, tx->why);
}

static enum err tidy(struct tx *tx, bool *is_more)
{
    static const struct {
        enum card_kind kind;
        const char *member;
        time_ms life_ms;
    } rows[] = {{CARD_REQUEST, NULL, REQUEST_LIFE_MS},
                {CARD_MAP_REQUEST, "until", DAY_MS},
                {CARD_COMMAND, "until", REQUEST_LIFE_MS},
                {CARD_SHARE, "at", 4 * REQUEST_LIFE_MS}};
    struct old_cards *o = malloc(sizeof *o);
    enum err err = o ? ERR_NONE : why_set(tx->why, ERR_NO_MEMORY, "no memory");
    *is_more = false;
    for (size_t i = 0; err == ERR_NONE && i < sizeof rows / sizeof rows[0]; i++) {
        *o = (struct old_cards){.v = {note_old}, .member = rows[i].member, .before = tx->now - rows[i].life_ms};
        err = tx->db->card_scan(tx->s, rows[i].kind, "", "", &o->v, tx->why);
        for (unsigned k = 0; err == ERR_NONE && k < o->count; k++)
            err = drop(tx, rows[i].kind, o->keys[k]);
        *is_more |= o->count == TIDY_ONCE;
    }
    free(o);
    return err;
}

enum err tidy_when_due(struct tx *tx, bool *is_more)
{
    struct fleet_memory *m = tx->f->memory;
    *is_more = false;
    if (tx->now < m->tidy_at)
        return ERR_NONE;
    enum err err = tidy(tx, is_more);
    if (err == ERR_NONE && !*is_more)
        m->tidy_at = tx->now + HOUR_MS;
    return err;
}
