/*
 * text.h - a text builder over memory of the caller's; it never allocates and never overruns.
 *
 *     char line[80];
 *     struct text t;
 *     text_init(&t, line, sizeof line);
 *     text_add(&t, "%s %u", name, count);
 *     if (t.is_cut) ...
 *
 * Promises: the text is terminated after every call; what does not fit is left out and remembered in `is_cut`.
 */
#ifndef PLUVIO_BASE_TEXT_H
#define PLUVIO_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *at;
    size_t size, len;
    bool is_cut;
};

/* `size` counts the terminator and is at least 1. */
void text_init(struct text *t, char *at, size_t size);
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies `from` (NULL: the empty string) into an array of `size`, cut if need be.  False when it was cut. */
bool text_copy(char *to, size_t size, const char *from);

/* Copies at most `len` characters of a field that may lack its terminator, replacing control characters by '?'. */
void text_copy_field(char *to, size_t size, const void *from, size_t len);

/* FNV-1a: for tables in memory, not against anybody who wants two texts to meet. */
uint64_t text_hash(const char *text);

/* True when every character is one of A-Z a-z 0-9 _ - . and there are 1 to `max` of them: safe in topics and paths. */
bool text_is_plain_id(const char *text, size_t max);

/* Below 0, 0, above 0: as versions go, number by number; texts between numbers as texts. */
int text_compare_versions(const char *a, const char *b);

#endif
