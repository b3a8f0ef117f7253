/* The audit log, on cards: "<hash> <entry>" under the entry's number; and requests that clients come back for. */
#include "fleet/inner.h"

#include "base/text.h"
#include "codec/encode.h"
#include "crypto/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_SIZE (2 * SHA256_LEN + 1)
#define LAST_KEY  "last" /* behind all numbers */

static void key_of(int64_t number, char to[20])
{
    snprintf(to, 20, "%016" PRIx64, (uint64_t)number);
}

/* Of the entry before, a line break, and the entry. */
static bool chain(const char *before, const char *entry, char to[HASH_SIZE])
{
    uint8_t digest[SHA256_LEN];
    struct buf text = {0};
    buf_add(&text, before, strlen(before));
    buf_add(&text, "\n", 1);
    buf_add(&text, entry, strlen(entry));
    bool is_good = !text.is_failed;
    if (is_good)
        sha256_of(digest, bytes_of(text.at, text.len));
    buf_deinit(&text);
    if (is_good)
        hex_encode(to, bytes_of(digest, sizeof digest));
    return is_good;
}

/* "<number> <hash>" of the last entry. */
static enum err read_last(struct tx *tx, int64_t *number, char hash[HASH_SIZE])
{
    char *text = NULL;
    *number = 0;
    hash[0] = '\0';
    enum err err = tx_card(tx, CARD_AUDIT, LAST_KEY, &text);
    if (err == ERR_NONE && text != NULL) {
        char *end;
        *number = strtoll(text, &end, 10);
        text_copy(hash, HASH_SIZE, *end == ' ' ? end + 1 : "");
    }
    free(text);
    return err;
}

static enum err add_entry(struct tx *tx, const char *entry)
{
    int64_t number;
    char before[HASH_SIZE], hash[HASH_SIZE], key[20], last[HASH_SIZE + 24];
    struct buf text = {0};
    enum err err = read_last(tx, &number, before);
    if (err != ERR_NONE)
        return err;
    if (!chain(before, entry, hash))
        return why_set(tx->why, ERR_NO_MEMORY, "no memory");
    buf_add(&text, hash, strlen(hash));
    buf_add(&text, " ", 1);
    buf_add(&text, entry, strlen(entry));
    key_of(number + 1, key);
    err = tx_card_put(tx, CARD_AUDIT, key, &text);
    buf_deinit(&text);
    snprintf(last, sizeof last, "%" PRId64 " %s", number + 1, hash);
    return err ? err : tx->db->card_put(tx->s, CARD_AUDIT, LAST_KEY, bytes_of_text(last), tx->why);
}

enum err fleet_audit_add(struct fleet *f, const char *entry, struct why *why)
{
    struct tx tx;
    enum err err = tx_begin(&tx, f, 0, why);
    return err ? err : tx_end(&tx, add_entry(&tx, entry));
}

enum err fleet_audit_last(struct fleet *f, int64_t *number, struct why *why)
{
    struct tx tx;
    char hash[HASH_SIZE];
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, read_last(&tx, number, hash));
}

struct audit_list {
    struct card_visitor v;
    struct audit_visitor *to;
};

static bool note_entry(struct card_visitor *v, const char *key, const char *text)
{
    struct audit_list *l = (struct audit_list *)v;
    char hash[HASH_SIZE];
    const char *entry = strchr(text, ' ');
    if (strcmp(key, LAST_KEY) == 0)
        return false;
    text_copy_field(hash, sizeof hash, text, entry && entry - text < HASH_SIZE ? (size_t)(entry - text) : 0);
    return l->to->visit(l->to, strtoll(key, NULL, 16), hash, entry ? entry + 1 : "");
}

enum err fleet_audit_scan(struct fleet *f, int64_t first, struct audit_visitor *v, struct why *why)
{
    struct tx tx;
    struct audit_list l = {{note_entry}, v};
    char after[20];
    key_of(first > 1 ? first - 1 : 0, after);
    enum err err = tx_begin_reading(&tx, f, why);
    return err ? err : tx_end(&tx, tx.db->card_scan(tx.s, CARD_AUDIT, "", after, &l.v, why));
}

struct checker {
    struct audit_visitor v;
    int64_t next, broken;
    char before[HASH_SIZE];
};

static bool check_entry(struct audit_visitor *v, int64_t number, const char *hash, const char *entry)
{
    struct checker *c = (struct checker *)v;
    char right[HASH_SIZE];
    if (number != c->next || !chain(c->before, entry, right) || strcmp(right, hash) != 0) {
        c->broken = c->next;
        return false;
    }
    text_copy(c->before, sizeof c->before, hash);
    c->next++;
    return true;
}

static enum err verify(struct tx *tx, struct checker *c, int64_t *count)
{
    struct audit_list l = {{note_entry}, &c->v};
    char last[HASH_SIZE];
    enum err err = tx->db->card_scan(tx->s, CARD_AUDIT, "", "", &l.v, tx->why);
    if (err == ERR_NONE)
        err = read_last(tx, count, last);
    if (err == ERR_NONE && c->broken == 0 && (*count != c->next - 1 || strcmp(last, c->before) != 0))
        c->broken = c->next; /* cut off at the end */
    return err;
}

enum err fleet_audit_verify(struct fleet *f, int64_t *count, int64_t *broken, struct why *why)
{
    struct tx tx;
    struct checker c = {.v = {check_entry}, .next = 1};
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, verify(&tx, &c, count));
    *broken = c.broken;
    return err;
}

/* --- requests --------------------------------------------------------------------------------- */

/* "<when> <text>" */
enum err fleet_request_put(struct fleet *f, const char *id, const char *text, time_ms now, struct why *why)
{
    struct tx tx;
    struct buf card = {0};
    buf_addf(&card, "%lld %s", (long long)now, text);
    enum err err = tx_begin(&tx, f, now, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx_card_put(&tx, CARD_REQUEST, id, &card));
    buf_deinit(&card);
    return err;
}

enum err fleet_request_get(struct fleet *f, const char *id, char **to, struct why *why)
{
    struct tx tx;
    *to = NULL;
    enum err err = tx_begin_reading(&tx, f, why);
    if (err == ERR_NONE)
        err = tx_end(&tx, tx_card(&tx, CARD_REQUEST, id, to));
    const char *blank = *to ? strchr(*to, ' ') : NULL;
    if (blank != NULL)
        memmove(*to, blank + 1, strlen(blank + 1) + 1);
    return err;
}
