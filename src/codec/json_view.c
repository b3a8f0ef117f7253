#include "codec/json_view.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC /* another copy may be in the same firmware */
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#define NUMBER_SIZE 32 /* longer numbers are none of ours */

/* A token of libjsmn's is ours, word for word; the union makes one of the other without breaking the aliasing rules. */
union token {
    struct json_token ours;
    jsmntok_t theirs;
};
static_assert(sizeof(union token) == sizeof(struct json_token) && sizeof(jsmntok_t) == sizeof(struct json_token),
              "libjsmn's token has other members");

unsigned json_view_count(struct bytes text)
{
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, (const char *)text.at, text.len, NULL, 0);
    return count > 0 ? (unsigned)count : 0;
}

static bool is_blank(const struct bytes *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text->at[i] == '\0' || strchr(" \t\r\n", text->at[i]) == NULL)
            return false;
    return true;
}

bool json_view_parse(struct json_view *view, struct bytes text, struct json_token *tokens, unsigned room)
{
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, (const char *)text.at, text.len, (jsmntok_t *)(union token *)tokens, room);
    *view = (struct json_view){text, tokens, 0};
    if (count < 1 || !is_blank(&text, (size_t)(tokens[0].end + (tokens[0].type == JSMN_STRING)), text.len))
        return false;
    view->count = count;
    return true;
}

static const struct json_token *token(const struct json_view *v, int value)
{
    return value >= 0 && value < v->count ? &v->tokens[value] : NULL;
}

int json_view_next_key(const struct json_view *v, int object, int key)
{
    const struct json_token *o = token(v, object);
    if (o == NULL || o->type != JSMN_OBJECT)
        return -1;
    for (int i = (key < 0 ? object : key) + 1; i + 1 < v->count && v->tokens[i].start < o->end; i++)
        if (v->tokens[i].parent == object && v->tokens[i].type == JSMN_STRING && v->tokens[i + 1].parent == i)
            return i;
    return -1;
}

int json_view_find(const struct json_view *v, int object, const char *key)
{
    size_t len = strlen(key);
    for (int i = json_view_next_key(v, object, -1); i >= 0; i = json_view_next_key(v, object, i)) {
        struct bytes name = json_view_raw(v, i);
        if (name.len == len && memcmp(name.at, key, len) == 0)
            return i + 1;
    }
    return -1;
}

bool json_view_is_object(const struct json_view *v, int value)
{
    const struct json_token *t = token(v, value);
    return t != NULL && t->type == JSMN_OBJECT;
}

bool json_view_is_text(const struct json_view *v, int value)
{
    const struct json_token *t = token(v, value);
    return t != NULL && t->type == JSMN_STRING;
}

struct bytes json_view_raw(const struct json_view *v, int value)
{
    const struct json_token *t = token(v, value);
    return t == NULL ? bytes_of(NULL, 0) : bytes_of(v->text.at + t->start, (size_t)(t->end - t->start));
}

/* --- strings ---------------------------------------------------------------------------------- */

static bool take_hex(const uint8_t *at, const uint8_t *end, uint32_t *to)
{
    *to = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i], lower = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f'))
            return false;
        *to = *to << 4 | (uint32_t)(c <= '9' ? c - '0' : lower - 'a' + 10);
    }
    return true;
}

/* After "\u": one UTF-16 unit, or a pair of them. */
static bool take_unicode(const uint8_t **at, const uint8_t *end, uint32_t *c)
{
    uint32_t low;
    if (!take_hex(*at, end, c))
        return false;
    *at += 4;
    if (*c < 0xd800 || *c > 0xdfff)
        return *c != 0;
    if (*c > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !take_hex(*at + 2, end, &low) ||
        low < 0xdc00 || low > 0xdfff)
        return false;
    *at += 6;
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t put_utf8(char to[static 4], uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    for (size_t i = more; i > 0; i--, c >>= 6)
        to[i] = (char)(0x80 | (c & 0x3f));
    to[0] = (char)(lead[more] | c);
    return more + 1;
}

/* One character, escaped or not; 0 when it is broken. */
static size_t take_character(const uint8_t **at, const uint8_t *end, char to[static 4])
{
    static const char plain[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    uint32_t c;
    if (**at != '\\') {
        to[0] = (char)*(*at)++;
        return to[0] != '\0';
    }
    if (++*at == end)
        return 0;
    const char *found = memchr(plain, **at, sizeof plain - 1);
    if (found != NULL) {
        to[0] = means[found - plain];
        ++*at;
        return 1;
    }
    return *(*at)++ == 'u' && take_unicode(at, end, &c) ? put_utf8(to, c) : 0;
}

bool json_view_text(const struct json_view *v, int value, char *to, size_t size)
{
    struct bytes raw = json_view_raw(v, value);
    size_t len = 0;
    to[0] = '\0';
    if (!json_view_is_text(v, value))
        return false;
    for (const uint8_t *at = raw.at, *end = at + raw.len; at < end;) {
        char c[4];
        size_t n = take_character(&at, end, c);
        if (n == 0 || len + n >= size) {
            to[0] = '\0';
            return false;
        }
        memcpy(to + len, c, n);
        len += n;
    }
    to[len] = '\0';
    return true;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static bool take_primitive(const struct json_view *v, int value, char to[static NUMBER_SIZE])
{
    const struct json_token *t = token(v, value);
    struct bytes raw = json_view_raw(v, value);
    if (t == NULL || t->type != JSMN_PRIMITIVE || raw.len == 0 || raw.len >= NUMBER_SIZE)
        return false;
    memcpy(to, raw.at, raw.len);
    to[raw.len] = '\0';
    return true;
}

bool json_view_int(const struct json_view *v, int value, int64_t *to)
{
    char text[NUMBER_SIZE];
    if (!take_primitive(v, value, text))
        return false;
    const char *digits = text + (text[0] == '-');
    size_t len = strlen(digits);
    if (len == 0 || len > 18 || strspn(digits, "0123456789") != len) /* 18 digits always fit */
        return false;
    *to = strtoll(text, NULL, 10);
    return true;
}

bool json_view_double(const struct json_view *v, int value, double *to)
{
    char text[NUMBER_SIZE], *end;
    if (!take_primitive(v, value, text) || strspn(text, "-+.0123456789eE") != strlen(text))
        return false;
    *to = strtod(text, &end);
    return *end == '\0' && end != text;
}

bool json_view_bool(const struct json_view *v, int value, bool *to)
{
    char text[NUMBER_SIZE];
    if (!take_primitive(v, value, text))
        return false;
    *to = strcmp(text, "true") == 0;
    return *to || strcmp(text, "false") == 0;
}
