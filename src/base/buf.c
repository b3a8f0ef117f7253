#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_over(struct buf *b, void *memory, size_t size)
{
    *b = (struct buf){.at = memory, .cap = size, .is_fixed = true};
    b->at[0] = '\0';
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->is_failed || more > SIZE_MAX / 4 - b->len)
        b->is_failed = true;
    if (b->is_failed)
        return false;
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return true;
    if (b->is_fixed) {
        b->is_failed = true;
        return false;
    }
    size_t cap = b->cap ? b->cap * 2 : 256;
    while (cap < need)
        cap *= 2;
    char *at = realloc(b->at, cap);
    if (at == NULL) {
        b->is_failed = true;
        return false;
    }
    b->at = at;
    b->cap = cap;
    b->at[b->len] = '\0';
    return true;
}

void buf_add(struct buf *b, const void *at, size_t len)
{
    if (!buf_reserve(b, len))
        return;
    if (len > 0)
        memcpy(b->at + b->len, at, len);
    b->len += len;
    b->at[b->len] = '\0';
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && buf_reserve(b, (size_t)n)) {
        vsnprintf(b->at + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

char *buf_take(struct buf *b)
{
    char *at = b->is_failed || !buf_reserve(b, 0) ? NULL : b->at;
    if (at == NULL)
        free(b->at);
    *b = (struct buf){0};
    return at;
}

void buf_deinit(struct buf *b)
{
    if (!b->is_fixed)
        free(b->at);
    *b = (struct buf){0};
}
