#include "base/text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t, char *at, size_t size)
{
    *t = (struct text){.at = at, .size = size};
    at[0] = '\0';
}

void text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->at + t->len, t->size - t->len, format, args);
    va_end(args);
    size_t room = t->size - t->len - 1;
    t->is_cut |= n < 0 || (size_t)n > room;
    t->len += n < 0 ? 0 : ((size_t)n > room ? room : (size_t)n);
}

bool text_copy(char *to, size_t size, const char *from)
{
    size_t len = from ? strlen(from) : 0;
    size_t take = len < size ? len : size - 1;
    if (take > 0)
        memcpy(to, from, take);
    to[take] = '\0';
    return take == len;
}

void text_copy_field(char *to, size_t size, const void *from, size_t len)
{
    const unsigned char *c = from;
    size_t n = 0;
    for (; n < len && n + 1 < size && c[n] != 0; n++)
        to[n] = (char)(c[n] < 0x20 || c[n] == 0x7f ? '?' : c[n]);
    to[n] = '\0';
}

bool text_is_plain_id(const char *text, size_t max)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");
    return len >= 1 && len <= max && text[len] == '\0' && text[0] != '.';
}

/* Numbers by value (leading zeros aside, so of any length), everything else letter by letter. */
int text_compare_versions(const char *a, const char *b)
{
    while (*a && *b) {
        if (!isdigit((unsigned char)*a) || !isdigit((unsigned char)*b)) {
            if (*a != *b)
                return (unsigned char)*a - (unsigned char)*b;
            a++, b++;
            continue;
        }
        a += strspn(a, "0");
        b += strspn(b, "0");
        size_t of_a = strspn(a, "0123456789"), of_b = strspn(b, "0123456789");
        int order = of_a != of_b ? (of_a < of_b ? -1 : 1) : memcmp(a, b, of_a);
        if (order != 0)
            return order;
        a += of_a, b += of_b;
    }
    /* "1.2-rc1" comes before "1.2", "1.2.1" after it. */
    if (*a == '-' || *b == '-')
        return *a == '-' ? -1 : 1;
    return (unsigned char)*a - (unsigned char)*b;
}

uint64_t text_hash(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 1099511628211u;
    return hash;
}
