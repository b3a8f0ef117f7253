#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void json_out_init(struct json_out *out, struct buf *to)
{
    *out = (struct json_out){.to = to};
}

void json_out_ascii(struct json_out *out)
{
    out->is_ascii = true;
}

/* Decodes one UTF-8 character; a broken byte yields U+FFFD and moves on by one. */
static uint32_t next_character(const unsigned char **at)
{
    const unsigned char *c = *at;
    int more = c[0] < 0x80 ? 0 : (c[0] & 0xe0) == 0xc0 ? 1 : (c[0] & 0xf0) == 0xe0 ? 2 : (c[0] & 0xf8) == 0xf0 ? 3 : -1;
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t value = more <= 0 ? c[0] : c[0] & (0x3f >> more);
    for (int i = 1; i <= more; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            more = -1;
            break;
        }
        value = value << 6 | (c[i] & 0x3f);
    }
    bool is_good = more >= 0 && value >= least[more] && value < 0x110000 && (value < 0xd800 || value > 0xdfff);
    *at += is_good ? more + 1 : 1;
    return is_good ? value : 0xfffd;
}

bool json_is_utf8(struct bytes text)
{
    char padded[8] = "";
    const unsigned char *at = text.at, *end = at + text.len;
    while (at < end) {
        const unsigned char *from = at;
        size_t left = (size_t)(end - at);
        if (left < 4) { /* never read behind the end */
            memset(padded, 0, sizeof padded);
            memcpy(padded, at, left);
            from = (const unsigned char *)padded;
        }
        const unsigned char *next = from;
        if (next_character(&next) == 0xfffd && !(from[0] == 0xef && from[1] == 0xbf && from[2] == 0xbd))
            return false;
        at += next - from;
    }
    return true;
}

static void put_escape(struct buf *to, uint32_t c)
{
    if (c >= 0x10000) {
        buf_addf(to, "\\u%04x\\u%04x", 0xd7c0 + (unsigned)(c >> 10), 0xdc00 + (unsigned)(c & 0x3ff));
        return;
    }
    buf_addf(to, "\\u%04x", (unsigned)c);
}

static void put_string(struct json_out *out, const char *text)
{
    buf_add(out->to, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const unsigned char *from = at;
        uint32_t c = next_character(&at);
        if (c == '"' || c == '\\')
            buf_addf(out->to, "\\%c", (char)c);
        else if (c < 0x20 || c == 0x7f || (out->is_ascii && (c > 0x7f || c == '>' || c == '?' || c == '~')))
            put_escape(out->to, c);
        else if (c == 0xfffd)
            buf_add_text(out->to, "\xef\xbf\xbd");
        else
            buf_add(out->to, from, (size_t)(at - from));
    }
    buf_add(out->to, "\"", 1);
}

static void put_key(struct json_out *out, const char *key)
{
    if (out->needs_comma)
        buf_add(out->to, ",", 1);
    out->needs_comma = true;
    if (key == NULL)
        return;
    put_string(out, key);
    buf_add(out->to, ":", 1);
}

void json_out_object(struct json_out *out, const char *key)
{
    put_key(out, key);
    buf_add(out->to, "{", 1);
    out->needs_comma = false;
}

void json_out_end_object(struct json_out *out)
{
    buf_add(out->to, "}", 1);
    out->needs_comma = true;
}

void json_out_array(struct json_out *out, const char *key)
{
    put_key(out, key);
    buf_add(out->to, "[", 1);
    out->needs_comma = false;
}

void json_out_end_array(struct json_out *out)
{
    buf_add(out->to, "]", 1);
    out->needs_comma = true;
}

void json_out_text(struct json_out *out, const char *key, const char *value)
{
    put_key(out, key);
    if (value == NULL)
        buf_add_text(out->to, "null");
    else
        put_string(out, value);
}

void json_out_int(struct json_out *out, const char *key, int64_t value)
{
    put_key(out, key);
    buf_addf(out->to, "%" PRId64, value);
}

void json_out_bool(struct json_out *out, const char *key, bool value)
{
    put_key(out, key);
    buf_add_text(out->to, value ? "true" : "false");
}

void json_out_raw(struct json_out *out, const char *key, const char *json)
{
    put_key(out, key);
    buf_add_text(out->to, json);
}
