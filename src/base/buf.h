/*
 * buf.h - bytes that grow on the heap, or fill memory of the caller's (buf_over): the node's mind allocates nothing.
 *
 * Promises: `at` is always terminated by a 0 that `len` does not count; a failed allocation, or more than the caller's
 * memory holds, is remembered in `is_failed` and every later call does nothing, so a caller may check once, at the end.
 */
#ifndef PLUVIO_BASE_BUF_H
#define PLUVIO_BASE_BUF_H

#include "base/bytes.h"

struct buf {
    char *at;
    size_t len, cap;
    bool is_failed, is_fixed; /* fixed: `at` is the caller's memory, never grown nor freed */
};

/* A buffer over `size` bytes of the caller's, at least 1; it needs no buf_deinit(), and buf_take() is not for it. */
void buf_over(struct buf *b, void *memory, size_t size);

void buf_add(struct buf *b, const void *at, size_t len);
void buf_add_text(struct buf *b, const char *text);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `more` bytes beyond len, without changing len.  False when memory is out. */
bool buf_reserve(struct buf *b, size_t more);

/* Hands the bytes over to the caller, who frees them; the buffer is empty afterwards.  NULL when it has failed. */
char *buf_take(struct buf *b);
void buf_deinit(struct buf *b);

static inline struct bytes buf_bytes(const struct buf *b)
{
    return bytes_of(b->at, b->len);
}

#endif
