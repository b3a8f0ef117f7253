/*
 * json_view.h - reading JSON in place, without heap: libjsmn's index tokens over memory of the caller's.
 *
 *     struct json_token tokens[64];
 *     struct json_view v;
 *     if (json_view_parse(&v, message, tokens, 64)) ... json_view_int(&v, json_view_find(&v, 0, "file_size"), &size)
 *
 * A value is a token's index; -1 stands for one that is not there, and every reader takes it.  Only structure is
 * checked, as libjsmn does: what is read of a value is checked when it is read.
 */
#ifndef PLUVIO_CODEC_JSON_VIEW_H
#define PLUVIO_CODEC_JSON_VIEW_H

#include "base/bytes.h"

/* One value: libjsmn's token, which json_view.c alone includes. */
struct json_token {
    int type, start, end, size, parent;
};

struct json_view {
    struct bytes text;
    const struct json_token *tokens;
    int count;
};

/* Tokens that the text needs, at least 1; 0 when it is no JSON at all. */
unsigned json_view_count(struct bytes text);

/* False unless the text is one value with nothing but white space around it, and `room` tokens are enough. */
bool json_view_parse(struct json_view *view, struct bytes text, struct json_token *tokens, unsigned room);

/* The member of an object; the first of several with the same name. */
int json_view_find(const struct json_view *view, int object, const char *key);

/* The key of the member after that of `key`, or of the first with -1; its value is the token after it.  -1 at the end.
 */
int json_view_next_key(const struct json_view *view, int object, int key);

bool json_view_is_object(const struct json_view *view, int value);
bool json_view_is_text(const struct json_view *view, int value);

/* The value's characters as they stand: a string without its quotes, an object with its braces. */
struct bytes json_view_raw(const struct json_view *view, int value);

/* A string with its escapes resolved, terminated.  False when it is none, does not fit, or holds a NUL or a broken
 * escape; `to` is then empty. */
bool json_view_text(const struct json_view *view, int value, char *to, size_t size);

/* True when the value is a whole number that an int64 holds. */
bool json_view_int(const struct json_view *view, int value, int64_t *to);

/* A number of any kind; of "1.5e3" what strtod makes of it. */
bool json_view_double(const struct json_view *view, int value, double *to);
bool json_view_bool(const struct json_view *view, int value, bool *to);

#endif
