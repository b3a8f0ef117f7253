/*
 * json.h - reading and writing JSON.
 *
 * Reading is done by cJSON behind this header; depth and size are bounded before it sees a byte, because its nesting
 * limit is high and its numbers are doubles (integers are exact up to 2^53).
 *
 *     struct json *doc;
 *     if (json_parse(body, &doc, why) != ERR_NONE) return ERR_BODY;
 *     const char *name = json_text(json_get(doc, "image_name"));
 *     json_free(doc);
 *
 * Writing goes straight into a `struct buf`, so long lists need no tree.
 */
#ifndef PLUVIO_CODEC_JSON_H
#define PLUVIO_CODEC_JSON_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

#define JSON_DEPTH_MAX 24 /* deeper documents are refused */

struct json; /* one value; owned by the document it came from */

/* Parses a whole document; anything but white space after it is an error.  ERR_FORMAT with the offset, or
 * ERR_NO_MEMORY.  On success the caller frees `*doc`. */
enum err json_parse(struct bytes input, struct json **doc, struct why *why);
void json_free(struct json *doc);

/* The member of an object, NULL when `value` is NULL, no object, or lacks it. */
const struct json *json_get(const struct json *value, const char *key);

/* NULL unless the value is a string. */
const char *json_text(const struct json *value);
/* The member as text into an array of `size`, cut if need be; "" when it is absent or no string.  False when it was
 * cut.
 */
bool json_copy_text(const struct json *object, const char *key, char *to, size_t size);
bool json_is_object(const struct json *value);
bool json_is_array(const struct json *value);
bool json_is_null(const struct json *value); /* the JSON null, not an absent value */

/* True and `*to` set when the value is a whole number that an int64 holds exactly (and a JSON number, not a string). */
bool json_int(const struct json *value, int64_t *to);

/* True when the value is a JSON boolean, or the string "true" or "false" as RainMaker's clients send it. */
bool json_bool(const struct json *value, bool *to);

/* Elements of an array or members of an object, in order; NULL at the end. */
const struct json *json_first(const struct json *value);
const struct json *json_next(const struct json *value);

#define JSON_EACH(element, array)                                                                                      \
    for (const struct json *element = json_first(array); element; element = json_next(element))

/* The name of a member; NULL for other values. */
const char *json_name(const struct json *member);

/* Merges `from` into the object `to` (RFC 7396): members that are objects are merged, null takes a member away, other
 * values replace.  False when one of them is no object, or memory is out; then `to` may be merged in part. */
bool json_merge(struct json *to, const struct json *from);

/* Whether the bytes are UTF-8 throughout; json_parse does not ask, since nodes send what they like. */
bool json_is_utf8(struct bytes text);

/* The value written compactly, on the heap; NULL when memory is out. */
char *json_dup_text(const struct json *value);

/* --- writing ---------------------------------------------------------------------------------- */

struct json_out {
    struct buf *to;
    bool needs_comma;
    bool is_ascii; /* write non-ASCII and > ? ~ as \uXXXX, see json_out_ascii() */
};

void json_out_init(struct json_out *out, struct buf *to);

/* From now on strings are written in ASCII without > ? ~ DEL, so that their base64 never holds + or / nor, in the URL
 * alphabet, - or _: RainMaker's command line decodes a token's payload with the standard alphabet. */
void json_out_ascii(struct json_out *out);

/* `key` is NULL inside an array and for the outermost value. */
void json_out_object(struct json_out *out, const char *key);
void json_out_end_object(struct json_out *out);
void json_out_array(struct json_out *out, const char *key);
void json_out_end_array(struct json_out *out);
void json_out_text(struct json_out *out, const char *key, const char *value); /* NULL writes null */
void json_out_int(struct json_out *out, const char *key, int64_t value);
void json_out_bool(struct json_out *out, const char *key, bool value);
/* `json` is a finished JSON value, written as it is. */
void json_out_raw(struct json_out *out, const char *key, const char *json);

#endif
